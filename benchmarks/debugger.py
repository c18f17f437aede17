"""What Debugger's hook costs a training step: `make bench`, or this file alone.

    python benchmarks/debugger.py [--steps 200] [idle course losses reductions layers]

Mean milliseconds a step of ResNet50 at 96 px, batch 16, as train.py makes one. Each variant has a
network of its own; they take turns in blocks of ten steps, so that what else happens on the machine
hits all alike; on a busy one, the ratio of processor time is the steadier. The median is that of a
step that saves nothing or little, the mean has everything.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as in the engine's jobs
sys.path.insert(0, str(Path(__file__).parents[1] / "entry_points"))

import torch
from torch import nn

import networks
from arguments import build_parser
from learning import Learner, Machine, choose_machine
from photos import normalise
from records import hookconfig
from records.debugging import Debugger

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


class Variant:
    """A network that learns, with a hook or without, and the seconds of its steps."""

    def __init__(self, config: dict | None, folder: Path, machine: Machine, steps: int):
        torch.manual_seed(0)
        model = networks.build("resnet50", CLASSES).to(
            machine.device, memory_format=torch.channels_last
        )
        self.model, self.criterion, self.machine = model, nn.CrossEntropyLoss(), machine
        given = hookconfig.parse(json.dumps(config)) if config else None
        self.folder, self.seconds, self.processor = folder, [], 0.0
        self.debugger = Debugger(given, folder)
        with redirect_stdout(StringIO()):  # where the tensors go is of no interest here
            self.debugger.register(model, self.criterion)
        if given:
            from smdebug.core.singleton_utils import del_hook

            del_hook()  # smdebug gives a process one hook only
        groups = [{"params": list(model.parameters())}]
        self.learn = Learner(build_parser().parse_args([]), groups, steps, machine)

    def block(self, photos: torch.Tensor, labels: torch.Tensor) -> None:
        self.debugger.training()
        self.model.train()
        begun = time.process_time()
        for _ in range(BLOCK):
            self.seconds.append(timed(lambda: self._step(photos, labels)))
        self.processor += time.process_time() - begun

    def _step(self, photos: torch.Tensor, labels: torch.Tensor) -> None:
        with self.machine.autocast():
            loss = self.criterion(self.model(normalise(photos, self.machine.device)), labels)
        self.learn(loss)
        loss.item()  # waits for a GPU

    def megabytes(self) -> float:
        self.debugger.close()
        return sum(f.stat().st_size for f in self.folder.rglob("*") if f.is_file()) / 1e6


def timed(call: Callable[[], object]) -> float:
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


def measure(names: list[str], steps: int, folder: Path) -> dict[str, Variant]:
    """Take `steps` steps of each variant, and of a network without a hook."""
    machine = choose_machine("auto")
    print(f"ResNet50, {SIDE} px, batch {BATCH}, {steps} steps each: {machine}", flush=True)
    photos = torch.randint(0, 256, (BATCH, SIDE, SIDE, 3), dtype=torch.uint8)
    labels = torch.randint(0, CLASSES, (BATCH,)).to(machine.device)
    configs = {"no hook": None, **{name: VARIANTS[name] for name in names}}
    made = {n: Variant(c, folder / n.replace(" ", "-"), machine, steps) for n, c in configs.items()}
    warm_up = Variant(None, folder / "warm-up", machine, steps)
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
