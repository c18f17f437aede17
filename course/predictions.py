"""What a finished job answered to the test photos: accuracy, mistakes, other jobs beside it.

`train.py` writes its answers to `output.tar.gz` beside the model, if the job had a channel `test`.
"""

from __future__ import annotations

import io
import json
import math
import re
import tarfile
import tempfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, BinaryIO

import boto3
import pandas as pd
from botocore.exceptions import ClientError
from PIL import Image, ImageOps

from course.dataset import breed
from course.jobs import log, metrics

if TYPE_CHECKING:
    from sagemaker.core.resources import TrainingJob

    from course.workspace import Workspace

FILES = ("test.json", "predictions.csv", "confusion.png", "model-card.md", "history.jsonl")
SHOWN = 3  # photos of a breed
PIXELS = (200, 150)  # the room of a photo
WEIGHTS, PHOTOS = r"\bweights=(\w+)", r"\bphotos=.*\bvalid:(\d+)"  # in a job's log
SETTINGS = {
    "lr": 3e-3,
    "batch-size": 32,
    "body-lr": 0.1,
}  # the benchmark's, beside what its file says
BENCHMARK = Path(__file__).parents[1] / "benchmarks" / "results" / "finetune.json"


class NoResults(LookupError):
    """The job has left no results of a test; the text says why, and what to do."""


@dataclass(frozen=True, repr=False)
class Share:
    """How many photos are right; the accuracy with Wilson's 95 % interval, all of 0 to 1."""

    right: int
    photos: int

    @property
    def accuracy(self) -> float:
        """The share of right answers; NaN without photos."""
        return self.right / self.photos if self.photos else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """The lower and the upper end; 0 and 1 without photos."""
        return interval(self.right, self.photos)

    def __repr__(self) -> str:
        low, high = self.interval
        return (
            f"{self.right} of {self.photos} photos right: {self.accuracy:.1%} "
            f"(95% interval {low:.1%} to {high:.1%})"
        )


def interval(right: int, photos: int) -> tuple[float, float]:
    """Wilson's 95 % score interval of a share, which holds for few photos too.

    E. B. Wilson, Probable inference, the law of succession, and statistical inference, Journal of
    the American Statistical Association 22 (1927), 209-212.
    """
    from scipy.stats import binomtest

    if not photos:
        return 0.0, 1.0
    low, high = binomtest(right, photos).proportion_ci(0.95, method="wilson")
    return float(low), float(high)


@dataclass(frozen=True)
class Difference:
    """By how much one accuracy is above another, with its 95 % interval, all of -1 to 1."""

    value: float
    low: float
    high: float

    @property
    def is_noise(self) -> bool:
        """Whether the interval contains zero: the test photos do not tell the two apart."""
        return self.low <= 0 <= self.high


def difference(first: Share, second: Share) -> Difference:
    """Compare two accuracies by Newcombe's score interval.

    R. G. Newcombe, Interval estimation for the difference between independent proportions,
    Statistics in Medicine 17 (1998), 873-890, method 10. Of two networks that were asked about the
    same photos it is wider than need be.
    """
    p, q = first.accuracy, second.accuracy
    (low, high), (least, most) = first.interval, second.interval
    below, above = math.hypot(p - low, most - q), math.hypot(high - p, q - least)
    return Difference(p - q, p - q - below, p - q + above)


@dataclass(frozen=True, repr=False)
class Predictions:
    """A job's answers to the test photos.

    `answers` has a row for each photo: `file` (in the channel), `label` and `predicted` (class
    folders; `predicted` is empty if the network gave no finite answer), `probability`. `classes`
    are the class folders in label order.
    """

    job: str
    classes: list[str]
    answers: pd.DataFrame
    top_k: Share
    k: int
    history: list[dict[str, Any]]

    @property
    def top(self) -> Share:
        """How often the most likely breed is the right one."""
        return Share(int(self._right.sum()), len(self.answers))

    @property
    def chance(self) -> float:
        """The accuracy of guessing: each breed is equally likely."""
        return 1 / len(self.classes)

    @property
    def _right(self) -> pd.Series:
        return self.answers["label"] == self.answers["predicted"]

    def __repr__(self) -> str:
        return (
            f"most likely breed:       {self.top}\n"
            f"among the {self.k} most likely: {self.top_k}\n"
            f"guessing:                {self.chance:.2%} and {self.k * self.chance:.2%}"
        )

    def how_far(self) -> str:
        """Say how far the accuracy may be from the one on any number of photos of the same kind."""
        (low, high), measured = self.top.interval, self.top.accuracy
        reach = 100 * max(high - measured, measured - low)
        return (
            "With 95% confidence, the accuracy on an unlimited number of photos lies between "
            f"{low:.1%} and {high:.1%}, within {reach:.1f} points of this test's {measured:.1%}."
        )

    def pairs(self) -> pd.DataFrame:
        """The pairs of breeds that are mixed up, most photos first; each pair once.

        A pair that is mixed up in both directions stands in the one with more photos, or among
        equals, in the one about which the network was surer. Among equals: pairs with more photos
        in both directions together, then those about which the network was surer, then by name.

        Columns: `label` and `predicted` (class folders), `photos` (how many of the one were taken
        for the other), `of` (how many test photos the breed has), `back` (how many of the other
        were taken for the one), `probability` (that the network gave its mistakes, their mean).
        """
        wrong = self.answers[~self._right & (self.answers["predicted"] != "")]
        groups = wrong.groupby(["label", "predicted"])["probability"]
        counts = groups.agg(["size", "mean"]).reset_index().rename(columns={"size": "photos"})
        totals = self.answers["label"].value_counts()
        found = {(row.label, row.predicted): row.photos for row in counts.itertuples()}
        counts["of"] = [int(totals[label]) for label in counts["label"]]
        counts["back"] = [found.get((taken, label), 0) for label, taken in found]
        counts["probability"] = counts.pop("mean").round(6)  # no order by the last bit
        counts["both"] = counts["photos"] + counts["back"]
        order = ["photos", "both", "probability", "label", "predicted"]
        ascending = [False, False, False, True, True]
        ranked = counts.sort_values(order, ascending=ascending, ignore_index=True)
        seen = [frozenset(pair) for pair in zip(ranked["label"], ranked["predicted"], strict=True)]
        return (
            ranked[~pd.Series(seen, dtype=object).duplicated()]
            .drop(columns="both")
            .reset_index(drop=True)
        )

    def worst(self, rows: int = 8) -> pd.DataFrame:
        """The pairs that are mixed up most, one row each, in words."""
        pairs = self.pairs().head(rows)
        table = pd.DataFrame(
            {
                "breed": [breed(name) for name in pairs["label"]],
                "taken for": [breed(name) for name in pairs["predicted"]],
                "photos": [f"{row.photos} of {row.of}" for row in pairs.itertuples()],
                "the other way round": pairs["back"].astype(int),
            }
        )
        table.index = pd.RangeIndex(1, len(table) + 1)
        return table

    def both_ways(self, rows: int = 8) -> str:
        """Say how many of the worst pairs are mixed up in both directions, and what they hold.

        Args:
            rows: of the table that `worst` gives.
        """
        pairs = self.pairs()
        if pairs.empty:
            return "No test photo was taken for another breed."
        if len(pairs) == 1 and not pairs["back"].iloc[0]:
            photos = int(pairs["photos"].iloc[0])
            often = "1 photo" if photos == 1 else f"{photos} photos"
            return f"Only this pair is mixed up, in one direction: {often}, all of the mistakes."
        shown, wrong = pairs.head(rows), int((pairs["photos"] + pairs["back"]).sum())
        mutual, held = int((shown["back"] > 0).sum()), int((shown["photos"] + shown["back"]).sum())
        text = (
            f"{mutual} of these {len(shown)} pairs are mixed up in both directions, "
            f"{len(shown) - mutual} in one only. "
        )
        return f"{text}Together they make {held} of the {wrong} mistakes."

    def examples(self) -> dict[str, list[str]]:
        """Which photos show the pair that is mixed up most: titles, and up to SHOWN files each.

        The first row are the mistakes, the surest first; the second row are photos of the breed
        that they were taken for, recognised ones first. Without mistakes: of the first two breeds.
        """
        pairs = self.pairs()
        if pairs.empty:
            return {breed(name): self._of(name) for name in self.classes[:2]}
        true, taken = pairs.loc[0, ["label", "predicted"]]
        said = self.answers
        mistakes = said[(said["label"] == true) & (said["predicted"] == taken)]
        surest = mistakes.sort_values("probability", ascending=False, kind="stable")
        return {
            f"{breed(true)}, taken for {breed(taken)}": list(surest["file"][:SHOWN]),
            breed(taken): self._of(taken),
        }

    def _of(self, name: str) -> list[str]:
        own = self.answers[self.answers["label"] == name]
        recognised = own["predicted"] == name
        return [*own["file"][recognised], *own["file"][~recognised]][:SHOWN]

    def photos(self, ws: Workspace) -> dict[str, list[Image.Image]]:
        """The photos of `examples`, upright and small, from the test channel in the bucket."""
        bucket = boto3.resource("s3").Bucket(ws.bucket)

        def load(file: str) -> Image.Image:
            body = bucket.Object(f"{ws.prefix}/data/test/{file}").get()["Body"].read()
            with Image.open(io.BytesIO(body)) as photo:
                upright = ImageOps.exif_transpose(photo).convert("RGB")
            upright.thumbnail(PIXELS)
            return upright

        return {title: [load(file) for file in names] for title, names in self.examples().items()}


# ---------------------------------------------------------------------------------------- a job's


def fetch(job: TrainingJob) -> Predictions:
    """Read a finished training job's answers to the test photos from S3.

    Raises:
        NoResults: the job has left no archive, or a damaged one, or has tested nothing.
    """
    files = archive(job)
    tested = json.loads(files["test.json"])
    k = min(5, tested["classes"])
    answers = pd.read_csv(
        io.BytesIO(files["predictions.csv"]),
        dtype={"file": str, "label": str, "predicted": str},
        keep_default_na=False,
        na_values={"probability": [""]},
    )
    history = files.get("history.jsonl", b"").decode().splitlines()
    return Predictions(
        job.training_job_name,
        [each["breed"] for each in tested["breeds"]],
        answers,
        Share(tested[f"top{k}"]["right"], tested["photos"]),
        k,
        [json.loads(line) for line in history],
    )


def archive(job: TrainingJob) -> dict[str, bytes]:
    """The files that a training job has left beside its model, by name: those of `FILES`.

    Raises:
        NoResults: the job has left no archive, or a damaged one, or has tested nothing.
    """
    name, model = job.training_job_name, job.model_artifacts.s3_model_artifacts
    address = f"{model.rpartition('/')[0]}/output.tar.gz"
    bucket, _, key = address.removeprefix("s3://").partition("/")
    with tempfile.TemporaryFile() as file:  # a debugged job's may hold tensors: gigabytes
        try:
            boto3.client("s3").download_fileobj(bucket, key, file)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            why = f"the job {name} has left no output.tar.gz ({code}: {address})"
            raise NoResults(f"{why}: has it completed?") from error
        file.seek(0)
        found = _read(file, name)
    if "test.json" not in found:
        raise NoResults(f"the job {name} has tested nothing: train it with a channel 'test'")
    return found


def _read(file: BinaryIO, name: str) -> dict[str, bytes]:
    """The files of `FILES` at the archive's top. Nothing is unpacked, so nothing gets out."""
    found = {}
    try:
        with tarfile.open(fileobj=file, mode="r:gz") as tar:
            for member in tar:
                file_name = str(PurePosixPath(member.name))  # with ./ before it or not
                if file_name in FILES and member.isreg():
                    found[file_name] = tar.extractfile(member).read()
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise NoResults(f"the output.tar.gz of the job {name} is damaged: {error}") from error
    return found


# ------------------------------------------------------------------------------ jobs side by side


def compared(two: Mapping[str, Predictions]) -> str:
    """Say how two jobs did on the same test photos, and whether the difference is noise.

    Args:
        two: the two jobs' predictions, by what to call them, such as "from random weights".

    Raises:
        ValueError: these are not two, or they were asked about different photos.
    """
    words, (first, second) = list(two), two.values()
    asked = ["file", "label"]
    if not first.answers[asked].equals(second.answers[asked]):
        raise ValueError(f"{first.job} and {second.job} were tested on different photos")
    gap = difference(first.top, second.top)
    lines = [f"{name}: {each.top}" for name, each in two.items()]
    side = "above" if gap.value >= 0 else "below"
    lines.append(
        f"The first is {abs(gap.value) * 100:.1f} points {side} the second "
        f"(95% interval of the difference {100 * gap.low:+.1f} to {100 * gap.high:+.1f})."
    )
    if gap.is_noise:
        lines.append("The interval contains 0: this test does not tell the two apart.")
    else:
        better, worse = words if gap.value > 0 else words[::-1]
        lines.append(f"The interval does not contain 0: {better} is better than {worse}.")
    guessing = [name for name, each in two.items() if each.top.interval[0] <= each.chance]
    if guessing:
        lines.append(f"Not better than guessing ({first.chance:.1%}): {', '.join(guessing)}.")
    return "\n".join(lines)


def validated(*jobs: TrainingJob) -> pd.DataFrame:
    """How finished jobs did on the validation photos: one row each, in the order given.

    The index names the network and its weights, such as `resnet50 (imagenet)`. Columns: `right` and
    `photos` (of the validation set; damaged ones count as wrong as often as the others), `accuracy`
    (0 to 1), `seconds` of training, `megabytes` of the packed model, `model.tar.gz`.

    Raises:
        LookupError: the job's log does not say how many photos there were, or which weights.
    """
    rows, names = [], []
    for job in jobs:
        accuracy = metrics(job, "valid_accuracy")["valid_accuracy"]
        photos = int(_said(job, PHOTOS))
        network = str(job.hyper_parameters["model"]).strip("\"'")
        names.append(f"{network} ({_said(job, WEIGHTS)})")
        bucket, _, key = job.model_artifacts.s3_model_artifacts.removeprefix("s3://").partition("/")
        size = boto3.resource("s3").Object(bucket, key).content_length / 1e6
        seconds = job.training_time_in_seconds
        rows.append([round(accuracy * photos), photos, accuracy, seconds, size])
    columns = ["right", "photos", "accuracy", "seconds", "megabytes"]
    return pd.DataFrame(rows, names, columns)


def costliest(rows: pd.DataFrame) -> str:
    """Say which network takes most time and room, and whether the accuracies are comparable.

    Args:
        rows: as `validated` gives them.
    """
    slow, large = rows["seconds"].idxmax(), rows["megabytes"].idxmax()
    text = f"{slow} takes longest, {rows['seconds'].max():.0f} s"
    text += ", and is largest, " if slow == large else f"; {large} is largest, "
    text += f"{rows['megabytes'].max():,.0f} MB. "
    alike = pretrained(rows.index)
    if len(alike) > 1:
        return f"{text}The accuracies of the {len(alike)} pretrained networks are comparable."
    count = "none" if not alike else f"only {len(alike)}"
    return f"{text}The accuracies are not comparable: {count} of {len(rows)} bodies is pretrained."


def pretrained(names: Iterable[str]) -> list[str]:
    """Those of the names of `validated` that start from ImageNet's weights."""
    return [name for name in names if str(name).endswith("(imagenet)")]


def _said(job: TrainingJob, pattern: str) -> str:
    """The group of the first line of a job's log that matches."""
    for line in log(job, pattern):
        return re.search(pattern, line)[1]
    raise LookupError(f"no line of the log of {job.training_job_name} matches {pattern!r}")


@dataclass(frozen=True, repr=False)
class Benchmark:
    """Accuracies that were measured once, by a command: a table, and how and when it was made.

    `content` is the file's: see `benchmarks/finetune.py`.
    """

    content: dict[str, Any]

    @property
    def about(self) -> str:
        """When it was measured, on which machine and with which photos."""
        found = self.content
        return (
            f"Measured on {found['date']}, {found['cores']} CPU cores: {found['photos']}, "
            f"{found['size']} pixels, {found['epochs']} epochs, mean of {found['seeds']} seeds."
        )

    @property
    def rows(self) -> pd.DataFrame:
        """One row for each network and start, in words."""
        rows = [
            {
                "network": each["network"],
                "weights": each["weights"],
                "test accuracy": f"{each['accuracy']:.1%}",
                "95% interval": f"{each['low']:.1%} to {each['high']:.1%}",
                "training, s": round(each["seconds"]),
                "weights file, MB": round(each["megabytes"], 1),
                "answer to one photo, ms": round(each["milliseconds"], 1),
            }
            for each in self.content["rows"]
        ]
        return pd.DataFrame(rows)

    def __repr__(self) -> str:
        return f"{self.about}\n{self.rows.to_string(index=False)}"

    def _repr_html_(self) -> str:
        return f"<p>{escape(self.about)}</p>{self.rows.to_html(index=False)}"

    def _of(self, network: str, weights: str) -> dict[str, Any] | None:
        for each in self.content["rows"]:
            if each["network"].lower().replace("-", "_") == network and each["weights"] == weights:
                return each
        return None

    def beside(self, network: str, job: Predictions, settings: Mapping[str, Any]) -> str:
        """Say why a job's accuracy from ImageNet's weights differs from the benchmark's.

        Args:
            network: as `train.py` calls it.
            job: its answers.
            settings: its hyperparameters.
        """
        found = self._of(network, "ImageNet")
        if found is None:
            return f"The benchmark has no row for {network} from ImageNet's weights."
        text = f"Benchmark: {found['accuracy']:.1%}. Our main job: {job.top.accuracy:.1%}. "
        if self.content["tested"] != job.top.photos:
            photos = self.content["photos"]
            return f"{text}They are not comparable: the benchmark's photos are others ({photos})."
        used = SETTINGS | {"image-size": self.content["size"], "epochs": self.content["epochs"]}
        start = settings.get("weights", "imagenet")
        other = [f"weights imagenet instead of {start}"] if start != "imagenet" else []
        other += [
            f"{name} {value:.3g} instead of {settings[name]:.3g}"
            for name, value in used.items()
            if name in settings and not math.isclose(settings[name], value)
        ]
        least, most = min(found["seeds"]), max(found["seeds"])
        seeds = len(found["seeds"])
        text += (
            f"The benchmark is the mean of {seeds} seeds (from {least:.1%} to {most:.1%}), our job "
        )
        text += f"is one run. Other settings: {', '.join(other)}. " if other else "is one run. "
        if other:
            return f"{text}With other settings, the two need not agree."
        if least <= job.top.accuracy <= most:
            return f"{text}It lies among these seeds, so chance alone may explain the difference."
        side = "below" if job.top.accuracy < least else "above"
        most = "lowest" if side == "below" else "highest"
        return (
            f"{text}Our job lies {side} all of these seeds. That proves nothing: of {seeds + 1} "
            f"runs with equal settings, one is always the {most}."
        )


def benchmark(file: Path = BENCHMARK) -> Benchmark:
    """What `python -m benchmarks.finetune` measured, as it was committed: the rows that are there.

    Raises:
        FileNotFoundError: the file is not there; the text names the command that makes it.
    """
    if not file.is_file():
        made = "python -m benchmarks.finetune --results benchmarks/results/finetune.json"
        raise FileNotFoundError(f"{file} is not there; this command makes it: {made}")
    return Benchmark(json.loads(file.read_text()))
