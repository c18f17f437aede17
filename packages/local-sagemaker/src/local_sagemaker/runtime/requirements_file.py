"""A requirements.txt as pip reads it: its encoding, comments, variables, and the files it names."""

from __future__ import annotations

import codecs
import locale
import os
import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

BOMS = {  # those of UTF-32 first, which begin with those of UTF-16
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
}
CODING = re.compile(rb"^#.*?coding[:=]\s*([-\w.]+)")  # in one of the first two lines, as in Python
COMMENT = re.compile(r"(^|\s+)#.*$")
VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)\}")
OTHER_FILE = re.compile(
    r"(?P<option>--requirement|--constraint)(?:=|\s+)(?P<named>.+)|(?P<short>-[rc])\s*(?P<file>.+)"
)
ADDRESS = re.compile(r"(https?|file):", re.IGNORECASE)


class RequirementsFileError(Exception):
    """The file cannot be read; the text is pip's."""


@dataclass(frozen=True)
class Written:
    """One requirement, constraint or option, and where it stands."""

    file: Path
    number: int
    text: str
    is_constraint: bool = False


def read(file: Path) -> Iterator[Written]:
    """What a file and those that it names hold. An option that names an address stays as it is.

    Raises:
        RequirementsFileError: a file is not there, cannot be decoded, or names itself.
    """
    yield from _read(file, False, {})


def _read(file: Path, is_constraint: bool, above: dict[Path, Path]) -> Iterator[Written]:
    kind = "constraint" if is_constraint else "requirements"
    try:
        text = _decoded(file.read_bytes())
    except OSError as error:
        raise RequirementsFileError(f"Could not open {kind} file: {error}") from None
    except (UnicodeError, LookupError) as error:
        raise RequirementsFileError(f"Could not read {kind} file {file}: {error}") from None
    above = {file.resolve(): file, **above}
    for number, line in _logical(text.splitlines()):
        other = OTHER_FILE.fullmatch(line)
        if other and not ADDRESS.match(name := _name(other)):
            constrains = (other["option"] or other["short"]) in ("-c", "--constraint")
            named = file.parent / name
            if named.resolve() in above:
                raise RequirementsFileError(f"{named} recursively references itself in {file}")
            if constrains:
                yield Written(file, number, line, is_constraint)
            yield from _read(named, constrains, above)
        else:
            yield Written(file, number, line, is_constraint)


def _name(other: re.Match) -> str:
    return "".join(shlex.split(other["named"] or other["file"])[:1])


def _decoded(data: bytes) -> str:
    for bom, encoding in BOMS.items():
        if data.startswith(bom):
            return data[len(bom) :].decode(encoding)
    for line in data.split(b"\n")[:2]:
        if found := CODING.match(line):
            return data.decode(found[1].decode("ascii"))
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode(locale.getpreferredencoding(False))


def _logical(lines: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Lines with their continuations, without comments, with the variables that are set."""
    for number, line in _joined(lines):
        if text := COMMENT.sub("", line).strip():
            yield number, VARIABLE.sub(lambda found: os.environ.get(found[1]) or found[0], text)


def _joined(lines: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Lines and their numbers; a backslash at a line's end joins the next, a comment ends that."""
    first, pending = 0, []
    for number, line in enumerate(lines, 1):
        is_comment = COMMENT.match(line) is not None
        if line.endswith("\\") and not is_comment:
            first = first if pending else number
            pending.append(line.strip("\\"))
            continue
        whole = "".join([*pending, f" {line}" if is_comment else line])
        yield first if pending else number, whole
        pending = []
    if pending:
        yield first, "".join(pending)
