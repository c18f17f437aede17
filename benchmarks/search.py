"""How good is a short search? Random beside Bayesian, with early stopping, and after a warm start.

    python -m benchmarks.search [--data FOLDER] [--size 128] [--seeds 10] [--write]

The trials are those of notebook 02: the head of EfficientNet-Lite0 on the kept features of a frozen
body, with the search's three ranges. Without `--data` the photos are drawn, 133 breeds with 16 to
train on and 4 to validate. The body sees every photo once, for all trials together. The searches
are the local engine's (`local_sagemaker`), one trial after the other, each with a seed of its own;
a trial's seed is its search's, so that two searches never repeat each other's luck.

With `--write` the tables go into docs/tuning.md.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from benchmarks.record_gpu import machine
from course.sample_photos import sample
from course.workspace import ROOT
from local_sagemaker.tuning.early_stopping import is_worse_than_median
from local_sagemaker.tuning.search import Search
from tools.searches import COURSE, Between, Categorical

sys.path.append(str(ROOT / "entry_points"))  # they import each other flatly, as in a job

import features
import models
import train
from data import make_loaders, read_channels
from distributed import joined
from optim import make_optimizer, make_scheduler, parameter_groups
from options import parse

PAGE = ROOT / "docs" / "tuning.md"
MEASURED = ("<!-- measured: written by python -m benchmarks.search --write -->\n", "<!-- end -->")
DRAWN = {"classes": 133, "per_class": (16, 4, 4)}
JOBS = 12  # of the longest search
SHOWN = (3, 6, 12)  # after so many jobs
SPREAD = (0.1, 0.9)  # quantiles


@dataclass(frozen=True)
class Trials:
    """Trials on kept features: `values` (N, F) and `labels` (N,) of each channel."""

    train: features.Outputs
    valid: features.Outputs
    classes: int
    model: nn.Module  # gives each trial a new head
    words: tuple[str, ...]  # the options that all trials share

    def run(self, tuned: dict[str, str], seed: int) -> list[float]:
        """Train a head as a trial of notebook 02 does; return its accuracy after each epoch."""
        options = parse([*self.words, *_words(tuned), "--seed", str(seed)])
        torch.manual_seed(seed)
        network = nn.Sequential(models.new_head(self.model, self.classes))
        network.head_name = "0"
        optimizer = make_optimizer(parameter_groups(network, options.lr, options.lr), options)
        photos = len(self.train.labels)
        batches = -(-photos // options.batch_size)
        scheduler = make_scheduler(optimizer, options, options.epochs * batches)
        criterion = nn.CrossEntropyLoss(label_smoothing=options.label_smoothing)
        series = []
        for _ in range(options.epochs):
            for batch in torch.randperm(photos).split(options.batch_size):
                loss = criterion(network(self.train.values[batch]), self.train.labels[batch])
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                scheduler.step()
            with torch.no_grad():
                right = network(self.valid.values).argmax(1) == self.valid.labels
            series.append(right.float().mean().item())
        return series


def _words(values: dict) -> list[str]:
    return [word for name, value in values.items() for word in (f"--{name}", str(value))]


def kept(folder: Path, size: int) -> Trials:
    """What the frozen body makes of a data set's photos."""
    fixed = {**COURSE.hyperparameters, "model": "efficientnet_lite0", "image-size": size}
    places = {"train-dir": folder / "train", "valid-dir": folder / "valid", "model-dir": folder}
    words = _words({**fixed, **places})
    options = parse(words)
    channels = read_channels(options)
    classes = len(channels["train"].classes)
    model, _ = train.build(options, classes)
    with joined("auto") as world:
        model = model.to(world.device, memory_format=torch.channels_last).eval()
        loaders = make_loaders(options, channels, models.preprocessing_for(model, options), world)
        body = models.body(model)
        found = {}
        for name, loader in loaders.items():
            loader.batch_sampler.at(1 if name == "train" else 0, shuffled=False)
            found[name] = features.outputs(body, loader, world)
    return Trials(found["train"], found["valid"], classes, model, tuple(words))


def searcher(strategy: str, seed: int) -> Search:
    """A search of the local engine over the ranges of notebook 02."""
    ranges = {}
    for name, span in COURSE.ranges.items():
        if isinstance(span, Categorical):
            ranges[name] = {"Type": "Categorical", "Values": [str(v) for v in span.values]}
        else:
            ranges[name] = _range(span)
    return Search(strategy, ranges, "Maximize", seed)


def _range(span: Between) -> dict[str, str]:
    return {
        "Type": type(span).__name__,
        "MinValue": str(span.low),
        "MaxValue": str(span.high),
        "ScalingType": span.scale,
    }


@dataclass(frozen=True)
class Tried:
    """One job of a search: its values, and its accuracy after each epoch."""

    tuned: dict[str, str]
    series: list[float]


def run(
    trial: Callable[[dict[str, str], int], list[float]],
    strategy: str,
    seed: int,
    jobs: int = JOBS,
    before: Sequence[Tried] = (),
) -> list[Tried]:
    """A search of so many jobs; it first learns what `before` found."""
    search, found = searcher(strategy, seed), []
    for each in before:
        search.learn(each.tuned, each.series[-1])
    for number in range(jobs):
        draw, tuned = search.draw()
        series = trial(tuned, 1000 * seed + number)
        search.study.tell(draw, series[-1])
        found.append(Tried(tuned, series))
    return found


def best(found: Sequence[Tried], jobs: int) -> float:
    """The best accuracy of the first so many jobs."""
    return max(each.series[-1] for each in found[:jobs])


def stopped_early(found: Sequence[Tried]) -> tuple[float, float]:
    """What AWS's rule would have done to a search: the share of its epochs saved, the best left.

    The choices stay those of the search without the rule.
    """
    earlier: list[list[float]] = []
    finals, epochs = [], 0
    for each in found:
        lived = each.series
        for epoch in range(1, len(lived) + 1):
            if is_worse_than_median(lived[:epoch], earlier, "Maximize"):
                lived = lived[:epoch]
                break
        epochs += len(lived)
        if len(lived) == len(each.series):
            finals.append(lived[-1])
        earlier.append(lived)
    return 1 - epochs / sum(len(each.series) for each in found), max(finals)


def summary(values: Sequence[float]) -> str:
    """The mean, and the spread of four in five."""
    ordered = sorted(values)
    low, high = (ordered[round(share * (len(ordered) - 1))] for share in SPREAD)
    return f"{statistics.fmean(values):.1%} ({low:.1%} to {high:.1%})"


def tables(found: dict[str, list[list[Tried]]], warm: list[list[Tried]], how: str) -> str:
    """The measured part of the page."""
    seeds = len(warm)
    lines = [
        f"{how}",
        "",
        f"Each cell is the mean of {seeds} searches, and in parentheses the range of four in five.",
        "",
        "| search | " + " | ".join(f"best of {jobs} jobs" for jobs in SHOWN) + " |",
        "| --- |" + " --- |" * len(SHOWN),
    ]
    for strategy, searches in found.items():
        cells = [summary([best(each, jobs) for each in searches]) for jobs in SHOWN]
        lines.append(f"| {strategy} | " + " | ".join(cells) + " |")
    half = JOBS // 2
    stops = [stopped_early(each) for each in found["Bayesian"]]
    saved = statistics.fmean(share for share, _ in stops)
    cold = [best(each, half) for each in found["Bayesian"]]
    whole = [best(each, JOBS) for each in found["Bayesian"]]
    lines += [
        "",
        f"| {JOBS} Bayesian jobs | epochs | best accuracy |",
        "| --- | --- | --- |",
        f"| without early stopping | 100% | {summary(whole)} |",
        f"| with early stopping | {1 - saved:.0%} | {summary([left for _, left in stops])} |",
        "",
        f"| {half} Bayesian jobs | best accuracy |",
        "| --- | --- |",
        f"| from nothing | {summary(cold)} |",
        f"| after a warm start from {half} other jobs | {summary([best(w, half) for w in warm])} |",
        "",
    ]
    return "\n".join(lines)


def write(measured: str) -> None:
    """Put the measured part into the page."""
    begin, end = MEASURED
    head, _, rest = PAGE.read_text().partition(begin)
    _, found, tail = rest.partition(end)
    if not found:
        raise ValueError(f"{PAGE.name} has no block {begin.strip()}")
    PAGE.write_text(f"{head}{begin}{measured}{end}{tail}")


def main(arguments: list[str] | None = None) -> None:
    """Run the searches and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, help="a folder with train/ and valid/")
    parser.add_argument("--size", type=int, default=128, help="pixels a side")
    parser.add_argument("--seeds", type=int, default=10, help="searches of each kind")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.name}")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="search-") as folder:
        photos = options.data or sample.make(Path(folder), **DRAWN)
        trials = kept(photos, options.size)
    seeds = range(options.seeds)
    found = {kind: [run(trials.run, kind, s) for s in seeds] for kind in ("Random", "Bayesian")}
    half = JOBS // 2
    # The parent of each warm start is another seed's random search, so that nothing is seen twice.
    parents = [found["Random"][(s + 1) % len(seeds)][:half] for s in seeds]
    warm = [run(trials.run, "Bayesian", s, half, parents[s]) for s in seeds]
    where = options.data.name if options.data else "drawn photos"
    about = machine()
    how = (
        f"Measured on {about['Date']} ({os.cpu_count()} cores): {where}, {trials.classes} breeds, "
        f"{len(trials.valid.labels)} validation photos of {options.size} pixels a side."
    )
    measured = tables(found, warm, how)
    print(measured)
    if options.write:
        write(measured)


if __name__ == "__main__":
    main()
