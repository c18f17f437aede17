"""The layout of a data set, `train|valid|test/<class>/<photo>`, and a check of each photo in it."""

import os
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from PIL import Image

SPLITS = ("train", "valid", "test")
# The files and formats that the training job takes for photos, as in entry_points/preprocess.py.
IMAGES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff")
IMAGES += (".avif", ".jp2", ".ppm", ".pgm")
FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000", "PPM")
LAYOUT = "Expected class folders of images in train/, valid/ and test/, as in dogImages.zip."


@dataclass(frozen=True, repr=False)
class Report:
    """What a data set holds.

    Attributes:
        folder: the folder with train/, valid/ and test/.
        classes: names of the class folders, sorted, which is the order of the labels.
        counts: split → class → number of photos, the damaged ones included.
        smallest, median, largest: (width, height) in pixels, ordered by area.
        bytes: size of all photos on disk.
        damaged, reasons: photos that cannot be decoded, and why.
        not_images: files and hidden folders that are not photos.
        outside: photos that lie in no class folder, so that no class can be told for them.
        missing: split → classes without a photo there.
        sizes: (width, height) in pixels of each photo that can be decoded.
    """

    folder: Path
    classes: list[str]
    counts: dict[str, dict[str, int]]
    smallest: tuple[int, int]
    median: tuple[int, int]
    largest: tuple[int, int]
    bytes: int
    damaged: list[Path] = field(default_factory=list)
    reasons: dict[Path, str] = field(default_factory=dict)
    not_images: list[Path] = field(default_factory=list)
    outside: list[Path] = field(default_factory=list)
    missing: dict[str, list[str]] = field(default_factory=dict)
    sizes: dict[Path, tuple[int, int]] = field(default_factory=dict)

    @property
    def images(self) -> int:
        """How many photos lie in class folders, the damaged ones included."""
        return sum(sum(split.values()) for split in self.counts.values())

    @property
    def photos(self) -> list[Path]:
        """The photos that can be trained on: in a class folder, and sound."""
        return list(self.sizes)

    def table(self):
        """A pandas DataFrame of photo counts: one row per class, one column per split."""
        import pandas as pd

        table = pd.DataFrame(self.counts, index=self.classes, columns=list(SPLITS))
        return table.fillna(0).astype(int).rename_axis("class")

    def facts(self) -> list[tuple[str, str]]:
        """The report in a few lines of (what, value)."""
        splits = ", ".join(f"{split} {sum(self.counts[split].values()):,}" for split in SPLITS)
        facts = [
            ("photos", f"{self.images:,} ({splits})"),
            ("classes", f"{len(self.classes)}"),
            ("pixels (by area)", " · ".join(f"{n} {_size(getattr(self, n))}" for n in _SIZES)),
            ("bytes", f"{self.bytes / 1e6:,.1f} MB"),
            ("damaged", self._listed(self.damaged, self.reasons)),
            ("not photos", self._listed(self.not_images, {})),
            ("in no class folder", self._listed(self.outside, {})),
        ]
        for split, names in self.missing.items():
            facts.append((f"missing in {split}", ", ".join(names)))
        return facts

    def _listed(self, files: list[Path], reasons: dict[Path, str]) -> str:
        shown = [
            f"{file.relative_to(self.folder).as_posix()}"
            + (f" ({reasons[file]})" if file in reasons else "")
            for file in files[:10]
        ]
        rest = [f"and {len(files) - 10} more"] if len(files) > 10 else []
        return "; ".join(shown + rest) or "none"

    def __str__(self) -> str:
        return "\n".join(f"{name:<18} {value}" for name, value in self.facts())

    # A notebook shows the representation: it must be readable, and name no path of this machine.
    __repr__ = __str__

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th style='text-align:left'>{escape(name)}</th>"
            f"<td style='text-align:left'>{escape(value)}</td></tr>"
            for name, value in self.facts()
        )
        return f"<table>{rows}</table>"


_SIZES = ("smallest", "median", "largest")


def _size(pixels: tuple[int, int]) -> str:
    return f"{pixels[0]}x{pixels[1]}"


def breed(class_name: str) -> str:
    """The breed a class folder stands for: `076.Golden_retriever` → `Golden retriever`."""
    return re.sub(r"^\d+[.\-_ ]", "", class_name).replace("_", " ")


# ------------------------------------------------------------------------------------------- layout


def class_folders(split: Path) -> list[Path]:
    """The class folders in a folder, sorted by name, which is ImageFolder's label order."""
    return sorted(entry for entry in split.iterdir() if entry.is_dir() and not hidden(entry.name))


def hidden(name: str) -> bool:
    """Whether a file or folder is bookkeeping of some program, such as `.ipynb_checkpoints`."""
    return name.startswith(".") or name == "__MACOSX"


def is_image(file: Path) -> bool:
    """Whether the name of a file is that of a photo."""
    return file.suffix.lower() in IMAGES and not hidden(file.name)


def files_below(home: Path) -> tuple[list[Path], list[Path]]:
    """All files below a folder, sorted: the photos, and the rest."""
    images, others = [], []
    for file in sorted(file for file in home.rglob("*") if file.is_file()):
        parents = file.relative_to(home).parts[:-1]
        (images if is_image(file) and not any(map(hidden, parents)) else others).append(file)
    return images, others


# -------------------------------------------------------------------------------------------- check


def check(folder: str | os.PathLike) -> Report:
    """Read every photo of a data set and report what is there, and what is wrong with it.

    Each photo is decoded, at reduced size where the format allows it: a header alone does not
    show that the end of a file is missing.

    Raises:
        FileNotFoundError: no such folder, or a split is missing.
        ValueError: a folder without classes or photos, or with a single class.
    """
    folder = Path(folder)
    _require_splits(folder)
    homes = {split: _classes(folder / split) for split in SPLITS}
    classes = sorted({home.name for split in homes.values() for home in split})
    if len(classes) == 1:
        raise ValueError(
            f"{folder} has one class only, {classes[0]}: there is nothing to tell apart. "
            "Add the class folders of at least one more."
        )
    files, counts, strays = [], {}, []
    for split, found in homes.items():
        listed = [files_below(home) for home in found]
        images = [file for photos, _ in listed for file in photos]
        if not images:
            raise ValueError(
                f"{folder / split} has class folders and no images in them. "
                f"Images end in {', '.join(IMAGES)}."
            )
        counts[split] = dict.fromkeys(classes, 0)
        for file in images:
            counts[split][file.parent.relative_to(folder / split).parts[0]] += 1
        files += images
        strays += [file for _, others in listed for file in others]
        # ImageFolder takes .ipynb_checkpoints for a class: name such folders, that they may go.
        strays += sorted(e for e in (folder / split).iterdir() if e.is_dir() and hidden(e.name))
        strays += [file for file in _beside(folder / split) if not is_image(file)]
    outside = [f for home in (folder, *map(folder.joinpath, SPLITS)) for f in _beside(home)]
    missing = {split: [name for name, n in counts[split].items() if not n] for split in SPLITS}
    read = dict(zip(files, _read_all(files), strict=True))
    reasons = {file: result for file, result in read.items() if type(result) is str}
    sizes = {file: result for file, result in read.items() if type(result) is not str}
    if not sizes:
        raise ValueError(f"none of the {len(files)} images in {folder} can be read. {LAYOUT}")
    ordered = sorted(sizes.values(), key=lambda size: size[0] * size[1])
    return Report(
        folder=folder,
        classes=classes,
        counts=counts,
        smallest=ordered[0],
        median=ordered[len(ordered) // 2],
        largest=ordered[-1],
        bytes=sum(file.stat().st_size for file in files),
        damaged=list(reasons),
        reasons=reasons,
        not_images=strays,
        outside=[file for file in outside if is_image(file)],
        missing={split: names for split, names in missing.items() if names},
        sizes=sizes,
    )


def _require_splits(folder: Path) -> None:
    if not folder.exists():
        raise FileNotFoundError(f"there is no folder {folder}. {LAYOUT}")
    if not folder.is_dir():
        raise ValueError(f"{folder} is a file, not a folder. {LAYOUT}")
    if not any(folder.iterdir()):
        raise ValueError(f"{folder} is empty. {LAYOUT}")
    absent = [split for split in SPLITS if not (folder / split).is_dir()]
    if absent:
        there = ", ".join(sorted(entry.name for entry in folder.iterdir())[:8])
        raise FileNotFoundError(
            f"{folder} has no folder {' and no '.join(absent)}; it holds {there}. {LAYOUT}"
        )


def _classes(split: Path) -> list[Path]:
    homes = class_folders(split)
    if not homes:
        raise ValueError(f"{split} has no class folders. {LAYOUT}")
    return homes


def _beside(folder: Path) -> list[Path]:
    """The files that lie directly in a folder, beside the folders that it holds."""
    return sorted(file for file in folder.iterdir() if file.is_file())


def _read_all(files: list[Path]) -> list[tuple[int, int] | str]:
    """For each file its size in pixels, or why it can't be read. Pillow decodes without the GIL."""
    Image.init()  # so that Image.OPEN names all formats that this Pillow reads
    with ThreadPoolExecutor(min(16, 2 * (os.cpu_count() or 1))) as pool:
        return list(pool.map(_read, files))


def _read(file: Path) -> tuple[int, int] | str:
    try:
        with Image.open(file, formats=[name for name in FORMATS if name in Image.OPEN]) as image:
            size = image.size
            image.draft("RGB", (64, 64))  # JPEG: an eighth of the work, and still to the last byte
            image.load()
        return size
    except Image.DecompressionBombError:
        return "more pixels than Pillow opens"
    except Exception as error:  # Pillow raises many kinds; each is the answer
        if not file.stat().st_size:
            return "empty file"
        return str(error).replace(str(file), file.name) or type(error).__name__
