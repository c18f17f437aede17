"""A state folder on a disk that fills under load: ``python -m ... STATE POINTS SEED``.

The workers go on while nothing, or a few blocks, are left. What the engine acknowledges meanwhile
must be there afterwards, and what it refuses for want of room must not. After a while there is room
again, or the engine is killed first, and perhaps started again before there is room.
"""

from __future__ import annotations

import contextlib
import os
import random
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from debugger_support.processes import wait_until
from engine_support.answers import check_answer
from engine_support.clients import running_engine
from engine_support.faults.suite import Suite
from local_sagemaker.daemon import EngineError

BLOCK = 4096
LEFT = [0, 0, 1, 3, 10, 40]  # blocks that are left while the disk is full
LONGEST_S = 1.0  # of the work before the disk is full, and of that after it has room again
REFUSALS = 5  # of requests, until which the disk stays full at least
ENDS = ["room", "room", "kill", "restart"]  # in turn: how it goes on from there


class Disk:
    """The file system of a folder, which a file of no use can fill."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.ballast = folder, folder / "ballast"

    @contextmanager
    def full(self, left: int) -> Iterator[None]:
        """Inside the block about `left` blocks are free, also where others give some back."""
        done = threading.Event()
        self._fill(left)
        thread = threading.Thread(target=self._keep_full, args=(left, done), daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()
            self.ballast.unlink()

    def _keep_full(self, left: int, done: threading.Event) -> None:
        while not done.wait(0.01):
            self._fill(left)

    def _fill(self, left: int) -> None:
        with self.ballast.open("ab") as file:
            size = self.ballast.stat().st_size
            free = os.statvfs(self.folder).f_bavail - left
            while free > 0:
                try:
                    os.posix_fallocate(file.fileno(), size, free * BLOCK)
                    return
                except OSError:  # somebody else took some
                    free = min(free // 2, os.statvfs(self.folder).f_bavail - left)


class Fills(Suite):
    """Fills the disk, while the workers work."""

    def __init__(self, state: Path, seed: int) -> None:
        super().__init__(state, seed)
        self.disk, self.ends = Disk(state.parent), dict.fromkeys(ENDS, 0)
        for worker in self.workers:
            worker.may_be_full = True

    @property
    def refusals(self) -> int:
        """How many requests were refused for want of room."""
        return sum(worker.refusals for worker in self.workers)

    def point(self, number: int) -> None:
        """Work, fill the disk, go on, and count."""
        end = ENDS[number % len(ENDS)]
        self.ends[end] += 1
        with contextlib.ExitStack() as stack:
            with running_engine(self.state) as aws:
                # Its check of answers knows no 507, which is no error of AWS's.
                aws.sagemaker.meta.events.unregister("after-call.sagemaker", check_answer)
                self.prepare(aws) if number == 0 else self.check(aws)
                with self.load(aws, number):
                    time.sleep(self.random.uniform(0.05, LONGEST_S))
                    stack.enter_context(self.disk.full(self.random.choice(LEFT)))
                    wait_until(lambda before=self.refusals: self.refusals >= before + REFUSALS)
                    time.sleep(self.random.uniform(0, LONGEST_S))
                    if end == "room":
                        stack.close()
                        time.sleep(self.random.uniform(0.05, LONGEST_S))
                    else:
                        self.kill_engine(aws)
                if end == "room":
                    assert not (gone := [w.cut_off for w in self.workers if w.cut_off]), gone
                    self.check(aws)
                    self.served(aws)
            if end == "restart":
                self.start_without_room()

    def start_without_room(self) -> None:
        """An engine that can start serves what there is; one that cannot says why."""
        try:
            with running_engine(self.state) as aws:
                aws.s3.list_buckets()
        except EngineError as error:
            assert any(words in str(error) for words in ("full", "space")), error


def main() -> None:
    state, points, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    random.seed(seed)
    suite = Fills(state, seed)
    for number in range(points):
        suite.point(number)
    with running_engine(state) as aws:
        suite.check(aws)
        suite.served(aws)
    ends = ", ".join(f"{count} x {end}" for end, count in suite.ends.items())
    print(
        f"seed {seed}: the disk was full {points} times ({ends}); refused {suite.refusals}, "
        f"acknowledged {suite.acknowledged}, lost 0; {suite.facts} facts left"
    )
    assert suite.acknowledged > 10 * points


if __name__ == "__main__":
    main()
