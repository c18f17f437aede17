"""Photos of three million pixels for the profiler's lesson: few, and made from those of the set.

The drawn photos have 320 x 240 pixels, which any loader decodes in passing. What starves a network
in practice are photos of millions of pixels.
"""

from __future__ import annotations

import io
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import boto3
from PIL import Image, ImageOps

from course.dataset import IMAGES
from course.lookup import require

if TYPE_CHECKING:
    from course.workspace import Workspace

SIZE = (2000, 1500)  # pixels; a telephone's photos have four times as many
QUALITY = 90
CLASSES = 6
PER_CLASS = {"train": 12, "valid": 3}


def upload(ws: Workspace) -> dict[str, str]:
    """Enlarge some photos of the bucket, and store them beside the others; damaged ones are left.

    Returns:
        The S3 address of each channel, train and valid: class folders of JPEGs.

    Raises:
        MissingStep: the photos are not in the bucket yet.
    """
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
