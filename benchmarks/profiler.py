"""What the profiler costs, beside its goals: `make bench`, or this file alone.

    python benchmarks/profiler.py [--seconds 20] [monitor steps]

`monitor`: the processor time of the sampler's process, which samples this process every 500 ms.
`steps`: what recording its parts costs a step of `train.py`'s loop. One network trains with the
recorder and one without. They take turns in passes of ten steps, so that other load on the machine
affects both alike. The recorder's own time is also measured on steps that do nothing: on a busy
machine, that is the only figure that is not lost in the noise.
The report's cost is measured in `packages/open-debugger/benchmarks/report.py`.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as in the engine's jobs
sys.path.insert(0, str(Path(__file__).parents[1] / "entry_points"))

import psutil
import torch
from torch import nn

import models
import train
from checkpoint import Progress, Stop
from debugger import sampling
from debugger.steps import Steps
from distributed import choose_device
from extras import Extras
from optim import make_optimizer, make_scheduler, parameter_groups
from options import build_parser

INTERVAL_MS = 500
MONITOR_GOAL = STEPS_GOAL = 0.01  # of one core; of a step
SIDE, BATCH, CLASSES, BLOCK = 96, 16, 133, 10


def measure_monitor(seconds: float, folder: Path) -> None:
    """Print the sampler's processor time by the clock, of one core and of the machine."""
    with sampling.running(folder, INTERVAL_MS):
        (process,) = psutil.Process().children()
        time.sleep(2)  # its start is no matter of its interval
        before, begin = _processor(process), time.perf_counter()
        time.sleep(seconds)
        used, passed = _processor(process) - before, time.perf_counter() - begin
        resident = process.memory_info().rss
    share, cores = used / passed, os.cpu_count() or 1
    print(f"sampling every {INTERVAL_MS} ms for {passed:.0f} s, {len(psutil.pids())} processes")
    print(
        f"  {share:.2%} of one core: {share / MONITOR_GOAL:.2f} x the goal of {MONITOR_GOAL:.0%};"
        f" {share / cores:.2%} of the machine's {cores}; {resident / 2**20:.0f} MiB"
    )


def _processor(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


class Recorded(Extras):
    """The recorder of steps alone, without the other things that watch a job."""

    def __init__(self, steps: Steps):
        self.steps = steps

    def begin(self, phase: str, epoch: int) -> None:
        self.steps.begin(phase, epoch)

    def timed(self, loader: Iterable[Any], device: torch.device) -> Iterable[Any]:
        return self.steps.over(loader, device)

    def mark(self, part: str) -> None:
        self.steps.mark(part)


class Trained:
    """A network in training; its steps are recorded in a folder, if there is one."""

    def __init__(self, folder: Path | None):
        torch.manual_seed(0)
        self.world = choose_device("auto")
        options = build_parser().parse_args([])
        model = models.build(options.model, CLASSES)
        self.model = model.to(self.world.device, memory_format=torch.channels_last)
        groups = parameter_groups(model, options.lr, options.lr * options.body_lr)
        optimizer = make_optimizer(groups, options)
        scheduler = make_scheduler(optimizer, options, 10**6)
        fp16 = self.world.precision == "fp16"
        scaler = torch.amp.GradScaler(self.world.device.type, enabled=fp16)
        self.learning = (nn.CrossEntropyLoss(), optimizer, scheduler, scaler)
        preprocessing = models.preprocessing_of(options.model).resized(SIDE)
        recorded = Recorded(Steps(folder))
        self.progress = Progress(self.world)
        self.run = train.Run(options, preprocessing, self.world, recorded, Stop(self.world))
        self.batches, self.seconds, self.processor = [_batch()] * BLOCK, [], 0.0

    def block(self) -> None:
        """Train for ten steps."""
        begin, used = time.perf_counter(), time.process_time()
        rest = (self.progress, self.run, lambda: None)
        train.train_one_epoch(self.model, self._feed, *self.learning, *rest)
        if self.world.device.type == "cuda":
            torch.cuda.synchronize()
        self.seconds.append((time.perf_counter() - begin) / BLOCK)
        self.processor += time.process_time() - used

    def _feed(self, *_: object) -> tuple[nn.Module, list[tuple[torch.Tensor, torch.Tensor]]]:
        return self.model, self.batches


def _batch() -> tuple[torch.Tensor, torch.Tensor]:
    photos = torch.randint(0, 256, (BATCH, SIDE, SIDE, 3), dtype=torch.uint8)
    return photos, torch.randint(0, CLASSES, (BATCH,))


def measure_steps(seconds: float, folder: Path) -> None:
    """Print what the recorder costs a step, by the two networks and by itself."""
    bare, recorded = Trained(None), Trained(folder)
    for each in (bare, recorded):
        each.block()  # warms up
        each.seconds, each.processor = [], 0.0
    begin, turn = time.perf_counter(), 0
    while time.perf_counter() - begin < seconds or turn < 2:
        for each in (bare, recorded) if turn % 2 else (recorded, bare):
            each.block()
        turn += 1
    means = [statistics.mean(each.seconds) for each in (bare, recorded)]
    print(f"ResNet50, {SIDE} px, batch {BATCH}, {turn * BLOCK} steps each: {bare.world}")
    print(
        f"  {means[1] * 1e3:.1f} ms a step, {means[1] / means[0]:.3f} x without the recorder,"
        f" {recorded.processor / bare.processor:.3f} x its processor; the goal is"
        f" {1 + STEPS_GOAL:.2f} x"
    )
    own = _own_cost(folder)
    ratio = own / means[0]
    print(
        f"  the recorder by itself: {own * 1e6:.0f} us a step, {ratio:.3%} of this one:"
        f" {ratio / STEPS_GOAL:.3f} x the goal of {STEPS_GOAL:.0%}"
    )


def _own_cost(folder: Path, count: int = 20_000) -> float:
    """Seconds of the processor that recording takes, over steps of four parts and nothing else."""
    batches, device = [(None, range(BATCH))] * count, torch.device("cpu")
    used = []
    for steps in (Steps(folder / "own"), Steps()):
        begin = time.process_time()
        for _ in steps.over(batches, device):
            for part in ("HostToDevice", "Forward", "Backward", "Optimizer"):
                steps.mark(part)
        steps.close()
        used.append(time.process_time() - begin)
    return (used[0] - used[1]) / count


SECTIONS: dict[str, Callable[[float, Path], None]] = {
    "monitor": measure_monitor,
    "steps": measure_steps,
}


def main() -> None:
    """Measure the sections that are named, or all."""
    parser = argparse.ArgumentParser(description="What the profiler costs.")
    parser.add_argument("sections", nargs="*", help=f"of {', '.join(SECTIONS)}")
    parser.add_argument("--seconds", type=float, default=20, help="for each section")
    arguments = parser.parse_args()
    if unknown := set(arguments.sections) - set(SECTIONS):
        parser.error(f"there is no {', '.join(unknown)}: choose of {', '.join(SECTIONS)}")
    for name in arguments.sections or SECTIONS:
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            SECTIONS[name](arguments.seconds, Path(folder))


if __name__ == "__main__":
    main()
