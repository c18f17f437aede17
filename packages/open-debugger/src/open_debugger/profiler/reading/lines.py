"""Files of JSON lines that may be damaged: what is whole is read, what is not is counted."""

from __future__ import annotations

import json
from collections import Counter, defaultdict

SHOWN = 3  # files of which a note tells by name; the rest are summed up


class LeftOut:
    """Counts what could not be used, file by file, and tells it in few sentences."""

    def __init__(self) -> None:
        self.reasons: dict[str, Counter] = defaultdict(Counter)
        self.lines: Counter = Counter()
        self.whole: dict[str, str] = {}  # a file nothing of which was read -> why

    def line(self, file: str, reason: str) -> None:
        """Count a line that was left out."""
        self.reasons[file][reason] += 1

    def file(self, file: str, reason: str) -> None:
        """Remember a file of which nothing could be read."""
        self.whole[file] = reason

    def notes(self) -> list[str]:
        """One sentence for each of the worst files, one for all others, one for unread files."""
        counts = {file: sum(reasons.values()) for file, reasons in self.reasons.items()}
        worst = sorted(counts, key=lambda file: (-counts[file], file))
        notes = [self._damaged(file, counts[file]) for file in worst[:SHOWN]]
        if rest := worst[SHOWN:]:
            lost, lines = (sum(each[file] for file in rest) for each in (counts, self.lines))
            notes.append(f"{len(rest)} further files: {lost} of {lines} lines were left out.")
        return notes + self._unread()

    def _damaged(self, file: str, lost: int) -> str:
        reasons = ", ".join(f"{n} {reason}" for reason, n in self.reasons[file].most_common())
        return f"{file}: {lost} of {self.lines[file]} lines were left out ({reasons})."

    def _unread(self) -> list[str]:
        by_reason: dict[str, list[str]] = defaultdict(list)
        for file, reason in sorted(self.whole.items()):
            by_reason[reason].append(file)
        notes = []
        for reason, files in by_reason.items():
            more = f" and {len(files) - SHOWN} further files" if len(files) > SHOWN else ""
            notes.append(f"{', '.join(files[:SHOWN])}{more}: nothing was read ({reason}).")
        return notes


def objects(file: str, data: bytes, left: LeftOut) -> list[dict]:
    """The JSON objects of a file, one a line, in their order; the rest is counted in `left`."""
    lines = [line for line in data.splitlines() if line.strip()]
    left.lines[file] += len(lines)
    if not lines:
        left.file(file, "empty")
    try:  # all of a file at once is twice as fast as line by line
        found = json.loads((b"[%s]" % b",".join(lines)).decode())
    except (ValueError, RecursionError):
        return _one_by_one(file, lines, data.endswith(b"\n"), left)
    if len(found) != len(lines) or not all(type(each) is dict for each in found):
        return _one_by_one(file, lines, data.endswith(b"\n"), left)
    return found


def _one_by_one(file: str, lines: list[bytes], ended: bool, left: LeftOut) -> list[dict]:
    found = []
    for number, line in enumerate(lines, 1):
        try:
            read = json.loads(line.decode())
        except (ValueError, RecursionError):
            cut = number == len(lines) and not ended and line.lstrip().startswith(b"{")
            left.line(file, "cut off at the end" if cut else "not JSON")
            continue
        if isinstance(read, dict):
            found.append(read)
        else:
            left.line(file, "not a JSON object")
    return found
