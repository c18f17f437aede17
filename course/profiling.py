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
from open_debugger.profiler.diagnosis import is_full, less_decoding, more_workers
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
NOISY = 0.02  # the share by which a step's own parts change before chance has to be named
COARSE = 20  # milliseconds of a step from which on its times are told in whole ones
BY_CHANCE = (
    "The change does not aim at the other parts. Their times may differ by chance: each run was "
    "made once, with few steps."
)


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


def outcome(name: str, before: Profile, after: Profile) -> str:
    """Say what a change has brought, beside what the first run let expect of it.

    The expectation comes from the first run alone, in the report's own words: for more loader
    processes if their number differs, or else for a loader that decodes less.

    Args:
        name: the change, as the figure names its run.

    Raises:
        ValueError: a run has no training steps.
    """
    was, now = (_step(run, profile) for run, profile in (("before", before), ("after", after)))
    first, second = measure(before.recording), measure(after.recording)
    moved = first.workers != second.workers
    expected = more_workers(first) if moved else less_decoding(first)
    limit = first.movable if moved else first.parts.get("data", 0.0)
    limit = None if moved and is_full(first) else limit
    waits = percent(second.parts.get("data", 0.0))
    table = parts({"before": before, "after": after})
    waiting, own = table[WAITING], table.drop(columns=WAITING).sum(axis=1)
    by_waiting = (waiting["before"] - waiting["after"]) / (1000 * was)
    judged = _judged(1 - now / was, by_waiting, limit)
    lines = [
        f"{name}",
        f"  Expected: {expected}",
        f"  Measured: {_split(table)}",
        f"  {judged} A step now waits {waits} of its time for data.",
    ]
    if not moved and abs(1 - own["after"] / own["before"]) >= NOISY:
        lines.append(f"  {BY_CHANCE}")
    return "\n".join(lines)


def best_change(runs: Mapping[str, Profile]) -> str:
    """Say which change saved most of a training step, and what the others did.

    Args:
        runs: the run before the changes, then one with each change, by name.

    Raises:
        ValueError: a run has no training steps.
    """
    steps = {name: _step(name, run) for name, run in runs.items()}
    before, *_ = steps.values()
    saved = {name: 1 - step / before for name, step in list(steps.items())[1:]}
    best = max(saved, key=saved.get)
    if saved[best] < CLOSE:
        return f"No change made a training step shorter by {CLOSE:.0%} or more."
    others = [
        f"{name} saved {percent(share)}"
        if share >= 0
        else f"{name} made it {percent(-share)} longer"
        for name, share in saved.items()
        if name != best
    ]
    text = f"{best} saved the most: {percent(saved[best])} of a training step."
    return " ".join([text, *(f"{other}." for other in others)])


def _split(table: pd.DataFrame) -> str:
    """How much shorter or longer a step is, and in which parts: `before` and `after` by `parts`.

    The differences are those of the rounded times, so that the numbers agree.
    """
    steps = table.sum(axis=1)
    digits = 0 if steps.min() >= COARSE else 1
    was, now = steps.round(digits)
    waiting = round(table.loc["before", WAITING] - table.loc["after", WAITING], digits)
    whole, rest = (_less(each, digits) for each in (was - now, was - now - waiting))
    return (
        f"A training step takes {now:,.{digits}f} ms instead of {was:,.{digits}f} ms: {whole}. "
        f"Waiting for data takes {_less(waiting, digits)}, and all other parts take {rest}."
    )


def _less(milliseconds: float, digits: int) -> str:
    shown = round(milliseconds, digits)
    return f"{abs(shown):,.{digits}f} ms {'less' if shown >= 0 else 'more'}"


def _judged(saved: float, by_waiting: float, limit: float | None) -> str:
    """Judge a change by the share of a step that it saved.

    Args:
        saved: by all parts together.
        by_waiting: the part of it that less waiting for data brought.
        limit: what the first run let expect of that part at most; None: nothing.
    """
    told = f"That is {percent(abs(saved))} {'less' if saved >= 0 else 'more'}"
    if abs(saved) < CLOSE:
        return f"{told}: the change made no difference (less than {CLOSE:.0%} does not count)."
    if saved < 0:
        return f"{told}: the change made the run slower."
    text = f"{told}: the change helped. Less waiting saved {percent(by_waiting)} of the step"
    if limit is not None:
        beyond = "more" if by_waiting > limit + CLOSE else "no more"
        text += f", {beyond} than the expected limit of {percent(limit)}"
    rest = round(100 * saved) - round(100 * by_waiting)
    if rest:
        text += f"; the other parts {'saved' if rest > 0 else 'took back'} {abs(rest)}%"
    return f"{text}."


def _step(name: str, run: Profile) -> float:
    """The mean seconds of a training step."""
    return float(_training(name, run)["seconds"].mean())


def _training(name: str, run: Profile) -> pd.DataFrame:
    steps = run.recording.steps
    training = steps[steps["phase"] == "train"]
    if training.empty:
        raise ValueError(f"the run '{name}' has no training steps ({run.recording.source})")
    return training
