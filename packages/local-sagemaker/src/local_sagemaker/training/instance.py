"""One instance of a job: the container's process on it, and what that prints."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from local_sagemaker.runtime import container, isolation
from local_sagemaker.runtime.output import Output
from local_sagemaker.runtime.tree import Tree
from local_sagemaker.training.cluster import Host
from local_sagemaker.training.mirroring import PROFILER

STOP_GRACE_S = 120  # between SIGTERM and SIGKILL, as on SageMaker
TAIL = 60  # lines of output kept for a FailureReason


class Instance:
    """A container's process: started once, read to its end, stopped when asked."""

    def __init__(
        self,
        folder: Path,
        host: Host,
        hosts: list[Host],
        publish: Callable[[Instance, list[bytes]], None],
        read_only: Sequence[str] = (),
    ) -> None:
        """One of `hosts`, its files below `folder`; `publish` gets its lines as they come.

        `read_only` names folders below ``/opt/ml`` that the command cannot write to.
        """
        self.host, self.hosts, self.publish, self.read_only = host, hosts, publish, read_only
        self.ml, self.scratch = folder / "ml", folder / "scratch"  # `ml` becomes /opt/ml
        self.profiler = folder / PROFILER
        self.tree = Tree(folder, self.ml)
        self.tail: deque[str] = deque(maxlen=TAIL)
        self.process = None
        self.stopping = threading.Event()
        self.grace_s: float = STOP_GRACE_S
        self.killed = False  # at the end of the grace time

    def run(
        self,
        command: list[str],
        environment: dict[str, str],
        kept: Iterable[str | Path],
        beside: Callable[[Instance], AbstractContextManager] = nullcontext,
    ) -> int:
        """Run the container's command to its end, something `beside` it; return its exit code.

        `kept` is what it needs of the machine's files (see `container.kept`).
        """
        cwd = container.inside(self.ml, container.ML)
        self.process = isolation.start(
            self.ml,
            self.scratch,
            command,
            environment,
            cwd,
            read_only=self.read_only,
            host=self.host.name,
            addresses={host.name: host.address for host in self.hosts},
            kept=kept,
        )
        if self.stopping.is_set():  # asked while the process was being made
            self.stop(self.grace_s)
        try:
            with beside(self):
                Output(lambda lines: self.publish(self, lines)).read(self.process.stdout.fileno())
                return self.process.wait()
        finally:
            self.process.stdout.close()

    def stop(self, grace_s: float | None = None) -> None:
        """SIGTERM now, SIGKILL after the grace time; without one, at once."""
        self.grace_s = STOP_GRACE_S if grace_s is None else grace_s
        self.stopping.set()
        if not self.process:
            return
        isolation.terminate(self.process)
        if not self.grace_s:
            return self._end_grace()
        timer = threading.Timer(self.grace_s, self._end_grace)
        timer.daemon = True
        timer.start()

    def _end_grace(self) -> None:
        self.killed |= self.process.poll() is None
        isolation.kill(self.process)

    def kill(self) -> None:
        """End the whole process tree at once."""
        self.stopping.set()
        if self.process:
            isolation.kill(self.process)
