"""What Debugger's hook costs a training step: `make bench`, or this file alone.

    python benchmarks/debugger.py [--steps 200] [idle course losses reductions layers]

Mean milliseconds per step of `train.py`'s loop, with ResNet50 at 96 px and batches of 16. Each
variant has its own network. The variants take turns in blocks of ten steps, so that other load on
the machine affects all of them alike. On a busy machine, the ratio of processor time is steadier.
The median is that of a step that saves little or nothing; the mean includes everything.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as in the engine's jobs
sys.path.insert(0, str(Path(__file__).parents[1] / "entry_points"))

import torch
from torch import nn

import models
import train
from checkpoint import Progress, Stop
from debugger import hookconfig
from debugger.hook import Debugger
from distributed import World, choose_device
from extras import Extras
from optim import make_optimizer, make_scheduler, parameter_groups
from options import build_parser

SIDE, BATCH, CLASSES, BLOCK = 96, 16, 133, 10
GOAL = 1.05  # of the course's configuration, over no hook


def every(steps: int, **parameters: str) -> dict[str, str]:
    return {"train.save_interval": str(steps), **parameters}


def collections(**named: dict[str, str]) -> dict:
    """A configuration as `--debug-config` takes it."""
    made = [{"CollectionName": n, "CollectionParameters": p} for n, p in named.items()]
    return {"CollectionConfigurations": made}


NUMBERS = "mean,std,abs_mean,abs_max,l2_norm"
VARIANTS = {
    "idle": collections(losses=every(1, start_step="1000000")),
    "course": collections(losses=every(10), weights=every(100), gradients=every(100)),
    "losses": collections(losses=every(1)),
    "reductions": collections(
        losses=every(10),
        weights=every(100, reductions=NUMBERS),
        gradients=every(100, reductions=NUMBERS),
    ),
    "layers": collections(
        losses=every(10),
        layers=every(100, include_regex=r"(conv1|layer\d\.0\.conv2|fc)\.(weight|bias)"),
    ),
}
DEFAULT = ("idle", "course", "losses")


class Hooked(Extras):
    """Debugger's hook alone, without the other things that watch a job."""

    def __init__(self, hook: Debugger):
        self.hook = hook

    def begin(self, phase: str, epoch: int) -> None:
        self.hook.begin(phase)

    def gradients_ready(self, model: nn.Module) -> None:
        self.hook.save_gradients(model)


class Variant:
    """A network in training, with or without a hook, and the seconds of its steps."""

    def __init__(self, config: dict | None, folder: Path, world: World, steps: int):
        torch.manual_seed(0)
        options = build_parser().parse_args([])
        model = models.build(options.model, CLASSES)
        self.model = model.to(world.device, memory_format=torch.channels_last)
        criterion = nn.CrossEntropyLoss()
        groups = parameter_groups(model, options.lr, options.lr * options.body_lr)
        optimizer = make_optimizer(groups, options)
        scheduler = make_scheduler(optimizer, options, steps)
        scaler = torch.amp.GradScaler(world.device.type, enabled=world.precision == "fp16")
        self.learning = (criterion, optimizer, scheduler, scaler)
        given = hookconfig.parse(json.dumps(config)) if config else None
        self.folder, self.seconds, self.processor = folder, [], 0.0
        self.debugger = Debugger(given, folder)
        with redirect_stdout(StringIO()):  # where the tensors go is of no interest here
            self.debugger.register(model, criterion, scaler)
        if given:
            from smdebug.core.singleton_utils import del_hook

            del_hook()  # smdebug gives a process one hook only
        preprocessing = models.preprocessing_of(options.model).resized(SIDE)
        hooked = Hooked(self.debugger)
        self.progress = Progress(world)
        self.run = train.Run(options, preprocessing, world, hooked, Stop(world))

    def block(self, photos: torch.Tensor, labels: torch.Tensor) -> None:
        """Train for ten steps on the same photos."""

        def feed(*_: object) -> tuple[nn.Module, Iterator[tuple[torch.Tensor, torch.Tensor]]]:
            return self.model, self._batches(photos, labels)

        begun = time.process_time()
        rest = (self.progress, self.run, lambda: None)
        train.train_one_epoch(self.model, feed, *self.learning, *rest)
        self.processor += time.process_time() - begun

    def _batches(
        self, photos: torch.Tensor, labels: torch.Tensor
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield the batch ten times, and measure the time until the next one is asked for."""
        for _ in range(BLOCK):
            begun = time.perf_counter()
            yield photos, labels
            if labels.is_cuda:
                torch.cuda.synchronize()
            self.seconds.append(time.perf_counter() - begun)

    def megabytes(self) -> float:
        """Return the size of what the hook has saved."""
        self.debugger.close()
        return sum(f.stat().st_size for f in self.folder.rglob("*") if f.is_file()) / 1e6


def measure(names: list[str], steps: int, folder: Path) -> dict[str, Variant]:
    """Take `steps` steps of each variant, and of a network without a hook."""
    world = choose_device("auto")
    print(f"ResNet50, {SIDE} px, batch {BATCH}, {steps} steps each: {world}", flush=True)
    photos = torch.randint(0, 256, (BATCH, SIDE, SIDE, 3), dtype=torch.uint8)
    labels = torch.randint(0, CLASSES, (BATCH,)).to(world.device)
    configs = {"no hook": None, **{name: VARIANTS[name] for name in names}}
    made = {n: Variant(c, folder / n.replace(" ", "-"), world, steps) for n, c in configs.items()}
    warm_up = Variant(None, folder / "warm-up", world, steps)
    warm_up.block(photos, labels)
    order = list(made.values())
    for turn in range(steps // BLOCK):
        # Each comes first, and after each other, equally often.
        for variant in order[turn % len(order) :] + order[: turn % len(order)]:
            variant.block(photos, labels)
    return made


def show(made: dict[str, Variant]) -> None:
    """Print a line for each: times, what it saved, and the ratio to the network without a hook."""
    bare = made["no hook"]
    for name, variant in made.items():
        mean, median = statistics.mean(variant.seconds), statistics.median(variant.seconds)
        ratio = mean / statistics.mean(bare.seconds)
        beside = f"{ratio:.3f} x no hook, {variant.processor / bare.processor:.3f} x its processor"
        if name == "course":
            beside += f"; the goal is {GOAL} x"
        times = f"{mean * 1e3:.1f} ms, median {median * 1e3:.1f} ms"
        print(f"{name:<12}{times:<30}{variant.megabytes():>7.0f} MB  {beside}", flush=True)


def main() -> None:
    """Measure the variants that are named, or the default ones."""
    parser = argparse.ArgumentParser(description="What Debugger's hook costs a training step.")
    parser.add_argument("variants", nargs="*", help=f"of {', '.join(VARIANTS)}")
    parser.add_argument("--steps", type=int, default=200)
    arguments = parser.parse_args()
    chosen = arguments.variants or list(DEFAULT)
    if unknown := set(chosen) - set(VARIANTS):
        parser.error(f"there is no {', '.join(unknown)}: choose of {', '.join(VARIANTS)}")
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        show(measure(chosen, arguments.steps, Path(folder)))


if __name__ == "__main__":
    main()
