"""Sentences and titles that tell of a run say the opposite when its results are turned over.

Each case is a pair of results, one the other's opposite, and what has to be said of the first and
of the second: neither may say what is true of the other. A new function that returns a sentence or
sets a title needs a case here, or a place in `FORM`.
"""

import ast
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import matplotlib

matplotlib.use("Agg")

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from course import dataset, debugger, exercises, figures, predictions, profiling
from course.debugger.tensors import SHARES, WeightShares
from course.predictions import Predictions, Share
from course.widgets import writeup
from course.workspace import ROOT
from open_debugger.profiler import Profile
from open_debugger.profiler.recording import STEP_COLUMNS, Metric, Recording, Series

# ------------------------------------------------------------------------------- results of a run


def title(figure) -> str:
    """All titles of a figure, on one line."""
    found = [figure._suptitle.get_text() if figure._suptitle else ""]
    found += [axis.get_title(place) for axis in figure.axes for place in ("left", "center")]
    return " ".join(" ".join(found).split())


def answered(right: int, photos: int = 40, classes: int = 4, wrong: str = "class 1") -> Predictions:
    """So many right answers; the others, about photos of the first class, name another one."""
    names = [f"class {number}" for number in range(classes)]
    labels = [names[0]] * (photos - right) + [names[-1]] * right
    said = [wrong] * (photos - right) + [names[-1]] * right
    rows = {"file": [f"{n}.jpg" for n in range(photos)], "label": labels, "predicted": said}
    table = pd.DataFrame(rows | {"probability": 0.9})
    return Predictions("job", names, table, Share(right, photos), classes, [])


def curves(*values: float, valid: float = 1.0) -> dict:
    """A training curve with these losses, and one pass over the validation photos after it."""
    return {"train": ([*range(len(values))], [*values]), "valid": ([len(values)], [valid])}


def norms(*values: float) -> pd.DataFrame:
    """Gradients of layers, from the input to the head, at one step."""
    return pd.DataFrame({3: values}, [f"layer {n}" for n in range(len(values))], dtype=float)


def moved(*percent: float) -> WeightShares:
    """Layers that moved so far, the head last."""
    names = [f"layer{n}" for n in range(len(percent) - 1)] + ["fc"]
    spread = pd.DataFrame([[-2, -1, 0, 1, 2]] * len(names), names, SHARES)
    return WeightShares(1, 9, spread, pd.Series(percent, names))


def trials(*scores: float, sizes: str = "16 32 64") -> pd.DataFrame:
    tried = (sizes.split() * len(scores))[: len(scores)]
    rows = {"FinalObjectiveValue": scores, "lr": 0.001, "batch-size": tried}
    return pd.DataFrame(rows)


def searched(*scores: float, sizes: str = "16 32 64") -> str:
    ranges = {"batch-size": SimpleNamespace(values=["16", "32", "64"])}
    return figures.searched(trials(*scores, sizes=sizes), ranges)


def mistaken(right: int) -> str:
    """The titles over the photos of the pair that is mixed up most, of 40 answers."""
    return title(figures.side_by_side(dict.fromkeys(answered(right).examples(), ())))


def networks(**right: int) -> pd.DataFrame:
    """Networks by name, `__` before the weights, with so many right answers of 100."""
    rows = {name.replace("__", " (") + ")": [n, 100, 5.0, 9.0] for name, n in right.items()}
    rows |= {"other (random)": [5, 100, 4.0, 20.0]} if len(rows) == 1 else {}
    columns = ["right", "photos", "seconds", "megabytes"]
    return pd.DataFrame.from_dict(rows, "index", columns=columns)


START = {"lr": 3e-3, "batch-size": 32, "image-size": 128, "epochs": 2, "weights": "imagenet"}
UNTRAINED = START | {"weights": "random"}


def benchmark(**accuracies: float) -> predictions.Benchmark:
    """A benchmark of ResNet50 on 40 photos from each of these weights."""
    rows = [
        {"network": "ResNet50", "weights": weights, "accuracy": value, "low": value - 0.05}
        | {"high": value + 0.05, "seeds": [value, value]}
        for weights, value in accuracies.items()
    ]
    about = {"tested": 40, "size": 128, "epochs": 2, "photos": "drawn breeds", "rows": rows}
    return predictions.Benchmark(about)


def parts(waiting: float) -> pd.DataFrame:
    row = dict.fromkeys((*profiling.WORDS.values(), profiling.OTHER), 0.0)
    row |= {"waiting for data": waiting, "forward": 100 - waiting}
    after = row | {"waiting for data": 20.0, "forward": 20.0}
    return pd.DataFrame([row, after], ["a run", "after"])


def pictures(**probability: float) -> pd.DataFrame:
    """Two pictures of each kind, with this probability of the most likely breed."""
    return pd.DataFrame({"kind": [*probability] * 2, "probability": [*probability.values()] * 2})


def none_of_these(dogs: float, others: float) -> str:
    shown = {"noise": Image.new("RGB", (8, 8))}
    return title(figures.none_of_these([dogs] * 4, [others] * 5, 0.5, shown))


def latency(first: float, eight: float = 80.0, four: float | None = None) -> str:
    """The titles for a first request, and for requests with four and eight photos; one: 10 ms."""
    sizes = {1: [10.0] * 3, 4: [four or 10 + 3 / 7 * (eight - 10)] * 3, 8: [eight] * 3}
    return title(figures.latency(first, [10.0] * 19 + [20.0], sizes))


def judged(healthy: str, ill: str) -> str:
    """What two verdicts say of a rule's parameters."""
    one, other = (pd.DataFrame({"status": [status]}, ["Overfit"]) for status in (healthy, ill))
    return debugger.tested(one, other)["tested"].iloc[0]


def report(train: dict[str, int], sides: list[int]) -> dataset.Report:
    size = (sides[0], sides[0])
    sizes = {Path(str(n)): (side, 2 * side) for n, side in enumerate(sides)}
    counts = dict.fromkeys(dataset.SPLITS, train)
    return dataset.Report(Path("x"), [*train], counts, size, size, size, 1, sizes=sizes)


def many(least: int) -> dataset.Report:
    """Fifty breeds, each with one photo more than the one before."""
    return report({f"breed {n}": n for n in range(least, least + 50)}, [9])


def started(asked: str, line: str) -> str | None:
    """What the write-up says of a job's weights: asked for in its request, named by its log."""
    told = {"training_job_name": "job", "hyper_parameters": {"weights": f'"{asked}"'}}
    with mock.patch.object(writeup.jobs, "log", return_value=[line]):
        return writeup._weights(SimpleNamespace(**told))


def reports(names: list[str]) -> str:
    """What the write-up says of the profiler's reports, where these keys are in the bucket."""
    pages = mock.Mock()
    pages.boto_session.client().get_paginator().paginate.return_value = [
        {"Contents": [{"Key": f"x/debug/{name}/profiler-report.html"} for name in names]}
    ]
    ws = SimpleNamespace(session=pages, bucket="b", prefix="x", reports=Path("nowhere"))
    return writeup._profiler(ws, [SimpleNamespace(training_job_name="job")])


def bill(mode: str) -> str:
    """What the write-up says of the costs of an endpoint, without a job."""
    ws = SimpleNamespace(mode=mode, endpoint_instance="ml.m5.large", region="us-east-1")
    with mock.patch.object(writeup, "_names", return_value=[]):
        return str(writeup.all_costs(ws, None, 3600))


def profiled(seconds: float = 0.1, data: float = 0.0, **others: float) -> Profile:
    """Two training steps that wait so long for data, on two cores that are half busy.

    `others` are the seconds of other parts of a step.
    """
    row = dict.fromkeys(STEP_COLUMNS, np.nan) | {"phase": "train", "images": 32, "start": 10.0}
    row |= {"node": "algo-1", "rank": 0, "seconds": seconds, "data": data} | others
    steps = pd.DataFrame([row, row | {"start": 10.0 + seconds}])
    names = [Metric("algo-1", "cpu", f"cpu{core}", "CPUUtilization") for core in range(2)]
    system = {name: Series(np.linspace(10, 10.2, 5), np.full(5, 50.0)) for name in names}
    return Profile(Recording("made", steps=steps, system=system), None, None)


# ------------------------------------------------------------------------------------------ cases


@dataclass(frozen=True)
class Case:
    """Two opposite results: what is said of each, and the words that must be in it."""

    of: str  # the function whose sentence it is
    first: Callable[[], str]
    says: tuple[str, ...]
    second: Callable[[], str]
    then_says: tuple[str, ...]


A, B = "from ImageNet's weights", "from random weights"
OK, BAD = "NoIssuesFound", "IssuesFound"


def two(first: int, second: int) -> dict[str, Predictions]:
    return {A: answered(first), B: answered(second, wrong="class 2")}


def same_photos(first: int, second: int) -> str:
    """Two jobs on the same photos, with so many right answers of 40."""
    rows = pd.DataFrame({"file": range(40), "label": "class 0", "probability": 0.9})
    said = [["class 0"] * n + ["class 1"] * (40 - n) for n in (first, second)]
    jobs = [
        Predictions("job", [f"class {n}" for n in range(4)], rows.assign(predicted=s), None, 4, [])
        for s in said
    ]
    return predictions.compared(dict(zip((A, B), jobs, strict=True)))


def shares(first: int, second: int) -> str:
    return title(figures.accuracies({A: Share(first, 40), B: Share(second, 40)}, 0.25))


def share(right: int, guess: float = 0.1) -> str:
    return title(figures.accuracies({"a run": Share(right, 100)}, guess))


def two_runs(first: float, second: float) -> str:
    return figures.training.runs_say({A: curves(first, first), B: curves(second, second)})


STEPS = pd.Series([5.0, 3.0], [10, 20])  # percent by which a loss fell

CASES = [
    # -- figures.comparison
    Case("comparison._beside_chance",
         lambda: share(90), ("90.0% of 100 photos: 9 times as good as guessing (10.00%)",),
         lambda: share(1), ("1.0% of 100 photos: worse than guessing (10.00%)",)),
    Case("comparison._beside_chance",
         lambda: share(90), ("9 times as good as",),
         lambda: share(11), ("not told apart from guessing",)),
    Case("comparison._best",
         lambda: shares(36, 9), (f"Highest: {A}, 90.0%",),
         lambda: shares(9, 36), (f"Highest: {B}, 90.0%",)),
    Case("comparison._best",
         lambda: shares(36, 35), (f"Highest: {A}, 90.0%; not told apart from it: {B}",),
         lambda: shares(35, 36), (f"Highest: {B}, 90.0%; not told apart from it: {A}",)),
    Case("comparison._accuracies_of",
         lambda: title(figures.comparison(networks(resnet50__imagenet=90, vgg16__imagenet=5))),
         ("Highest: resnet50 (imagenet), 90.0%",),
         lambda: title(figures.comparison(networks(resnet50__imagenet=5, vgg16__imagenet=90))),
         ("Highest: vgg16 (imagenet), 90.0%",)),
    Case("comparison.accuracies",
         lambda: title(figures.accuracies({"a": Share(9, 10)}, 0.5)), ("90.0% of 10 photos",),
         lambda: title(figures.accuracies({"a": Share(1, 10)}, 0.5)), ("10.0% of 10 photos",)),
    Case("comparison.side_by_side",
         lambda: mistaken(39), ("class 0, taken for class 1 class 1",),
         lambda: mistaken(40), ("class 0 class 1",)),
    Case("comparison.comparison",
         lambda: title(figures.comparison(networks(resnet50__imagenet=90, vgg16__imagenet=5))),
         ("Highest:",),
         lambda: title(figures.comparison(networks(resnet50__imagenet=90, vgg16__random=95))),
         ()),  # nothing to compare it with
    Case("comparison.parts",
         lambda: title(figures.parts(parts(80))), ("waits for data: a run: 80%",),
         lambda: title(figures.parts(parts(20))), ("waits for data: a run: 20%",)),
    # -- figures.photos
    Case("photos.balance",
         lambda: figures.balance(report({"cat": 9, "dog": 2}, [9])),
         ("fewest: dog, most: cat",),
         lambda: figures.balance(report({"cat": 2, "dog": 9}, [9])), ("fewest: cat, most: dog",)),
    Case("photos.balance",
         lambda: figures.balance(report({"cat": 9, "dog": 2}, [9])), ("train 2 to 9",),
         lambda: figures.balance(report({"cat": 9, "dog": 9}, [9])),
         ("Each breed has 9 training, 9 validation and 9 test photos.",)),
    Case("photos._range",
         lambda: title(figures.counts(report({"cat": 9, "dog": 2}, [9]))),
         ("2 breeds with 2 to 9 training photos each",),
         lambda: title(figures.counts(report({"cat": 9, "dog": 9}, [9]))), ()),  # all as many
    Case("photos._measured",
         lambda: title(figures.counts(report({"cat": 9, "dog": 9}, [9]))),
         ("With 9 photos: 45% to 94%; with 18: 55% to 91%",),
         lambda: title(figures.counts(report({"cat": 900, "dog": 900}, [9]))),
         ("With 900 photos: 72% to 78%; with 1,800: 73% to 77%",)),
    Case("photos._named",
         lambda: title(figures.counts(report({"cat": 9, "dog": 2}, [9]))),
         ("2 breeds with 2 to 9",),
         lambda: title(figures.counts(report({"cat": 9, "dog": 3}, [9]))),
         ("2 breeds with 3 to 9",)),
    Case("photos._by_number",
         lambda: title(figures.counts(many(1))), ("50 breeds with 1 to 50 training photos each",),
         lambda: title(figures.counts(many(9))), ("50 breeds with 9 to 58 training photos each",)),
    Case("photos.over",
         lambda: title(figures.sizes(report({"cat": 9}, [300, 400, 100]))), ("2 of 3 photos have",),
         lambda: title(figures.sizes(report({"cat": 9}, [30, 40]))), ("No photo has",)),
    Case("photos.sizes",
         lambda: title(figures.sizes(report({"cat": 9}, [300, 100]))), ("1 of 2 photos have",),
         lambda: title(figures.sizes(report({"cat": 9}, [300, 400]))), ("2 of 2 photos have",)),
    # -- figures.serving
    Case("serving._first_says",
         lambda: latency(30), ("The first request took 3 times the median",),
         lambda: latency(9), ("The first request was no slower",)),
    Case("serving._first_says",
         lambda: latency(30), ("took 3 times the median",),
         lambda: latency(15), ("took 1.5 times the median; 1 of 20 later ones took longer",)),
    Case("serving.first_request",
         lambda: figures.first_request(30, [10, 20]),
         ("30 ms, 2 times", "None of the later ones took longer"),
         lambda: figures.first_request(5, [10, 20]),
         ("less than", "2 of the later ones took longer")),
    Case("serving.request_costs",
         lambda: latency(30, eight=80), ("About 10.0 ms more for each further photo",),
         lambda: latency(30, eight=10), ("No cost of a further photo can be measured",)),
    Case("serving.request_costs",
         lambda: latency(30, eight=80), ("About 10.0 ms more",),
         lambda: latency(30, eight=80, four=200), ("A straight line fits poorly",)),
    Case("serving._costs_say",
         lambda: latency(30, eight=80), ("About 10.0 ms more for each further photo",),
         lambda: latency(30, eight=80, four=200), ("A straight line fits poorly",)),
    Case("serving._series", lambda: latency(30), ("took 3 times",),
         lambda: latency(60), ("took 6 times",)),
    Case("serving._sizes", lambda: latency(30, eight=80), ("About 10.0 ms",),
         lambda: latency(30, eight=150), ("About 20.0 ms",)),
    Case("serving.none_of_these",
         lambda: none_of_these(0.9, 0.1),
         ("4 of 4 test photos pass", "0 of 5 pictures without a dog pass"),
         lambda: none_of_these(0.1, 0.9),
         ("0 of 4 test photos pass", "5 of 5 pictures without a dog pass")),
    Case("serving.refusals_say",
         lambda: figures.refusals_say(pictures(noise=0.1, plain=0.2), 0.5),
         ("4 of 4 pictures without a dog are refused", "'plain' comes closest"),
         lambda: figures.refusals_say(pictures(noise=0.8, plain=0.9), 0.5),
         ("0 of 4 pictures without a dog are refused", "All kinds pass equally often")),
    Case("serving.refusals_say",
         lambda: figures.refusals_say(pictures(noise=0.9, plain=0.2), 0.5),
         ("2 of 4", "most often is noise (2 of 2)"),
         lambda: figures.refusals_say(pictures(noise=0.2, plain=0.9), 0.5),
         ("2 of 4", "most often is plain (2 of 2)")),
    Case("serving.doubts",
         lambda: figures.doubts([True] * 90 + [False] * 20, [True] * 100 + [False] * 10),
         ("kept: 10 of 100 answers are wrong (10%)", "refused: 10 of 10 answers are wrong (100%)",
          "wrong more often, by 90 percentage points", "the threshold refuses doubtful answers"),
         lambda: figures.doubts([False] * 90 + [True] * 20, [True] * 100 + [False] * 10),
         ("kept: 90 of 100 answers are wrong (90%)", "refused: 0 of 10 answers are wrong (0%)",
          "wrong less often, by 90 percentage points", "refuses the better answers")),
    Case("serving.doubts",
         lambda: figures.doubts([True, False] * 4, [True] * 4 + [False] * 4),
         ("by 0 percentage points", "The interval contains 0: this may be chance"),
         lambda: figures.doubts([True, False], [True, True]),
         ("refused: 0 of 0 answers are wrong\n", "cannot be compared")),
    # -- figures.training
    Case("training.losses_say",
         lambda: figures.training.losses_say(curves(4, 1)), ("training loss fell from 4",),
         lambda: figures.training.losses_say(curves(1, 4)), ("training loss rose from 1",)),
    Case("training.losses",
         lambda: title(figures.losses(curves(4, 1))), ("fell from 4.00 to 1.00",),
         lambda: title(figures.losses(curves(1, 1))), ("stayed at 1.00",)),
    Case("training.order_of_losses",
         lambda: figures.order_of_losses(curves(3, 3, valid=1)), ("in epoch 1 it is 2.00 below",),
         lambda: figures.order_of_losses(curves(1, 1, valid=3)), ("in epoch 1 it is 2.00 above",)),
    Case("training.runs_say",
         lambda: two_runs(1, 8), (f"1.00 ({A}), 8.00 ({B})",),
         lambda: two_runs(8, 1), (f"8.00 ({A}), 1.00 ({B})",)),
    Case("training.runs",
         lambda: title(figures.runs({A: curves(1, 1), B: curves(2, 2)})), (f"2.00 ({B})",),
         lambda: title(figures.runs({A: curves(1, 1), B: curves(np.nan, np.nan)})),
         (f"{B} has losses that are no numbers",)),
    Case("training.gradients_say",
         lambda: figures.training.gradients_say(norms(1, 9)), ("from 1 (layer 0) to 9 (layer 1)",),
         lambda: figures.training.gradients_say(norms(9, 1)), ("from 1 (layer 1) to 9 (layer 0)",)),
    Case("training.gradients",
         lambda: title(figures.gradients(norms(1, 2, 9))), ("gradients of 3 layers",),
         lambda: title(figures.gradients(norms(1, 0, 9))),
         ("gradients of 2 layers", "1 have none")),
    Case("training.order_of_gradients",
         lambda: figures.order_of_gradients(norms(1, 1, 8, 8)),
         ("gradients that are 8 times as small",),
         lambda: figures.order_of_gradients(norms(8, 8, 1, 1)),
         ("gradients that are 8 times as large",)),
    Case("training.weights_say",
         lambda: figures.training.weights_say(moved(1, 1, 50)),
         ("layer moved by 1%, the head by 50%",),
         lambda: figures.training.weights_say(moved(50, 50, 1)),
         ("layer moved by 50%, the head by 1%",)),
    Case("training.weights",
         lambda: title(figures.weights(moved(1, 1, 50))), ("the head by 50%",),
         lambda: title(figures.weights(moved(1, 1, 2))), ("the head by 2%",)),
    Case("training.vanishing_says",
         lambda: figures.training.vanishing_says(norms(1e-3, 1e-6), 1e-7),
         ("The smallest mean is 1e-06 (layer 1, step 3): 10 times the threshold",),
         lambda: figures.training.vanishing_says(norms(1e-3, 1e-9), 1e-7),
         ("1 of 2 gradients lie below the threshold", "the first at step 3")),
    Case("training.vanishing",
         lambda: title(figures.vanishing(norms(1e-3, 1e-6), 1e-7)), ("10 times the threshold",),
         lambda: title(figures.vanishing(norms(0, 0), 1e-7)), ("2 of 2 gradients lie below",)),
    Case("training.falling_says",
         lambda: figures.training.falling_says(STEPS, 0.1),
         ("In each of 2 comparisons the loss fell by at least 3 %",),
         lambda: figures.training.falling_says(-STEPS, 0.1),
         ("In 2 of 2 comparisons the loss did not fall by 0.1 %: at step 10 it rose by 5 %",)),
    Case("training.falling_says",
         lambda: figures.training.falling_says(STEPS / 100, 0.1), ("at step 10 it fell by 0.05 %",),
         lambda: figures.training.falling_says(-STEPS / 100, 0.1),
         ("at step 10 it rose by 0.05 %",)),
    Case("training.falling",
         lambda: title(figures.falling(STEPS, 0.1)), ("In each of 2 comparisons the loss fell",),
         lambda: title(figures.falling(STEPS, 4)),
         ("In 1 of 2 comparisons the loss did not fall",)),
    Case("training.overfitting_says",
         lambda: figures.training.overfitting_says(pd.Series([-0.3, -0.2], [1, 2]), 0.5, 2),
         ("Highest in pass 2: the validation loss is 20% below",),
         lambda: figures.training.overfitting_says(pd.Series([0.9, 0.8], [1, 2]), 0.5, 2),
         ("Highest in pass 1: the validation loss is 90% above",
          "crossed in 2 passes in a row")),
    Case("training.overfitting",
         lambda: title(figures.overfitting(pd.Series([0.9, 0.1], [1, 2]), 0.5, 2)), ("pass 1:",),
         lambda: title(figures.overfitting(pd.Series([0.1, 0.9], [1, 2]), 0.5, 2)), ("pass 2:",)),
    # -- figures.tuning
    Case("tuning._finding",
         lambda: title(figures.search(trials(0.1, 0.2, 0.1, 0.8))),
         ("Best of jobs 1 to 3: 20.0%, of job 4: 80.0%",),
         lambda: title(figures.search(trials(0.1, 0.8, 0.1, 0.2))),
         ("Best of jobs 1 to 3: 80.0%, of job 4: 20.0%",)),
    Case("tuning.search",
         lambda: title(figures.search(trials(0.2, 0.9))), ("Best of 2 jobs: 90.0%, job 2",),
         lambda: title(figures.search(trials(0.9, 0.2))), ("Best of 2 jobs: 90.0%, job 1",)),
    Case("tuning.searched",
         lambda: searched(0.1, 0.2, 0.1, 0.8, 0.9, 0.7),
         ("The best of the 3 later ones is job 5: 90.0%",
          "the search got better by 70.0 points: 3 of 3 later jobs beat the best of the first 3"),
         lambda: searched(0.8, 0.9, 0.7, 0.1, 0.2, 0.1),
         ("The best of the first 3 jobs is job 2: 90.0%",
          "the search did not get better: 0 of 3 later jobs beat the best of the first 3")),
    Case("tuning.searched",
         lambda: searched(0.1, 0.2, 0.3, 0.4, sizes="16 32"), ("No job tried batch-size 64.",),
         lambda: searched(0.1, 0.2, 0.3, 0.4, sizes="64"), ("No job tried batch-size 16 or 32.",)),
    # -- predictions
    Case("predictions.compared",
         lambda: same_photos(36, 9),
         ("The first is 67.5 points above the second", f"{A} is better than {B}.",
          f"Not better than guessing (25.0%): {B}."),
         lambda: same_photos(9, 36),
         ("The first is 67.5 points below the second", f"{B} is better than {A}.",
          f"Not better than guessing (25.0%): {A}.")),
    Case("predictions.compared",
         lambda: same_photos(36, 9), ("The interval does not contain 0",),
         lambda: same_photos(36, 36), ("The interval contains 0", "does not tell the two apart")),
    Case("predictions.both_ways",
         lambda: answered(40).both_ways(), ("No test photo was taken for another breed.",),
         lambda: answered(30).both_ways(),
         ("Only this pair is mixed up, in one direction: 10 photos",)),
    Case("predictions.how_far",
         lambda: answered(40).how_far(), ("this test's 100.0%",),
         lambda: answered(0).how_far(), ("this test's 0.0%",)),
    Case("predictions.costliest",
         lambda: predictions.costliest(networks(resnet50__imagenet=9, vgg16__imagenet=9)),
         ("The accuracies of the 2 pretrained networks are comparable.",),
         lambda: predictions.costliest(networks(resnet50__random=9, vgg16__random=9)),
         ("The accuracies are not comparable: none of 2 bodies is pretrained.",)),
    Case("predictions.costliest",
         lambda: predictions.costliest(networks(resnet50__imagenet=9).assign(seconds=[9.0, 1.0])),
         ("resnet50 (imagenet) takes longest, 9 s; other (random) is largest, 20 MB",),
         lambda: predictions.costliest(networks(resnet50__imagenet=9).assign(seconds=[1.0, 9.0])),
         ("other (random) takes longest, 9 s, and is largest, 20 MB",)),
    Case("predictions.beside",
         lambda: benchmark(ImageNet=0.9).beside("resnet50", answered(36), START),
         ("Our main job: 90.0%", "It lies among these seeds"),
         lambda: benchmark(ImageNet=0.9).beside("resnet50", answered(4), START),
         ("Our main job: 10.0%", "Our job lies below all of these seeds")),
    Case("predictions.beside",
         lambda: benchmark(ImageNet=0.9).beside("resnet50", answered(36), START),
         ("our job is one run. It lies among",),
         lambda: benchmark(ImageNet=0.9).beside("resnet50", answered(4), UNTRAINED),
         ("Other settings: weights imagenet instead of random.",)),
    Case("predictions.beside",
         lambda: benchmark(ImageNet=0.9).beside("resnet50", answered(36), START),
         ("The benchmark is the mean of 2 seeds",),
         lambda: benchmark(ImageNet=0.9).beside("resnet50", answered(9, 10), START),
         ("They are not comparable: the benchmark's photos are others",)),
    # -- profiling
    Case("profiling.outcome",
         lambda: profiling.outcome("a", profiled(data=0.06), profiled(seconds=0.08)),
         ("60% of a training step", "now waits 0% of its time"),
         lambda: profiling.outcome("a", profiled(data=0.01), profiled(0.12, data=0.06)),
         ("10% of a training step", "now waits 50% of its time")),
    Case("profiling._judged",
         lambda: profiling.outcome("a", profiled(data=0.06), profiled(seconds=0.03)),
         ("70% less: the change helped. Less waiting saved 60% of the step, no more than the "
          "expected limit of 60%; the other parts saved 10%.",),
         lambda: profiling.outcome("a", profiled(data=0.06), profiled(seconds=0.1)),
         ("0% less: the change made no difference",)),
    Case("profiling._judged",
         lambda: profiling.outcome("a", profiled(data=0.06), profiled(seconds=0.08)),
         ("20% less: the change helped. Less waiting saved 60% of the step, no more than the "
          "expected limit of 60%; the other parts took back 40%.",),
         lambda: profiling.outcome("a", profiled(data=0.06), profiled(seconds=0.12)),
         ("20% more: the change made the run slower",)),
    Case("profiling.best_change",
         lambda: profiling.best_change({"a": profiled(), "b": profiled(0.05), "c": profiled(0.2)}),
         ("b saved the most: 50% of a training step. c made it 100% longer.",),
         lambda: profiling.best_change({"a": profiled(), "b": profiled(0.1), "c": profiled(0.2)}),
         ("No change made a training step shorter by 2% or more.",)),
    Case("profiling._split",
         lambda: profiling.outcome("a", profiled(data=0.06), profiled(0.05, data=0.04)),
         ("50 ms less. Waiting for data takes 20 ms less, and all other parts take 30 ms less",),
         lambda: profiling.outcome("a", profiled(0.05, data=0.04), profiled(data=0.06)),
         ("50 ms more. Waiting for data takes 20 ms more, and all other parts take 30 ms more",)),
    Case("profiling.longest",
         lambda: profiling.longest(parts(80)),
         ("The longest part of a training step is waiting for data: 80%",),
         lambda: profiling.longest(parts(20)),
         ("The longest part of a training step is 'forward': 80%",)),
    # -- debugger
    Case("verdicts._passed",
         lambda: judged(OK, BAD), ("quiet, then alarmed",),
         lambda: judged(BAD, OK), ("alarmed on the healthy run",)),
    Case("verdicts._passed",
         lambda: judged(OK, OK), ("not tested: quiet on both",),
         lambda: judged(OK, "Error"), ("not tested: Error on the ill run",)),
    # -- widgets.writeup
    Case("writeup._weights",
         lambda: started("imagenet", "weights=imagenet"), ("imagenet",),
         lambda: started("auto", "weights=random device=cpu"), ("random (asked for: auto)",)),
    Case("writeup._profiler",
         lambda: reports(["job"]), ("- `s3://b/x/debug/job/profiler-report.html`",),
         lambda: reports(["another job"]), ("No run was profiled.",)),
    Case("writeup.all_costs",
         lambda: bill("local"), ("in local mode all of it ran on this machine",),
         lambda: bill("aws"), ("1.00 hours of ml.m5.large: 0.12 USD",)),
    # -- exercises
    Case("exercises.photos_needed",
         lambda: exercises.photos_needed(0.25 * 196**2, 0.5).text,
         ("50.0% is known to within 1 point from 9,604 photos on",),
         lambda: exercises.photos_needed(0, 1.0).text, ("At 100% the formula gives 0",)),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.of)
def test_the_opposite_is_said_of_opposite_results(case):
    for said, own, other in (
        (case.first(), case.says, case.then_says),
        (case.second(), case.then_says, case.says),
    ):
        assert [words for words in own if words not in said] == [], said
        assert [words for words in set(other) - set(own) if words in said] == [], said


# ------------------------------------------------------------------------------ none is forgotten

# They tell nothing of a run: names, colours, numbers as text, the form of a table.
FORM = {
    "comparison": "_colour",
    "photos": "_shown _grid",
    "serving": "answers _plain _ms _photos",
    "style": "rounded short",
    "tuning": "_percent",
    "training": "_percent _short_number _wrapped",
    "profiling": "_less _part",
    "predictions": "_said __repr__ _repr_html_ about",
    "verdicts": "saved _own",
    "writeup": "text _markdown _cell _rounded",
}
MODULES = (
    "figures/*.py", "predictions.py", "profiling.py", "debugger/verdicts.py", "widgets/writeup.py",
)  # fmt: skip


def tellers() -> set[str]:
    """The functions that return a text or set a title, as `module.function`."""
    found = set()
    for file in sorted(file for pattern in MODULES for file in (ROOT / "course").glob(pattern)):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef):
                text = ast.unparse(node)
                sets_title = any(word in text for word in ("set_title(", "suptitle(", " title="))
                returns = ast.unparse(node.returns) if node.returns else ""
                if sets_title or returns in ("str", "str | None"):
                    found.add(f"{file.stem}.{node.name}")
    return found


def test_each_function_that_tells_something_has_a_case():
    form = {f"{module}.{name}" for module, names in FORM.items() for name in names.split()}
    cases = {case.of for case in CASES}
    assert sorted(tellers() - form - cases) == []
    assert sorted(form - tellers()) == [], "no longer there"
