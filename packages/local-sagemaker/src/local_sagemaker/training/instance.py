"""One instance of a job: the container's process on it, and what that prints."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from local_sagemaker.runtime import container, isolation
from local_sagemaker.runtime.process import ContainerProcess
from local_sagemaker.runtime.tree import Tree
from local_sagemaker.training.cluster import Host
from local_sagemaker.training.data.mirroring import PROFILER

STOP_GRACE_S = 120  # between SIGTERM and SIGKILL, as on SageMaker
TAIL = 60  # lines of output kept for a FailureReason
TAIL_LENGTH = 4096  # characters of a line that a FailureReason may need


class Instance:
    """A container's process: started once, read to its end, stopped when asked."""

    def __init__(
        self, folder: Path, host: Host, hosts: list[Host], read_only: Sequence[str] = ()
    ) -> None:
        """One of `hosts`, its files below `folder`.

        `read_only` names folders below ``/opt/ml`` that the command cannot write to.
        """
        self.host, self.hosts, self.read_only = host, hosts, read_only
        self.ml, self.scratch = folder / "ml", folder / "scratch"  # `ml` becomes /opt/ml
        self.profiler = folder / PROFILER
        self.tree = Tree(folder, self.ml)
        self.tail: deque[str] = deque(maxlen=TAIL)
        self.process: ContainerProcess | None = None
        self.stopping = threading.Event()
        self.grace_s: float = STOP_GRACE_S

    def start(
        self, command: list[str], environment: dict[str, str], kept: Iterable[str | Path]
    ) -> None:
        """Start the container's command; `kept` is what it needs of the machine's files."""
        supervisor = isolation.start(
            self.ml,
            self.scratch,
            command,
            environment,
            container.inside(self.ml, container.ML),
            read_only=self.read_only,
            host=self.host.name,
            addresses={host.name: host.address for host in self.hosts},
            kept=kept,
        )
        self.process = ContainerProcess(supervisor)
        if self.stopping.is_set():  # asked while the process was being made
            self.stop(self.grace_s)

    def lines(self) -> Iterator[list[str]]:
        """What the command prints, some lines at a time, until it ends."""
        for lines in self.process.lines():
            self.tail.extend(line[-TAIL_LENGTH:] for line in lines)
            yield lines

    @property
    def killed(self) -> bool:
        """Whether the command had not ended at the end of the grace time."""
        return self.process is not None and self.process.killed

    def stop(self, grace_s: float | None = None) -> None:
        """SIGTERM now, SIGKILL after the grace time; without one, at once."""
        self.grace_s = STOP_GRACE_S if grace_s is None else grace_s
        self.stopping.set()
        if self.process:
            self.process.stop(self.grace_s)

    def kill(self) -> None:
        """End the whole process tree at once."""
        self.stopping.set()
        if self.process:
            self.process.kill()
