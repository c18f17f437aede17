"""What a container prints, as the lines that AWS's logs have of it."""

from __future__ import annotations

import re
from collections.abc import Iterator

EVENT_BYTES = 1024 * 1024 - 26  # CloudWatch takes 1 MB an event, of which 26 bytes are its own
CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def escaped(text: str) -> str:
    """A line whose control characters are in octal: a tab is ``#011``, a carriage return ``#015``.

    So AWS's logs have them, and the metric expressions of AWS's own algorithms rely on it.
    """
    return CONTROL.sub(lambda found: f"#{ord(found[0]):03o}", text)


def decoded(line: bytes) -> str:
    return escaped(line.decode("utf-8", "replace"))


def pieces(text: str) -> Iterator[str]:
    """A line as the events that CloudWatch can take it in; most lines are one."""
    if 4 * len(text) <= EVENT_BYTES:  # no character has more bytes
        yield text
        return
    rest = text.encode("utf-8", "replace")
    while rest:
        end = whole(rest[:EVENT_BYTES])
        yield rest[:end].decode()
        rest = rest[end:]


def whole(data: bytes) -> int:
    """How many bytes of `data` go to the end of its last character that is there as a whole."""
    for back in range(1, min(4, len(data)) + 1):
        byte = data[-back]
        if byte & 0b1100_0000 != 0b1000_0000:  # where a character begins
            length = 1 if byte < 0b1100_0000 else 2 + (byte >= 0b1110_0000) + (byte >= 0b1111_0000)
            return len(data) if length <= back else len(data) - back
    return len(data)


def segments(line: str) -> list[str]:
    """The states of a line that a progress bar has overwritten, the first one first."""
    return re.split("(?=#015)", line)
