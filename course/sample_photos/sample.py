"""The drawn sample set: dog pictures for anyone, in the very layout of dogImages.

    train|valid|test/057.Dalmatian/Dalmatian_00001.jpg

Every picture follows from (seed, split, breed, index) alone, so the set is the same bytes on every
run, in any order and by any number of processes.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np
from PIL import Image

from course.sample_photos import breeds, dogs, looks, scenes
from course.sample_photos.pen import Pen

SPLITS = ("train", "valid", "test")
RECIPE = "sample.json"
VERSION = 1  # of the drawings: another number, another set
SERIAL_UP_TO = 100  # pictures: fewer are drawn sooner than worker processes start

_SIZES = ((320, 240), (300, 225), (256, 256), (288, 216), (240, 300), (240, 320), (320, 214))


def draw_breed(name: str, seed: int, size: tuple[int, int] | None = None) -> Image.Image:
    """A picture of one dog: RGB, `size` = (width, height) in pixels, else one of several sizes.

    `name` is any of the 133, written `Golden_retriever`, `Golden retriever` or
    `076.Golden_retriever`; the same `seed` gives the same picture.

    Raises:
        ValueError: no such breed.
    """
    breed, rng = breeds.find(name), np.random.default_rng(seed)
    usual = _SIZES[rng.integers(len(_SIZES))]
    wide, high = (2 * side for side in size or usual)
    pose = dogs.POSES[rng.integers(len(dogs.POSES))]
    front = pose == "portrait" or bool(rng.random() < 0.4)
    dog = looks.look(breed, rng)
    unit, ground = _framing(rng, dog, pose, wide, high)
    x = wide * (0.5 + rng.normal(0, 0.06))
    shadow = (x, 0.0 if pose == "portrait" else 0.75 * unit * dog.shape["length"])
    image = scenes.place(rng, (wide, high), min(ground, high), shadow)
    flip = bool(rng.random() < 0.5)
    frame = np.array([[-unit if flip else unit, 0, x], [0, unit, ground]])
    dogs.draw(Pen(image, rng, frame, unit, 1 if rng.random() < 0.5 else -1), dog, pose, front)
    scenes.foreground(rng, image, ground)
    return scenes.photograph(rng, image)


def _framing(rng, dog: looks.Look, pose: str, wide: int, high: int) -> tuple[float, float]:
    """Pixels per body length, and the height in pixels at which the dog stands."""
    s = dog.shape
    if pose == "portrait":
        unit = min(wide / (3.0 * s["head"]), high / (2.9 * s["head"])) * rng.uniform(0.85, 1.25)
        return unit, high * rng.uniform(0.52, 0.66) + unit * 0.7
    tall = {"stand": s["leg"], "sit": s["leg"] + 0.1 * s["length"], "lie": 0.05}[pose]
    tall += s["depth"] + s["neck"] + 0.6 * s["head"] + 0.1
    across = {"stand": s["length"] + 0.7, "sit": 1.1 * s["length"] + 0.2, "lie": 1.2 + s["length"]}
    unit = min(0.92 * high / tall, 0.98 * wide / across[pose]) * rng.uniform(0.92, 1.2)
    return unit, high * rng.uniform(0.88, 0.98)


def default_per_class(classes: int) -> tuple[int, int, int]:
    """Pictures a breed in (train, valid, test): fewer where there are many breeds."""
    if classes <= 20:
        return (40, 8, 8)
    return (16, 4, 4)


def make(
    folder: str | os.PathLike,
    classes: int = 12,
    per_class: tuple[int, int, int] | None = None,
    seed: int = 0,
) -> Path:
    """Draw the sample set into `folder` and return its path.

    A complete set that was drawn there with the same arguments is used again, another one is
    replaced. The set is drawn in a folder beside it and renamed when it is whole, so that half a
    set never lies in `folder`.

    Raises:
        ValueError: `classes` outside 2 to 133, or `per_class` not three positive counts.
        FileExistsError: `folder` holds something else.
    """
    folder, chosen = Path(folder), breeds.choose(classes)
    per_class = per_class or default_per_class(classes)
    if len(per_class) != len(SPLITS) or not all(isinstance(n, int) and n > 0 for n in per_class):
        raise ValueError(
            f"per_class={per_class!r}: give three counts of at least 1, for train, valid and test, "
            f"such as {default_per_class(classes)}."
        )
    recipe = {
        "drawing": VERSION,
        "classes": [breed.folder for breed in chosen],
        "per_class": list(per_class),
        "seed": seed,
    }
    if _recipe(folder) == recipe and _pictures(folder) == len(chosen) * sum(per_class):
        return folder
    if folder.exists() and _recipe(folder) is None and any(folder.iterdir()):
        raise FileExistsError(
            f"{folder} holds files that are no drawn sample, and is left as it is. "
            "Give another folder, or empty this one."
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        _draw_all(_tasks(unfinished, chosen, per_class, seed))
        (unfinished / RECIPE).write_text(json.dumps(recipe, indent=1) + "\n")
        unfinished.chmod(0o755)
        if folder.exists():
            shutil.rmtree(folder)
        unfinished.rename(folder)
    except OSError:
        if _recipe(folder) != recipe:  # else another process was first, with the same set
            raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return folder


def _recipe(folder: Path) -> dict | None:
    """What the set in `folder` was drawn with; None where there is none."""
    try:
        recipe = json.loads((folder / RECIPE).read_text())
    except (OSError, ValueError):
        return None
    return recipe if isinstance(recipe, dict) and "drawing" in recipe else None


def _pictures(folder: Path) -> int:
    return sum(1 for split in SPLITS for _ in (folder / split).glob("*/*.jpg"))


Task = tuple[str, str, int]  # file, breed, seed


def _tasks(folder: Path, chosen, per_class, seed: int) -> Iterator[Task]:
    for split, count in zip(SPLITS, per_class, strict=True):
        for breed in chosen:
            home = folder / split / breed.folder
            home.mkdir(parents=True)
            for index in range(1, count + 1):
                file = home / f"{breed.name}_{index:05d}.jpg"
                yield str(file), breed.name, _seed(seed, split, breed.name, index)


def _seed(*parts: object) -> int:
    """A number that follows from the parts, on every machine and in every process."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big")


def _draw_one(task: Task) -> None:
    file, name, seed = task
    draw_breed(name, seed).save(file, quality=88)


def _draw_all(tasks: Iterator[Task]) -> None:
    tasks = list(tasks)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    if cores > 1 and len(tasks) > SERIAL_UP_TO:
        try:
            with ProcessPoolExecutor(min(cores, 8)) as pool:
                for _ in pool.map(_draw_one, tasks, chunksize=16):
                    pass
            return
        except (BrokenProcessPool, OSError, PermissionError):
            pass  # a sandbox without processes or shared memory: the same pictures, one by one
    for task in tasks:
        _draw_one(task)
