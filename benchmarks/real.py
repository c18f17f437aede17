"""`make check-real DATA=folder`: our recipe from scratch on real photos, beside plain SGD and Adam.

    python -m benchmarks.real --data FOLDER [--seconds 90 | --epochs 30] [--jobs 2] [--json FILE]

FOLDER has `train`, `valid` and `test`, each with one folder a class. Every run is `train.py` in a
process of its own: the same network, size of photos, batch size and number of epochs for all.

1. How many epochs the slowest method manages in `--seconds` is found by a short run of it, unless
   `--epochs` says it. With that, nothing depends on how busy the machine is.
2. Each method's learning rate is chosen, with one seed and in half the epochs, by a part of `train`
   that those runs do not learn from. Neither `valid` nor `test` is looked at.
3. Each method then learns from all of `train`, once a seed, and is scored on the photos of `valid`
   and `test` together: by its top-1 answers after the last epoch.

Differences are paired: the same photos, each with the mean over the seeds.

`--jobs` share the cores. On a busy machine with two cores, `--epochs 30 --jobs 2` was several times
as fast as one job at a time, whose two threads wait for each other at every layer.
"""

import argparse
import csv
import itertools
import json
import math
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.record_gpu import machine
from tools.searches import NAMED

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "entry_points"))  # its modules import each other flatly, as in a job

from data import DataError, PhotoFolder, check_same_classes, list_photos  # noqa: E402

CHANNELS = ("train", "valid", "test")
HELD_OUT = 6 / 32  # of each class's training photos
LAST = 3  # epochs by which a rate is chosen: a single one's accuracy on few photos says little
SHORT = 3  # epochs of the run that tells how long one takes
DRAWS = 10_000

# Our recipe is the one that is recommended; what is no part of a method is the same for all.
_OURS = NAMED["resnet18-scratch"].hyperparameters
SHARED = {name: _OURS[name] for name in ("model", "weights", "image-size", "train-layers")}
SHARED |= {"batch-size": 16}
# As most scripts have it: one rate to the end, and the photos as they are.
_PLAIN = {"schedule": "constant", "warmup": 0, "label-smoothing": 0, "augmentation": "none"}


@dataclass(frozen=True)
class Method:
    """A way to train: `train.py`'s options by name, and the learning rates to choose from."""

    name: str
    options: dict[str, Any]
    rates: tuple[float, ...]


METHODS = (
    Method(
        "recipe",
        {name: value for name, value in _OURS.items() if name not in (*SHARED, "epochs")},
        (3e-4, 1e-3, 3e-3, 1e-2),
    ),
    Method(
        "SGD",
        {"optimizer": "sgd", "momentum": 0.9, "weight-decay": 1e-4, **_PLAIN},
        (3e-3, 1e-2, 3e-2, 1e-1),
    ),
    Method("Adam", {"optimizer": "adam", "weight-decay": 0, **_PLAIN}, (1e-4, 3e-4, 1e-3, 3e-3)),
)


@dataclass(frozen=True)
class Trained:
    """What a run left: its epochs' metrics, seconds by the clock, and each test photo's answer.

    `answers` are (file, label, predicted), in the order of the files.
    """

    history: list[dict[str, Any]]
    seconds: float
    answers: list[tuple[str, str, str]] = field(default_factory=list)

    @property
    def right(self) -> np.ndarray:
        """Whether each test photo's answer is right, as 0 or 1 (photos,)."""
        return np.array([float(label == said) for _, label, said in self.answers])

    @property
    def held_out(self) -> float:
        """The accuracy on the validation photos, over the last epochs."""
        return statistics.fmean(epoch["valid_accuracy"] for epoch in self.history[-LAST:])

    def __str__(self) -> str:
        share, photos = self.held_out, "held-out"
        if self.answers:
            share, photos = self.right.mean(), "scored"
        return f"{share:.1%} of the {photos} photos right, {self.seconds:.0f} s"


def train(options: dict[str, Any], threads: int, model_dir: Path | None = None) -> Trained:
    """Run `train.py` with these options, on so many threads; RuntimeError if it fails.

    The model is kept in `model_dir`, if it is given.
    """
    # A job's own variables would say otherwise than the arguments.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SM_")}
    environment["OMP_NUM_THREADS"] = str(threads)
    with tempfile.TemporaryDirectory(prefix="check-real-") as folder:
        # A loss that is no number is one of a rate's possible ends, and answers nothing.
        given = {**options, "nan-loss": "continue"}
        given |= {
            "model-dir": model_dir or f"{folder}/model",
            "output-data-dir": f"{folder}/output",
        }
        words = [word for name, value in given.items() for word in (f"--{name}", str(value))]
        command = [sys.executable, str(ROOT / "entry_points" / "train.py"), *words]
        begin = time.perf_counter()
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        seconds = time.perf_counter() - begin
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}\nended with {done.returncode}: {done.stderr}")
        output = Path(folder) / "output"
        history = [json.loads(line) for line in (output / "history.jsonl").open()]
        return Trained(history, seconds, _answers(output / "predictions.csv"))


def _answers(file: Path) -> list[tuple[str, str, str]]:
    if not file.is_file():  # there was no test channel
        return []
    with file.open(newline="") as lines:
        return [(row["file"], row["label"], row["predicted"]) for row in csv.DictReader(lines)]


def read(data: Path) -> dict[str, PhotoFolder]:
    """List the photos of the three channels; DataError unless all are there, with equal classes."""
    if not data.is_dir():
        raise DataError(f"no folder {data}: give one with {', '.join(CHANNELS)} in it")
    channels = {name: list_photos(data / name) for name in CHANNELS}
    for name in CHANNELS:
        check_same_classes(channels["train"], channels[name], name)
    return channels


def hold_out(folder: PhotoFolder, seed: int = 0) -> tuple[list[Path], list[Path]]:
    """Return the files to learn from and those held out: a share of HELD_OUT of each class.

    Raises DataError for a class with a single photo.
    """
    kept, held = [], []
    for label, name in enumerate(folder.classes):
        files = [f for f, own in zip(folder.files, folder.labels, strict=True) if own == label]
        if len(files) < 2:
            raise DataError(f"{name} has {len(files)} photo to learn from: 2 are needed to choose")
        chosen = random.Random(f"{seed} {name}").sample(files, max(1, round(HELD_OUT * len(files))))
        held += chosen
        kept += [file for file in files if file not in chosen]
    return kept, held


def link(files: Iterable[Path], data: Path, target: Path) -> Path:
    """Have `target/<class>/` point to the files, which are those of `data/<channel>/<class>/`.

    A link's name begins with its channel, so that photos of two channels do not meet.
    """
    for file in files:
        channel, name, *rest = file.relative_to(data).parts
        place = target / name / "-".join((channel, *rest))
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(file.resolve())
    return target


@dataclass(frozen=True)
class Folders:
    """Where the photos are: all of train, its two parts, and those that are scored."""

    train: Path
    kept: Path
    held: Path
    scored: Path

    @classmethod
    def made(cls, data: Path, links: Path) -> "Folders":
        """Read the photos below `data`, and link them together below `links`."""
        channels = read(data)
        kept, held = hold_out(channels["train"])
        scored = channels["valid"].files + channels["test"].files
        parts = {"kept": kept, "held": held, "scored": scored}
        linked = {name: link(files, data, links / name) for name, files in parts.items()}
        return cls(data / "train", **linked)


@dataclass(frozen=True)
class Bench:
    """What all runs have in common; `jobs` of them run at a time."""

    folders: Folders
    shared: dict[str, Any]
    methods: tuple[Method, ...]
    jobs: int = 1

    def choosing(self, method: Method, lr: float, epochs: int) -> Trained:
        """Learn from a part of train, with the other part as the validation photos."""
        return self._run(method, lr, epochs, 0, self.folders.kept)

    def scoring(self, method: Method, lr: float, epochs: int, seed: int) -> Trained:
        """Learn from all of train, and answer to the photos that are scored."""
        # The validation photos are of train, so that nothing is seen of the others on the way.
        test = {"test-dir": self.folders.scored}
        return self._run(method, lr, epochs, seed, self.folders.train, test)

    def _run(self, method, lr, epochs, seed, train_dir, more=()) -> Trained:
        channels = {"train-dir": train_dir, "valid-dir": self.folders.held, **dict(more)}
        options = {**self.shared, **method.options, "lr": lr, "epochs": epochs, "seed": seed}
        return train({**options, **channels}, max(1, (os.cpu_count() or 1) // self.jobs))

    def all(self, runs: dict[str, Callable[[], Trained]]) -> list[Trained]:
        """Do the runs, say what came out of each, and return that in their order."""
        numbers = itertools.count(1)

        def do(name: str) -> Trained:
            trained = runs[name]()
            print(f"  {next(numbers)} of {len(runs)}: {name}: {trained}", flush=True)
            return trained

        with ThreadPoolExecutor(self.jobs) as pool:
            return list(pool.map(do, runs))


def affordable(bench: Bench, seconds: float) -> int:
    """Return the epochs that the slowest method manages in `seconds`, by the clock: at least one.

    The slowest is the one that augments, our recipe. As many of its runs as later at a time are
    tried, so that they are as slow as they will be.
    """
    slowest = bench.methods[0]
    run = partial(bench.scoring, slowest, slowest.rates[0], SHORT, 0)
    tried = bench.all(
        {f"{slowest.name}, {SHORT} epochs, job {n + 1}": run for n in range(bench.jobs)}
    )
    return min(epochs_within(seconds, run) for run in tried)


def epochs_within(seconds: float, tried: Trained) -> int:
    """Return how many epochs fit into `seconds`, with the process's start and end, by a short run.

    An epoch takes as long as the run's median one.
    """
    each = [epoch["seconds"] for epoch in tried.history]
    return max(1, int((seconds - (tried.seconds - sum(each))) / statistics.median(each)))


def choose(bench: Bench, epochs: int) -> dict[str, dict[float, float]]:
    """Return how well each method does on the held-out photos with each of its rates."""
    pairs = [(method, lr) for method in bench.methods for lr in method.rates]
    runs = {f"{m.name}, lr {lr:g}": partial(bench.choosing, m, lr, epochs) for m, lr in pairs}
    found: dict[str, dict[float, float]] = {method.name: {} for method in bench.methods}
    for (method, lr), trained in zip(pairs, bench.all(runs), strict=True):
        found[method.name][lr] = trained.held_out
    return found


def best(found: dict[float, float]) -> float:
    """Return the rate that did best; of several, the lowest."""
    return max(sorted(found), key=found.__getitem__)


def score(
    bench: Bench, rates: dict[str, float], epochs: int, seeds: int
) -> dict[str, list[Trained]]:
    """Return each method's runs at its rate, one a seed."""
    pairs = [(method, seed) for seed in range(seeds) for method in bench.methods]
    runs = {
        f"{m.name}, seed {seed}": partial(bench.scoring, m, rates[m.name], epochs, seed)
        for m, seed in pairs
    }
    found: dict[str, list[Trained]] = {method.name: [] for method in bench.methods}
    for (method, _), trained in zip(pairs, bench.all(runs), strict=True):
        found[method.name].append(trained)
    return found


@dataclass(frozen=True)
class Difference:
    """By how much the mean accuracy of one method is above another's, with its 95 % interval."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        mean, low, high = (f"{100 * value:+.1f}" for value in (self.mean, self.low, self.high))
        return f"{mean} points (95 % interval {low} to {high})"

    @property
    def verdict(self) -> str:
        """What the interval says."""
        if self.low > 0:
            return "better than"
        return "worse than" if self.high < 0 else "not told apart from"


def difference(ours: np.ndarray, theirs: np.ndarray, draws: int = DRAWS) -> Difference:
    """Compare two methods by their right answers, 0 or 1, each (seeds, photos).

    The interval is the percentile bootstrap's over photos, each with the mean of its seeds (Efron
    and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13): it says how another draw of
    photos would turn out with these very runs. How much runs differ, the seeds show.
    Raises ValueError unless there are as many photos in both, and one at least.
    """
    if ours.shape[1] != theirs.shape[1] or not ours.shape[1]:
        raise ValueError(f"{ours.shape[1]} photos beside {theirs.shape[1]}: they must be the same")
    photos = ours.mean(0) - theirs.mean(0)
    drawn = np.random.default_rng(0).integers(len(photos), size=(draws, len(photos)))
    low, high = np.percentile(photos[drawn].mean(1), (2.5, 97.5))
    return Difference(float(photos.mean()), float(low), float(high))


def rights(runs: list[Trained]) -> np.ndarray:
    """Return a method's right answers (seeds, photos); RuntimeError unless all saw the same."""
    photos = [[(file, label) for file, label, _ in run.answers] for run in runs]
    if any(seen != photos[0] for seen in photos):
        raise RuntimeError("the runs were not scored on the same photos")
    return np.array([run.right for run in runs])


def table(runs: dict[str, list[Trained]], rates: dict[str, float]) -> str:
    """Return the accuracy of every run as lines of text."""
    seeds = range(len(next(iter(runs.values()))))
    lines = [f"{'method':8}{'lr':>8}" + "".join(f"{f'seed {n}':>9}" for n in seeds) + "     mean"]
    for name, own in runs.items():
        shares = [*(run.right.mean() for run in own), rights(own).mean()]
        lines.append(f"{name:8}{rates[name]:>8g}" + "".join(f"{share:>9.1%}" for share in shares))
    return "\n".join(lines)


def compare(bench: Bench, epochs: int, seeds: int) -> dict[str, Any]:
    """Choose, score, print, and return all that was found, as JSON can take it."""
    short = math.ceil(epochs / 2)
    print(f"choosing each learning rate, in {short} epochs, by the held-out photos", flush=True)
    tried = choose(bench, short)
    rates = {name: best(found) for name, found in tried.items()}
    print(f"scoring on valid and test together, after {epochs} epochs", flush=True)
    runs = score(bench, rates, epochs, seeds)
    first, *others = runs
    found = {name: difference(rights(runs[first]), rights(runs[name])) for name in others}
    print(table(runs, rates))
    parts = [f"{each.verdict} {name}: {each}" for name, each in found.items()]
    photos = len(runs[first][0].answers)
    print(f"On {photos} photos, the {first} is {'; '.join(parts)}.", flush=True)
    return {
        "machine": machine(),
        "epochs": epochs,
        "shared": bench.shared,
        "methods": [asdict(method) for method in bench.methods],
        "held_out_accuracy": tried,
        "rates": rates,
        "runs": {name: [asdict(run) for run in own] for name, own in runs.items()},
        "differences": {name: asdict(each) for name, each in found.items()},
    }


def main(argv: list[str] | None = None) -> None:
    """Run the command line; exits with 2 on wrong arguments, with 1 on photos it cannot use."""
    parser = argparse.ArgumentParser(description="Our recipe from scratch, beside SGD and Adam.")
    parser.add_argument("--data", metavar="FOLDER", help=f"photos: {', '.join(CHANNELS)}")
    parser.add_argument("--seconds", type=float, default=90, help="for a run of the slowest method")
    parser.add_argument("--epochs", type=int, help="of each run, instead of --seconds")
    parser.add_argument("--seeds", type=int, default=3, help="how many")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time, which share the cores")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep all that was found here")
    arguments = parser.parse_args(argv)
    if not arguments.data:
        parser.error("no photos: give their folder, as in make check-real DATA=dogImages")
    for name in ("seconds", "seeds", "jobs", "epochs"):
        value = getattr(arguments, name)
        if value is not None and value <= 0:
            parser.error(f"--{name} is {value}, and must be more than 0")
    data = Path(arguments.data).expanduser().resolve()
    with tempfile.TemporaryDirectory(prefix="check-real-") as links:
        try:
            folders = Folders.made(data, Path(links))
        except DataError as error:
            sys.exit(f"error: {error}")
        bench = Bench(folders, SHARED, METHODS, arguments.jobs)
        epochs = arguments.epochs or affordable(bench, arguments.seconds)
        found = compare(bench, epochs, arguments.seeds)
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
