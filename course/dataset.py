"""Find, open and check a data set of class folders: `train|valid|test/<class>/<image>`."""

import gzip
import os
import re
import shutil
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from PIL import Image

from course.sample_photos import sample

SPLITS = ("train", "valid", "test")
# The files and formats that the training job takes for photos, as in entry_points/preprocess.py.
IMAGES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff")
IMAGES += (".avif", ".jp2", ".ppm", ".pgm")
FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000", "PPM")
_LAYOUT = "Expected class folders of images in train/, valid/ and test/, as in dogImages.zip."


@dataclass(frozen=True, repr=False)
class Report:
    """What a data set holds. Sizes are (width, height) in pixels, `bytes` counts all images."""

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
    missing: dict[str, list[str]] = field(default_factory=dict)

    @property
    def images(self) -> int:
        """How many image files there are, the damaged ones included."""
        return sum(sum(split.values()) for split in self.counts.values())

    def table(self):
        """A pandas DataFrame of image counts: one row a class, one column a split."""
        import pandas as pd

        table = pd.DataFrame(self.counts, index=self.classes, columns=list(SPLITS))
        return table.fillna(0).astype(int).rename_axis("class")

    def facts(self) -> list[tuple[str, str]]:
        """The report in a few lines of (what, value)."""
        splits = ", ".join(f"{split} {sum(self.counts[split].values()):,}" for split in SPLITS)
        facts = [
            ("images", f"{self.images:,} ({splits})"),
            ("classes", f"{len(self.classes)}"),
            ("size", " · ".join(f"{n} {_size(getattr(self, n))}" for n in _SIZES)),
            ("bytes", f"{self.bytes / 1e6:,.1f} MB"),
            ("damaged", self._listed(self.damaged, self.reasons)),
            ("no images", self._listed(self.not_images, {})),
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


# -------------------------------------------------------------------------------------------- check


def check(folder: str | os.PathLike) -> Report:
    """Read every image of a data set and report what is there, and what is wrong with it.

    Each image is decoded, at reduced size where the format allows it: a header alone does not
    show that the end of a file is missing.

    Raises:
        FileNotFoundError: no such folder, or a split is missing.
        ValueError: a folder without classes or images, or with a single class.
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
        images, others = _files(found)
        if not images:
            raise ValueError(
                f"{folder / split} has class folders and no images in them. "
                f"Images end in {', '.join(IMAGES)}."
            )
        counts[split] = dict.fromkeys(classes, 0)
        for file in images:
            counts[split][file.parent.relative_to(folder / split).parts[0]] += 1
        # ImageFolder takes .ipynb_checkpoints for a class: name such folders, that they may go.
        hidden = [entry for entry in (folder / split).iterdir() if _hidden(entry.name)]
        files, strays = files + images, strays + others + sorted(hidden)
    missing = {split: [name for name, n in counts[split].items() if not n] for split in SPLITS}
    read = _read_all(files)
    reasons = {
        file: result for file, result in zip(files, read, strict=True) if type(result) is str
    }
    sizes = sorted((r for r in read if type(r) is not str), key=lambda size: size[0] * size[1])
    if not sizes:
        raise ValueError(f"none of the {len(files)} images in {folder} can be read. {_LAYOUT}")
    return Report(
        folder=folder,
        classes=classes,
        counts=counts,
        smallest=sizes[0],
        median=sizes[len(sizes) // 2],
        largest=sizes[-1],
        bytes=sum(file.stat().st_size for file in files),
        damaged=list(reasons),
        reasons=reasons,
        not_images=strays,
        missing={split: names for split, names in missing.items() if names},
    )


def _require_splits(folder: Path) -> None:
    if not folder.exists():
        raise FileNotFoundError(f"there is no folder {folder}. {_LAYOUT}")
    if not folder.is_dir():
        raise ValueError(f"{folder} is a file, not a folder. {_LAYOUT}")
    if not any(folder.iterdir()):
        raise ValueError(f"{folder} is empty. {_LAYOUT}")
    absent = [split for split in SPLITS if not (folder / split).is_dir()]
    if absent:
        there = ", ".join(sorted(entry.name for entry in folder.iterdir())[:8])
        raise FileNotFoundError(
            f"{folder} has no folder {' and no '.join(absent)}; it holds {there}. {_LAYOUT}"
        )


def _classes(split: Path) -> list[Path]:
    """The class folders of a split, sorted by name, which is ImageFolder's label order."""
    homes = sorted(entry for entry in split.iterdir() if entry.is_dir() and not _hidden(entry.name))
    if not homes:
        raise ValueError(f"{split} has no class folders. {_LAYOUT}")
    return homes


def _hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _files(homes: list[Path]) -> tuple[list[Path], list[Path]]:
    """All files below these folders, sorted: the images, and the rest."""
    images, others = [], []
    for home in homes:
        for file in sorted(file for file in home.rglob("*") if file.is_file()):
            hidden = any(map(_hidden, file.relative_to(home).parts))
            is_image = file.suffix.lower() in IMAGES and not hidden
            (images if is_image else others).append(file)
    return images, others


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


# ------------------------------------------------------------------------------------------- source


def source(
    data: str | os.PathLike | None, classes: int | None, build_dir: str | os.PathLike
) -> Path:
    """The folder with train/, valid/ and test/ to work on; nothing of the user's is changed.

    Args:
        data: None for the drawn sample; else a folder, or a .zip or .tar.gz archive, which holds
            the splits itself or in one subfolder such as `dogImages/`.
        classes: how many breeds to draw (None: 12). With data of your own it must not exceed
            what is there, and leaves nothing out.
        build_dir: where the drawn sample and opened archives go.

    Raises:
        FileNotFoundError: no such data, or no splits in it.
        ValueError: an archive of another kind or with unsafe members; `classes` out of range.
    """
    build_dir = Path(build_dir)
    if data is None:
        count = 12 if classes is None else classes
        return sample.make(build_dir / f"sample-{count}", classes=count)
    data = Path(data).expanduser()
    if not data.exists():
        raise FileNotFoundError(
            f"there is no {data}. Give a folder or a .zip or .tar.gz archive of class folders, "
            "or nothing at all for the drawn sample."
        )
    folder = _splits_in(data if data.is_dir() else _opened(data, build_dir))
    _enough(folder, classes)
    return folder


def chosen() -> Path:
    """The data that `COURSE_DATA` and `COURSE_CLASSES` name (`make course DATA=... CLASSES=...`).

    Raises:
        FileNotFoundError, ValueError: as `source`.
    """
    classes = os.environ.get("COURSE_CLASSES") or None
    if classes is not None and not classes.isdigit():
        raise ValueError(f"CLASSES is '{classes}': give a number of breeds, such as 133")
    build = Path(__file__).resolve().parents[1] / "build"
    count = int(classes) if classes else None
    return source(os.environ.get("COURSE_DATA") or None, count, build)


def _enough(folder: Path, classes: int | None) -> None:
    there = len(_classes(folder / "train"))
    if classes is not None and classes > there:
        raise ValueError(
            f"classes={classes}, and {folder} has {there}. "
            "Leave `classes` away: data of your own is used whole."
        )


def _splits_in(folder: Path) -> Path:
    """`folder` or its one subfolder that has the splits."""
    inner = (e for e in sorted(folder.iterdir()) if e.is_dir() and not _hidden(e.name))
    candidates = [folder, *inner]
    found = [c for c in candidates if all((c / split).is_dir() for split in SPLITS)]
    if found[:1] == [folder] or len(found) == 1:
        return found[0]
    if not found:
        raise FileNotFoundError(f"{folder} has no train/, valid/ and test/. {_LAYOUT}")
    names = ", ".join(candidate.name for candidate in found)
    raise ValueError(f"{folder} holds several data sets: {names}. Give the path of one of them.")


def _opened(archive: Path, build_dir: Path) -> Path:
    """The folder the archive was extracted to; extracted again when the archive has changed."""
    reader = _reader(archive)
    state = archive.stat()
    stem = re.sub(r"(\.tar)?\.[^.]+$", "", archive.name)
    target = build_dir / f"{stem}-{state.st_size:x}-{state.st_mtime_ns:x}"
    if target.is_dir():
        return target
    build_dir.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{stem}-", dir=build_dir))
    try:
        reader(archive, unfinished)
        unfinished.chmod(0o755)
        unfinished.rename(target)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return target


def _reader(archive: Path):
    if zipfile.is_zipfile(archive):
        return _unzip
    if tarfile.is_tarfile(archive):
        return _untar
    raise ValueError(
        f"{archive} is neither a .zip nor a .tar.gz archive, or it is damaged "
        f"({archive.stat().st_size:,} bytes). Fetch it again, or give a folder."
    )


def _refuse(archive: Path, member: str, why: str) -> None:
    raise ValueError(
        f"{archive.name} has a member {member!r} that {why}: nothing of it was extracted. "
        "Pack the class folders themselves."
    )


def _checked(archive: Path, names: Iterator[str]) -> None:
    for name in names:
        parts = name.replace("\\", "/").split("/")
        if name.startswith(("/", "\\")) or ".." in parts or re.match(r"^[A-Za-z]:", name):
            _refuse(archive, name, "points out of the folder")


def _unzip(archive: Path, target: Path) -> None:
    with zipfile.ZipFile(archive) as opened:
        _checked(archive, (member.filename for member in opened.infolist()))
        for member in opened.infolist():
            if stat.S_ISLNK(member.external_attr >> 16):
                _refuse(archive, member.filename, "is a link")
        try:
            opened.extractall(target)
        except (zipfile.BadZipFile, RuntimeError, EOFError, zlib.error) as error:
            raise ValueError(f"{archive} can't be extracted: {error}. Fetch it again.") from error


def _untar(archive: Path, target: Path) -> None:
    try:
        with tarfile.open(archive) as opened:
            members = opened.getmembers()
            _checked(archive, (member.name for member in members))
            for member in members:
                if not (member.isfile() or member.isdir()):
                    _refuse(archive, member.name, "is a link or a device")
            opened.extractall(target, members, filter="data")
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{archive} can't be extracted: {error}. Fetch it again.") from error
