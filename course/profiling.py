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
from open_debugger.profiler.measures import measure
from open_debugger.profiler.recording import PARTS

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
    "optimizer": "optimiser",
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


def outcome(before: Profile, after: Profile) -> str:
    """Compare what more loader processes were expected to save with what they have saved.

    The expectation comes from the first run alone. A step cannot be shorter than without its wait
    for data, and decoding that moves to other processes needs cores that stood idle. So the smaller
    of the two shares is a bound on what can be saved.

    Raises:
        ValueError: a run has no training steps.
    """
    slow, fast = _training("before", before), _training("after", after)
    first, second = measure(before.recording), measure(after.recording)
    wait = first.parts.get("data", 0.0)
    bound = wait if first.cpu is None else min(wait, 1 - first.cpu)
    waits = f"a step waits {wait:.0%} of its time for data"
    idle = "" if first.cpu is None else f", and the cores are idle {1 - first.cpu:.0%} of the time"
    was, now = 1000 * slow["seconds"].mean(), 1000 * fast["seconds"].mean()
    saved = 1 - now / was
    left, busy = second.parts.get("data", 0.0), second.cpu
    work = "" if busy is None else f", and the cores work {busy:.0%}"
    return "\n".join(
        [
            f"Expected: {waits}{idle}. More loader processes save at most {bound:.0%} of a step, "
            f"or {bound * (first.stepping or 0):.0%} of the whole run with its start and end.",
            f"Measured: a step took {was:.0f} ms before and {now:.0f} ms after the change, "
            f"{abs(saved):.0%} {'less' if saved >= 0 else 'more'}.",
            _judged(saved, bound),
            f"A step still waits {left:.0%} of its time for data{work}.",
        ]
    )


def _judged(saved: float, bound: float) -> str:
    if saved > bound + CLOSE:
        return (
            "That is more than expected. The bound is made from few samples and few steps, and "
            "this pair of runs shows how far it can be off."
        )
    if saved >= CLOSE:
        return "The change has helped, within the bound."
    if saved > -CLOSE:
        return f"The two times differ by less than {CLOSE:.0%}: the change made no difference here."
    return "The change has made the run slower: here the processes cost more than they bring."


def _training(name: str, run: Profile) -> pd.DataFrame:
    steps = run.recording.steps
    training = steps[steps["phase"] == "train"]
    if training.empty:
        raise ValueError(f"the run '{name}' has no training steps ({run.recording.source})")
    return training
