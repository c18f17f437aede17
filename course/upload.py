"""Photos on their way to S3: made smaller where that costs nothing, sent once, and counted there.

prepared = prepare(report, image_size=224)              smaller copies of photos that are large
steps = plan(s3, bucket, "dog-breeds/data/", prepared.files)
...                                                     the notebook sends `steps.send`
verify(s3, bucket, "dog-breeds/data/", prepared.files)  the listing against the disk
"""

from __future__ import annotations

import hashlib
import io
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from course.dataset import Report
from course.download import BUILD

SHORTER_SIDE = 256  # pixels; what networks for 224 pixels are shown is cut from photos of this size
QUALITY = 90  # of the smaller JPEGs
SAMPLE = 64  # photos whose decoding is timed
PHONE = (4032, 3024)  # pixels of a photo of 12 megapixels, as many phones take them
PER_REQUEST = 1000  # keys that S3 deletes in one request


class UploadIncomplete(RuntimeError):
    """The bucket does not hold what was to be uploaded; the text says what differs."""


class _Facts:
    """Shown as lines of (what, value), in a notebook as a table."""

    def facts(self) -> list[tuple[str, str]]:
        raise NotImplementedError

    def __str__(self) -> str:
        return "\n".join(f"{name:<32} {value}" for name, value in self.facts())

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        left = "style='text-align:left'"
        rows = "".join(
            f"<tr><th {left}>{escape(name)}</th><td {left}>{escape(value)}</td></tr>"
            for name, value in self.facts()
        )
        return f"<table>{rows}</table>"


# ------------------------------------------------------------------------------------------ prepare


@dataclass(frozen=True, repr=False)
class Prepared(_Facts):
    """What is uploaded: small photos as they are, of large ones a smaller copy.

    Attributes:
        files: the name below the prefix, such as `train/057.Dalmatian/1.jpg`, → the file to send.
        shrunk: how many of them are smaller copies.
        side: pixels of the shorter side above which a photo is large.
        bytes: size of all photos before and after.
        speed: photos decoded per second by one process, before and after, of a sample of the
            large photos; None if there are none.
    """

    files: dict[str, Path]
    shrunk: int
    side: int
    bytes: tuple[int, int]
    speed: tuple[float, float] | None

    def facts(self) -> list[tuple[str, str]]:
        """The result in a few lines of (what, value)."""
        before, after = (f"{size / 1e6:,.1f} MB" for size in self.bytes)
        large = f"{self.shrunk:,} of {len(self.files):,}"
        if self.speed is None:
            return [
                (
                    f"shorter side over {self.side} pixels",
                    f"{large} photos: nothing to make smaller",
                ),
                ("size", f"{after}, unchanged"),
            ]
        return [
            (f"shorter side over {self.side} pixels", f"{large} photos, made smaller"),
            ("size", f"{before} before, {after} after"),
            (
                "read for training",
                "{:,.0f} of these photos a second before, {:,.0f} after (one process)".format(
                    *self.speed
                ),
            ),
        ]


def prepare(report: Report, image_size: int, folder: str | os.PathLike | None = None) -> Prepared:
    """Make a smaller copy of each photo whose shorter side is longer than training needs.

    The copy is an upright JPEG (EXIF's orientation applied) of quality 90 with a shorter side of
    256 pixels, or 256/224 of `image_size` where that is more. Photos are never enlarged, and the
    originals are left as they are. Copies are kept, so that a second call, or one after a break,
    makes only what is missing or whose original has changed.

    Args:
        report: of the data set, as `dataset.check` gives it; damaged photos are left out.
        image_size: pixels a side at which the network is trained.
        folder: where copies go; a folder below build/prepared by default.
    """
    from course.widgets import track

    side = max(SHORTER_SIDE, round(image_size * 256 / 224))
    copies = Path(folder or BUILD / "prepared" / _name(report.folder)) / f"{side}"
    large = [photo for photo, size in report.sizes.items() if min(size) > side]
    names = _copy_names(report, large)
    files = {_key(report, photo): photo for photo in report.photos if photo not in names}
    if large:
        targets = [copies / names[photo] for photo in large]
        with ThreadPoolExecutor(2 * (os.cpu_count() or 1)) as pool:
            made = pool.map(_copy, large, targets, [side] * len(large))
            for _ in track(made, len(large), "photos made smaller"):
                pass
        files |= {names[photo]: copies / names[photo] for photo in large}
    before = sum(photo.stat().st_size for photo in report.photos)
    after = sum(file.stat().st_size for file in files.values())
    speed = None
    if large:
        some = large[:: max(1, len(large) // SAMPLE)][:SAMPLE]
        small = [copies / names[photo] for photo in some]
        speed = (decoding_speed(some, image_size), decoding_speed(small, image_size))
    return Prepared(dict(sorted(files.items())), len(large), side, (before, after), speed)


def _name(folder: Path) -> str:
    """A folder's name and eight letters of its path: two folders of one name stay apart."""
    path = str(folder.resolve())
    return f"{folder.name}-{hashlib.sha256(path.encode()).hexdigest()[:8]}"


def _key(report: Report, photo: Path) -> str:
    return photo.relative_to(report.folder).as_posix()


def _copy_names(report: Report, large: Sequence[Path]) -> dict[Path, str]:
    """For each large photo the name of its copy: that of the photo, with .jpg at the end.

    Where that is the name of another photo (dog.png beside dog.jpg) it is put behind the whole
    name: dog.png.jpg.
    """
    taken, names = {_key(report, photo) for photo in report.photos}, {}
    for photo in large:
        key = _key(report, photo)
        name = str(Path(key).with_suffix(".jpg").as_posix())
        while name != key and name in taken:
            key = name = key + ".jpg"
        taken.add(name)
        names[photo] = name
    return names


def _copy(photo: Path, target: Path, side: int) -> None:
    """Write the smaller copy, if it is not there yet: it carries its original's time."""
    state = photo.stat()
    if target.exists() and target.stat().st_mtime_ns == state.st_mtime_ns:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(target.name + ".part")
    with Image.open(photo) as image:
        smaller(image, side).save(unfinished, "JPEG", quality=QUALITY)
    os.utime(unfinished, ns=(state.st_atime_ns, state.st_mtime_ns))
    unfinished.replace(target)


def smaller(image: Image.Image, side: int) -> Image.Image:
    """The image upright and in RGB, with a shorter side of at most `side` pixels."""
    image.draft("RGB", (2 * side, 2 * side))  # a JPEG need not be decoded at its full size
    upright = ImageOps.exif_transpose(image)
    if upright.has_transparency_data:  # transparent pixels have arbitrary colours: take white
        upright = upright.convert("RGBA")
        upright = Image.alpha_composite(Image.new("RGBA", upright.size, "white"), upright)
    elif upright.mode.startswith("I"):  # 16 bits of grey: Pillow would clip them
        upright = Image.fromarray((np.asarray(upright).clip(0, 65535) >> 8).astype(np.uint8))
    upright = upright.convert("RGB")
    scale = side / min(upright.size)
    if scale >= 1:
        return upright
    size = tuple(max(side, round(length * scale)) for length in upright.size)
    return upright.resize(size, Image.Resampling.LANCZOS)


def decoding_speed(photos: Iterable[Any], image_size: int) -> float:
    """Photos per second that one process decodes and resizes, as the training script does.

    Args:
        photos: files, or binary file objects.
        image_size: pixels a side at which the network is trained.
    """
    side, count, begun = round(image_size * 256 / 224), 0, time.perf_counter()
    for photo in photos:
        with Image.open(photo) as image:
            image.draft("RGB", (side, side))
            image.convert("RGB").resize((image_size, image_size), Image.Resampling.BILINEAR)
        count += 1
    return count / (time.perf_counter() - begun)


def example(photo: Path, image_size: int, times: int = 5):
    """One photo enlarged to the size of a phone's, and as `prepare` saves it: bytes and speed.

    Enlarged, it has 4032 x 3024 pixels, so the decoder makes as many as from a phone's photo. A
    real one has more detail, and so more bytes.

    Returns:
        A pandas DataFrame with a row for each of the two files: `pixels`, `kilobytes`, and
        `photos_per_second` that one process decodes.
    """
    import pandas as pd

    with Image.open(photo) as image:
        large = image.convert("RGB").resize(PHONE, Image.Resampling.BICUBIC)
    files = {"enlarged": _jpeg(large)}
    with Image.open(io.BytesIO(files["enlarged"])) as image:
        files["made smaller"] = _jpeg(smaller(image, SHORTER_SIDE))
    rows = {}
    for name, data in files.items():
        with Image.open(io.BytesIO(data)) as image:
            pixels = f"{image.width} x {image.height}"
        rate = decoding_speed((io.BytesIO(data) for _ in range(times)), image_size)
        rows[name] = {
            "pixels": pixels,
            "kilobytes": round(len(data) / 1e3),
            "photos_per_second": round(rate),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def _jpeg(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()


# ------------------------------------------------------------------------------------------- upload


@dataclass(frozen=True)
class Photo:
    """One object to be: its key in the bucket, the file on this disk, and its size in bytes."""

    key: str
    file: Path
    bytes: int


@dataclass(frozen=True, repr=False)
class Plan(_Facts):
    """What an upload has to do: send new and changed photos, and remove what no longer belongs.

    Attributes:
        send: photos that the bucket lacks, or holds with other content.
        unchanged: photos that the bucket holds already.
        remove: keys below the prefix that belong to no photo.
    """

    send: list[Photo] = field(default_factory=list)
    unchanged: list[Photo] = field(default_factory=list)
    remove: list[str] = field(default_factory=list)

    def facts(self) -> list[tuple[str, str]]:
        """The plan in lines of (what, value)."""
        return [
            ("to send", _counted(self.send)),
            ("there already, unchanged", _counted(self.unchanged)),
            ("to remove", f"{len(self.remove):,} objects"),
        ]


def _counted(photos: Sequence[Photo]) -> str:
    return f"{len(photos):,} photos, {sum(photo.bytes for photo in photos) / 1e6:,.1f} MB"


def plan(s3: Any, bucket: str, prefix: str, files: Mapping[str, Path]) -> Plan:
    """Compare the photos with what lies below the prefix, and say what an upload has to do.

    A photo is unchanged if its object has the same size and its ETag is the MD5 of the file. S3
    gives this ETag to objects that were put in one request and are encrypted with S3's own keys,
    the default. With a KMS key the ETag is something else, and every photo is sent each time.

    Args:
        s3: a boto3 client of S3.
        bucket: name of the bucket.
        prefix: what all keys begin with, up to and including a slash.
        files: name below the prefix → file, as `Prepared.files`.
    """
    there = listing(s3, bucket, prefix)
    photos = [Photo(prefix + name, file, file.stat().st_size) for name, file in files.items()]
    same = {photo.key for photo in photos if _is_there(photo, there.get(photo.key))}
    return Plan(
        send=[photo for photo in photos if photo.key not in same],
        unchanged=[photo for photo in photos if photo.key in same],
        remove=sorted(set(there) - {photo.key for photo in photos}),
    )


def _is_there(photo: Photo, known: Mapping[str, Any] | None) -> bool:
    if known is None or known["Size"] != photo.bytes:
        return False
    return known["ETag"].strip('"') == hashlib.md5(photo.file.read_bytes()).hexdigest()


def listing(s3: Any, bucket: str, prefix: str) -> dict[str, dict[str, Any]]:
    """All objects below the prefix, by key, each with its `Size` in bytes and its `ETag`."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return {found["Key"]: found for page in pages for found in page.get("Contents", [])}


def remove(s3: Any, bucket: str, keys: Sequence[str]) -> int:
    """Delete these objects, 1,000 a request, and return how many they were.

    Raises:
        UploadIncomplete: S3 refused to delete one of them.
    """
    for first in range(0, len(keys), PER_REQUEST):
        some = [{"Key": key} for key in keys[first : first + PER_REQUEST]]
        answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": some, "Quiet": True})
        for error in answer.get("Errors", []):
            raise UploadIncomplete(
                f"{error['Key']} was not removed: {error.get('Message') or error.get('Code')}. "
                "Check that your user may delete objects in this bucket (docs/aws.md)."
            )
    return len(keys)


def verify(s3: Any, bucket: str, prefix: str, files: Mapping[str, Path]) -> str:
    """Compare the listing with the files: the same keys, and the same number of bytes for each.

    Returns:
        A sentence with the number of objects and bytes.

    Raises:
        UploadIncomplete: a photo is missing or has another size, or there are other objects.
    """
    there = {key: found["Size"] for key, found in listing(s3, bucket, prefix).items()}
    here = {prefix + name: file.stat().st_size for name, file in files.items()}
    wrong = {
        "missing": sorted(set(here) - set(there)),
        "of another size": sorted(k for k in set(here) & set(there) if here[k] != there[k]),
        "not ours": sorted(set(there) - set(here)),
    }
    found = "; ".join(
        f"{len(keys):,} {what}, such as {keys[0].removeprefix(prefix)}"
        for what, keys in wrong.items()
        if keys
    )
    if found:
        raise UploadIncomplete(
            f"the bucket and the disk differ: {found}. Run the cells of the upload again: they "
            "send only what is missing."
        )
    return f"{len(there):,} objects, {sum(there.values()):,} bytes: exactly what is on the disk"
