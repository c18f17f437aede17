"""Any body that an endpoint is sent is answered or refused with a reason, and does it no harm.

`make test` sends 300 bodies, always the same; `make fuzz` sends 5,000, from a seed of its own that
it prints. FUZZ_BODIES and FUZZ_SEED choose both. A body depends on the seed and its number alone.
"""

from __future__ import annotations

import base64
import io
import json
import os
import re
import struct
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
import pytest

from tests.support import forms
from tests.support.tiny_endpoint import CLASSES, endpoint, write_model
from tests.support.tiny_photos import draw, encode

BODIES = int(os.environ.get("FUZZ_BODIES", "300"))
SEED = int(os.environ.get("FUZZ_SEED", "4"))
GROWTH_MB = 50  # of the process's memory, from the first third to the end
PHOTO = draw((200, 60, 60), size=(80, 64))
VALID = forms.every(PHOTO)
FILES = {name: body for name, body in VALID.items() if not body.startswith(b"{")}
NUMBERS = (0, 1, 2, 3, 255, 256, 4096, 32767, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1)
LABELS = ("application/json", "text/csv", "application/x-npy", "image/jpeg", "image/png", "", None)
ACCEPTS = (
    "application/json",
    "application/x-npy",
    "application/json;logits=true",
    "application/json;top=3",
    "*/*;top=6",
    "text/html, */*;q=0.8",
    None,
)


@dataclass(frozen=True)
class Request:
    """A body with its headers, and how it was made."""

    body: bytes
    label: str | None
    accept: str | None
    made: str


def request(number: int) -> Request:
    """Draw the request of this number."""
    draw_from = Random(f"{SEED}/{number}")
    form, kind = draw_from.choice(list(VALID)), draw_from.choice(list(KINDS))
    body = KINDS[kind](draw_from, VALID[form])
    label = draw_from.choice(LABELS)
    accept = draw_from.choice(ACCEPTS)
    if accept and draw_from.random() < 0.2:
        accept = damaged(draw_from, accept.encode()).decode("latin1")
    return Request(body, label, accept, f"{kind} of {form}")


def unchanged(_: Random, body: bytes) -> bytes:
    return body


def flipped(rng: Random, body: bytes) -> bytes:
    """Change some bits."""
    changed = bytearray(body)
    for _ in range(rng.choice((1, 1, 3, 30)) if body else 0):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def cut(rng: Random, body: bytes) -> bytes:
    return body[: rng.randrange(len(body) + 1)]


def holed(rng: Random, body: bytes) -> bytes:
    start = rng.randrange(len(body) + 1)
    return body[:start] + body[start + rng.choice((1, 2, 16, 500)) :]


def stuffed(rng: Random, body: bytes) -> bytes:
    start = rng.randrange(len(body) + 1)
    return body[:start] + rng.randbytes(rng.choice((1, 4, 64, 2000))) + body[start:]


def spliced(rng: Random, body: bytes) -> bytes:
    """The beginning of one file and the end of another."""
    other = rng.choice(list(FILES.values()))
    return cut(rng, body) + other[rng.randrange(len(other)) :]


def renumbered(rng: Random, body: bytes) -> bytes:
    """Put an awkward number where a header may hold a size, a count or a place."""
    form = rng.choice(("<H", ">H", "<I", ">I"))
    number = rng.choice(NUMBERS) % (1 << 8 * struct.calcsize(form))
    place = rng.randrange(max(1, min(len(body), 200)))
    return body[:place] + struct.pack(form, number) + body[place + struct.calcsize(form) :]


def remade_png(rng: Random, _: bytes) -> bytes:
    """Change a chunk of a PNG file, and let its check sum be right all the same."""
    rest = FILES[rng.choice([name for name in FILES if "png" in name and "json" not in name])]
    made, rest = rest[:8], rest[8:]
    while len(rest) >= 12:
        length = struct.unpack(">I", rest[:4])[0]
        kind, data, rest = rest[4:8], rest[8 : 8 + length], rest[12 + length :]
        if rng.random() < 0.4:
            data = rng.choice((flipped, cut, renumbered, stuffed))(rng, data)
        made += forms.png_chunk(kind, data)
    return made


def remade_npy(rng: Random, _: bytes) -> bytes:
    """A NumPy file whose header says something else than is there, or nothing that makes sense."""
    side = rng.choice((-1, 0, 1, 3, 4, 33, 64, 80, 1000, 10**6, 10**30, True, None, "x"))
    shape = rng.choice(((64, 80, 3), (2, 64, 80, 3), (side, 80, 3), (side, side), (side,) * 4, ()))
    kind = rng.choice(("|u1", "|u1", "|u1", "<f4", "|O", "|S9", ">u2", "(3,)u1", "|V3", "x"))
    header = repr({"descr": kind, "fortran_order": rng.choice((True, False, 1)), "shape": shape})
    header = rng.choice((header, header, header.replace(",", ""), "[" * 300, header + "\\\n"))
    text = header.encode("latin1") + b"\n"
    version = rng.choice((b"\x01\x00", b"\x01\x00", b"\x02\x00", b"\x03\x00", b"\x09\x01"))
    length = struct.pack("<H" if version[0] == 1 else "<I", len(text))
    pixels = np.asarray(PHOTO).tobytes() * rng.choice((0, 1, 1, 2))
    return b"\x93NUMPY" + version + length + text + pixels


def remade_json(rng: Random, _: bytes) -> bytes:
    """JSON around good and bad files, of the right form and of others."""
    texts = [base64.b64encode(file(rng)).decode() for _ in range(rng.choice((1, 2, 4)))]
    odd = rng.choice(
        (None, 3, 1e999, [], {}, "", "%", "é\ud800", "http://127.0.0.1:1/", list(texts))
    )
    if rng.random() < 0.4:
        texts.insert(rng.randrange(len(texts) + 1), odd)
    images = rng.choice((texts, texts, texts, texts * 20, odd))
    value = rng.choice(
        (
            {"images": images},
            {"images": images},
            {"image": texts[0]},
            {"image": odd},
            {"image": texts[0], "images": images},
            {"instances": images},
            {"url": "http://127.0.0.1:1/dog.jpg"},
            {"image": {"image": texts[0]}},
            {},
        )
    )
    body = json.dumps(value, ensure_ascii=rng.random() < 0.5).encode("utf-8", "surrogatepass")
    return rng.choice((unchanged, unchanged, unchanged, flipped, cut, holed))(rng, body)


def file(rng: Random) -> bytes:
    """A good file, or now and then a damaged one."""
    body = rng.choice(list(FILES.values()))
    return damaged(rng, body) if rng.random() < 0.3 else body


def noise(rng: Random, body: bytes) -> bytes:
    """Random bytes, some behind a file's first ones, by which it is known."""
    return body[: rng.choice((0, 4, 12, 30))] + rng.randbytes(rng.choice((0, 1, 50, 3000)))


def damaged(rng: Random, body: bytes) -> bytes:
    """Damage a body once or a few times."""
    for _ in range(rng.choice((1, 1, 2))):
        body = rng.choice((flipped, cut, holed, stuffed, spliced, renumbered))(rng, body)
    return body


# Those whose damage gets past the first check more often.
KINDS = {f.__name__: f for f in (unchanged, damaged, flipped, renumbered, noise)}
KINDS |= {f.__name__: f for f in (remade_png, remade_npy, remade_json)}


def check(status: int, content_type: str | None, answer: bytes | str) -> None:
    """An answer is 200 with predictions, or 4xx with a reason in its first line."""
    if status == 200:
        if content_type == "application/x-npy":
            assert np.load(io.BytesIO(answer)).shape[1] == len(CLASSES)
        else:
            assert {"predictions", "results", "logits"} & set(json.loads(answer))
        return
    assert 400 <= status < 500
    answer.encode()  # as whatever sends it must
    reason, trace = answer.split("\n", 1)
    assert re.search(r"[a-z]{2}.*[a-z]{2}", reason) and len(reason) < 1000, reason[:2000]
    assert trace.startswith("Traceback")  # the toolkit's, below the reason


def memory_mb() -> float:
    """The memory that this process has now, in MB."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) / 1024


@pytest.mark.timeout(3600)
@pytest.mark.filterwarnings("ignore")
def test_any_body_is_answered_or_refused_with_a_reason(tmp_path):
    seen, good, slowest = Counter(), encode(PHOTO), (0.0, 0)
    with endpoint(write_model(tmp_path)) as ask:
        first = ask(good)
        for number in range(BODIES):
            sent = request(number)
            begin = time.perf_counter()
            answer = ask(sent.body, sent.label, sent.accept)
            slowest = max(slowest, (time.perf_counter() - begin, number))
            try:
                check(*answer)
                if number % 20 == 0:
                    assert ask(good) == first, "a good photo is answered otherwise than before"
            except Exception as error:
                error.add_note(
                    f"FUZZ_SEED={SEED}, body {number}: {sent.made}, {len(sent.body)} bytes"
                )
                error.add_note(f"{sent.label!r} {sent.accept!r} {sent.body[:200]!r}")
                error.add_note(str(answer)[:3000])
                raise
            seen[answer[0]] += 1
            if number == BODIES // 3:
                before = memory_mb()
        after = memory_mb()
    print(f"\nFUZZ_SEED={SEED}: {BODIES} bodies, by status {dict(sorted(seen.items()))}")
    print(f"{before:.0f} MB after a third, {after:.0f} MB at the end", end="; ")
    print(f"slowest {slowest[0]:.2f} s, body {slowest[1]}")
    assert after - before < GROWTH_MB
    # A generator whose every body is good, or refused at once, would prove little.
    assert seen[200] > BODIES / 10
    assert seen[400] > BODIES / 10
    assert {406, 413, 415} <= set(seen)
