"""A container's process: it yields its lines, and ends when asked."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator

from local_sagemaker.runtime import isolation
from local_sagemaker.runtime.output import batches


class ContainerProcess:
    """The command that `isolation.start` has started."""

    def __init__(self, supervisor: subprocess.Popen) -> None:
        self._supervisor = supervisor
        self.killed = False  # at the end of a grace time

    @property
    def pid(self) -> int:
        return self._supervisor.pid

    def lines(self) -> Iterator[list[str]]:
        """What it prints, some lines at a time, until it ends; empty lines are left out."""
        with self._supervisor.stdout as output:
            for batch in batches(output.fileno()):
                if lines := [line for line in batch if line]:
                    yield lines

    def has_ended(self) -> bool:
        return self._supervisor.poll() is not None

    def wait(self) -> int:
        """Wait for its end; return its exit code."""
        return self._supervisor.wait()

    def stop(self, grace_s: float) -> None:
        """SIGTERM now, SIGKILL after the grace time; without one, at once."""
        isolation.terminate(self._supervisor)
        if not grace_s:
            return self._end_grace()
        timer = threading.Timer(grace_s, self._end_grace)
        timer.daemon = True
        timer.start()

    def _end_grace(self) -> None:
        self.killed |= not self.has_ended()
        self.kill()

    def kill(self) -> None:
        """End the whole process tree at once."""
        isolation.kill(self._supervisor)
