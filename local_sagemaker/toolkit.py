"""SageMaker's training toolkit, reading a script's output by lines.

Runs as ``python -m local_sagemaker.toolkit`` in the place of the container's ``train``. The toolkit
itself prints every piece that it happens to read as a line of its own; on a busy machine
``print("loss:", 0.5)`` becomes two log lines, which no metric's expression matches.
"""

from __future__ import annotations

import sys
from asyncio import StreamReader

from sagemaker_training import process
from sagemaker_training.cli.train import main

_watch = process.watch


class Lines:
    """A stream whose pieces are whole lines."""

    def __init__(self, stream: StreamReader) -> None:
        self.stream, self.rest = stream, b""

    async def read(self, size: int) -> bytes:
        while b"\n" not in self.rest and (piece := await self.stream.read(size)):
            self.rest += piece
        lines, end, rest = self.rest.rpartition(b"\n")
        self.rest = rest if end else b""
        return lines + end if end else rest


async def watch(stream: StreamReader | None, *arguments, **members):
    return await _watch(stream and Lines(stream), *arguments, **members)


if __name__ == "__main__":
    process.watch = watch
    sys.exit(main())
