"""What a container prints, on its way to its log."""

from __future__ import annotations

import logging
import os
import select
import time
from collections.abc import Callable, Iterator

from local_sagemaker.runtime import log_text

log = logging.getLogger(__name__)

FLUSH_S = 0.25  # that a line may wait for others
ATTEMPTS = 5  # a second apart, to say at the end that lines were lost
LOST = "local_sagemaker: {count} lines of output before this one were lost: {why}"


def batches(descriptor: int) -> Iterator[list[str]]:
    """The lines that come out of a pipe until it ends, those of a moment at a time."""
    rest, lines, flushed = b"", [], time.monotonic()
    poll = select.poll()  # select() knows no descriptor beyond the 1,024th
    poll.register(descriptor, select.POLLIN | select.POLLHUP)
    while True:
        ready = poll.poll(FLUSH_S * 1000)
        chunk = os.read(descriptor, 65536) if ready else None
        if chunk:
            *complete, rest = (rest + chunk).split(b"\n")
            lines += complete
            while len(rest) > log_text.EVENT_BYTES:  # a line that does not end
                end = log_text.whole(rest[: log_text.EVENT_BYTES])
                lines.append(rest[:end])
                rest = rest[end:]
        if chunk == b"" and rest:
            lines.append(rest)
        if lines and (not ready or chunk == b"" or time.monotonic() - flushed > FLUSH_S):
            yield [log_text.decoded(line) for line in lines]
            lines, flushed = [], time.monotonic()
        if chunk == b"":
            return


class Log:
    """A log that loses lines rather than stop its writer; the next lines say how many.

    A process whose output nobody reads stands still, and one whose output is closed fails at its
    next print. So the reading goes on, whatever becomes of the log.
    """

    def __init__(self, put: Callable[[list[str]], None]) -> None:
        """`put` stores lines; it may raise."""
        self._put = put
        self._lost, self._why = 0, ""

    def write(self, lines: list[str]) -> None:
        """Write lines, or note that they are lost; never raises."""
        lost = [LOST.format(count=self._lost, why=self._why)] if self._lost else []
        try:
            self._put([*lost, *lines])
        except Exception as error:  # of whatever kind: the process must not suffer for it
            log.warning("%s lines of output are lost", len(lines), exc_info=True)
            self._lost, self._why = self._lost + len(lines), str(error)
        else:
            self._lost = 0

    def flush(self) -> None:
        """Say what was lost, where nothing follows that could: there may be room again soon."""
        for attempt in range(ATTEMPTS if self._lost else 0):
            self.write([])
            if not self._lost:
                break
            if attempt < ATTEMPTS - 1:
                time.sleep(1)
