"""Two profiled runs beside each other: where a step's time goes, and what a change has brought."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import boto3
import pandas as pd
from PIL import Image, ImageOps

from course.dataset import IMAGES
from open_debugger.profiler.diagnosis import more_workers
from open_debugger.profiler.measures import measure
from open_debugger.profiler.recording import PARTS
from open_debugger.profiler.text import percent, seconds

if TYPE_CHECKING:
    from course.workspace import Workspace
    from open_debugger.profiler import Profile

SIZE = (2000, 1500)  # pixels: 3 megapixels; a phone's photos have four times as many
QUALITY = 90
CLASSES = 6
PER_CLASS = {"train": 12, "valid": 3}
WAITING = "waiting for data"
WORDS = {
    "data": WAITING,
    "host_to_device": "to the device",
    "forward": "forward",
    "backward": "backward",
    "optimizer": "optimizer",
}
OTHER = "other"
CLOSE = 0.02  # shares that differ by less are called equal: samples are few


# ------------------------------------------------------------------------------------- the photos


def large_photos(ws: Workspace) -> dict[str, str]:
    """Enlarge some photos of the bucket to 3 megapixels and store them beside the others.

    Small photos are decoded too fast for the profiler's lesson. Damaged photos are left out.

    Returns:
        The S3 address of each channel, train and valid: class folders of JPEGs.

    Raises:
        MissingStep: the photos are not in the bucket yet.
    """
    from course.jobs import require

    bucket = boto3.resource("s3").Bucket(ws.bucket)
    keys = [key for split in PER_CLASS for key in _chosen(bucket, f"{ws.prefix}/data/{split}/")]
    require(keys, "the photos", "01-data-to-s3")
    with ThreadPoolExecutor(8) as pool:  # S3 answers, Pillow decodes: neither holds the interpreter
        list(pool.map(lambda key: _enlarge(bucket, key), keys))
    return {split: ws.uri("data-large", split) for split in PER_CLASS}


def _chosen(bucket, prefix: str) -> list[str]:
    """The first photos of the first classes below a split's prefix."""
    split = prefix.rstrip("/").rpartition("/")[2]
    classes: dict[str, list[str]] = defaultdict(list)
    for item in bucket.objects.filter(Prefix=prefix):
        name = item.key.removeprefix(prefix)
        if name.count("/") == 1 and name.lower().endswith(IMAGES):
            classes[name.partition("/")[0]].append(item.key)
    first = sorted(classes)[:CLASSES]
    return [key for name in first for key in sorted(classes[name])[: PER_CLASS[split]]]


def _enlarge(bucket, key: str) -> None:
    stored = bucket.Object(key).get()["Body"].read()
    try:
        photo = Image.open(io.BytesIO(stored)).convert("RGB")
    except OSError:  # damaged: notebook 01 has said which; the others will do
        return
    large = ImageOps.fit(photo, SIZE, Image.Resampling.BICUBIC)
    body = io.BytesIO()
    large.save(body, "JPEG", quality=QUALITY)
    name = key.replace("/data/", "/data-large/", 1).rpartition(".")[0]
    bucket.put_object(Key=f"{name}.jpg", Body=body.getvalue(), ContentType="image/jpeg")


# ---------------------------------------------------------------------------------------- the runs


def parts(runs: Mapping[str, Profile]) -> pd.DataFrame:
    """Where a training step's time goes: one row a run, one column a part, mean milliseconds.

    Raises:
        ValueError: a run has no training steps.
    """
    rows = {}
    for name, run in runs.items():
        steps = _training(name, run)
        means = 1000 * steps[list(PARTS)].fillna(0).mean()
        rest = max(0.0, 1000 * steps["seconds"].mean() - means.sum())
        rows[name] = {WORDS[part]: means[part] for part in PARTS} | {OTHER: rest}
    return pd.DataFrame.from_dict(rows, orient="index")


def workers_advised(run: Profile) -> int:
    """The number of loader processes that the report advises: one for each core.

    Several training processes on a machine share its cores.
    """
    figures = measure(run.recording)
    return max(1, figures.cores // max(1, figures.processes))


def longest(table: pd.DataFrame) -> str:
    """Say which part of a training step takes the most time.

    Args:
        table: as `parts` gives it; the first run counts.
    """
    run = table.iloc[0]
    first, second = run.sort_values(ascending=False).index[:2]
    whole = run.sum()
    return (
        f"The longest part of a training step is {_part(first)}: {percent(run[first] / whole)} of "
        f"its {seconds(whole / 1000)}. Next comes {_part(second)}, {percent(run[second] / whole)}."
    )


def _part(name: str) -> str:
    return name if name == WAITING else f"'{name}'"


def outcome(before: Profile, after: Profile) -> str:
    """Say what more loader processes have brought, and what the report had expected of them.

    The expectation comes from the first run alone. It is the bound of the report, in its words: the
    share of a training step that more processes can save at most.

    Raises:
        ValueError: a run has no training steps.
    """
    was, now = (_step(name, run) for name, run in (("before", before), ("after", after)))
    first, second = measure(before.recording), measure(after.recording)
    saved, busy = 1 - now / was, second.cpu
    work = "" if busy is None else f", and the cores are busy {percent(busy)} of the time"
    return "\n".join(
        [
            f"Expected: {more_workers(first)}",
            f"Measured: A training step took {seconds(was)} before and {seconds(now)} after the "
            f"change, {percent(abs(saved))} {'less' if saved >= 0 else 'more'}. "
            f"{_judged(saved, first.movable)}",
            f"After the change, a step waits {percent(second.parts.get('data', 0.0))} of its time "
            f"for data{work}.{_grown(before, after)}",
        ]
    )


def _grown(before: Profile, after: Profile) -> str:
    """The network's part that takes much longer than before, if there is one."""
    table = parts({"before": before, "after": after}).drop(columns=[WAITING, OTHER])
    name = (table.loc["after"] - table.loc["before"]).idxmax()
    was, now = table[name] / 1000
    if now - was < CLOSE * _step("before", before):
        return ""
    return f" But {_part(name)} takes {seconds(now)} instead of {seconds(was)}."


def difference(table: pd.DataFrame, name: str) -> str:
    """Say how much shorter or longer a step is than in the first run, and in which parts.

    Args:
        table: as `parts` gives it.
        name: one of its runs.
    """
    less = table.iloc[0] - table.loc[name]
    waiting, whole = less[WAITING], less.sum()
    return (
        f"{name}: a training step takes {_less(whole)} than with {table.index[0]}. Of this, "
        f"waiting for data takes {_less(waiting)}, and all other parts {_less(whole - waiting)}."
    )


def _less(milliseconds: float) -> str:
    return f"{seconds(abs(milliseconds) / 1000)} {'less' if milliseconds >= 0 else 'more'}"


def _judged(saved: float, bound: float) -> str:
    if saved > bound + CLOSE:
        return (
            f"The change saved more than the expected {percent(bound)}: that figure is an estimate "
            "from few samples and few steps, and here you see how far it can be off."
        )
    if saved >= CLOSE:
        return "The change helped, and by no more than expected."
    if saved > -CLOSE:
        return f"The change made no difference (less than {CLOSE:.0%} is not counted as one)."
    return "The change made the run slower: the processes cost more than they bring."


def _step(name: str, run: Profile) -> float:
    """The mean seconds of a training step."""
    return float(_training(name, run)["seconds"].mean())


def _training(name: str, run: Profile) -> pd.DataFrame:
    steps = run.recording.steps
    training = steps[steps["phase"] == "train"]
    if training.empty:
        raise ValueError(f"the run '{name}' has no training steps ({run.recording.source})")
    return training
