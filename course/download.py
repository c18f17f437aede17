"""Get the photos: drawn, downloaded, or your own folder or archive, always as `dataset` needs them.

`fetch` downloads an archive such as dogImages.zip and goes on after a break. `chosen` returns a
folder with train/, valid/ and test/, whatever it was given; nothing of the user's is changed.
"""

import gzip
import hashlib
import http.client
import json
import os
import random
import re
import shutil
import stat
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from course.dataset import (
    LAYOUT,
    SPLITS,
    class_folders,
    files_below,
    is_image,
)
from course.sample_photos import sample

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build"
BREEDS = 133  # drawn by default: as many as dogImages.zip has
SHARES = {"valid": 0.15, "test": 0.15}  # of each class; the rest is for training

MEGABYTE = 10**6
TIMEOUT_S = 60
ATTEMPTS = 5  # in a row without a byte; any progress starts the count again


class DownloadBroken(ConnectionError):
    """The download broke off; what has arrived is kept, and the next call goes on from there."""


# ------------------------------------------------------------------------------------------- source


def chosen(data: str | os.PathLike | None = None) -> Path:
    """The folder of photos to work on, with train/, valid/ and test/.

    Args:
        data: a folder or an archive. If it is None or empty, the environment variable
            `COURSE_DATA` decides (`make course DATA=...`), and without it the photos are drawn:
            133 breeds, or as many as `COURSE_CLASSES` says (`make course CLASSES=...`).

    Raises:
        FileNotFoundError, ValueError: as `source`.
    """
    classes = os.environ.get("COURSE_CLASSES") or None
    if classes is not None and not classes.isdigit():
        raise ValueError(f"CLASSES is '{classes}': give a number of breeds, such as 12")
    count = int(classes) if classes else None
    return source(data or os.environ.get("COURSE_DATA") or None, count, BUILD)


def source(
    data: str | os.PathLike | None, classes: int | None, build_dir: str | os.PathLike
) -> Path:
    """The folder with train/, valid/ and test/ to work on; nothing of the user's is changed.

    Args:
        data: None for drawn photos; else a folder, or a .zip or .tar.gz archive. It holds
            train/, valid/ and test/ with the class folders in them, or the class folders alone,
            which are then split; both may lie in one subfolder such as `dogImages/`.
        classes: how many breeds to draw (None: 133). With data of your own it must not exceed
            what is there, and leaves nothing out.
        build_dir: where drawn photos, opened archives and splits go.

    Raises:
        FileNotFoundError: no such data, or neither splits nor class folders in it.
        ValueError: an archive of another kind or with unsafe members; a class with fewer than
            three photos where a split must be made; `classes` out of range.
    """
    build_dir = Path(build_dir)
    if data is None:
        count = BREEDS if classes is None else classes
        return sample.make(build_dir / f"sample-{count}", classes=count)
    data = Path(data).expanduser()
    if not data.exists():
        raise FileNotFoundError(
            f"there is no {data}. Give a folder or a .zip or .tar.gz archive of class folders, "
            "or nothing at all for drawn photos."
        )
    given = data if data.is_dir() else unpack(data, build_dir)
    folder, has_splits = _data_set_in(given)
    if not has_splits:
        folder = split(folder, build_dir)
    _enough(folder, classes)
    return folder


def origin(folder: Path) -> str:
    """Where the photos lie and where they come from, in a sentence without a path of this machine.

    Args:
        folder: as `chosen` returns it.
    """
    folder = folder.resolve()
    if not folder.is_relative_to(BUILD):
        return f"{folder.name}/, a folder of your own, used where it is"
    shown = folder.relative_to(ROOT).as_posix()
    if (folder / sample.RECIPE).exists():
        return f"{shown}/, photos that this repository has drawn"
    if (folder / SPLIT_RECIPE).exists():
        shares = json.loads((folder / SPLIT_RECIPE).read_text())
        return (
            f"{shown}/, your photos in a split made here: {shares['train']:,} for training, "
            f"{shares['valid']:,} for validation, {shares['test']:,} for the test"
        )
    return f"{shown}/, unpacked from an archive"


def _enough(folder: Path, classes: int | None) -> None:
    there = len(class_folders(folder / "train"))
    if classes is not None and classes > there:
        raise ValueError(
            f"classes={classes}, and {folder} has {there}. "
            "Leave `classes` away: data of your own is used whole."
        )


def _data_set_in(folder: Path) -> tuple[Path, bool]:
    """The data set in `folder` or in one of its subfolders, and whether it has its splits."""
    inner = [entry for entry in class_folders(folder) if entry.name not in SPLITS]
    candidates = [folder, *inner]
    partly = any((candidate / name).is_dir() for candidate in candidates for name in SPLITS)
    for fits, has_splits in ((_has_splits, True), (_has_classes, False)):
        if partly and not has_splits:  # a split of another name must not become a class
            break
        found = [candidate for candidate in candidates if fits(candidate)]
        if found[:1] == [folder] or len(found) == 1:
            return found[0], has_splits
        if found:
            names = ", ".join(candidate.name for candidate in found)
            raise ValueError(
                f"{folder} holds several data sets: {names}. Give the path of one of them."
            )
    there = ", ".join(sorted(entry.name for entry in folder.iterdir())[:8]) or "nothing"
    raise FileNotFoundError(
        f"{folder} has no train/, valid/ and test/, and no two folders of photos that could be "
        f"classes; it holds {there}. {LAYOUT}"
    )


def _has_splits(folder: Path) -> bool:
    return all((folder / name).is_dir() for name in SPLITS)


def _has_classes(folder: Path) -> bool:
    """Whether these are class folders: two or more with photos directly in them."""
    return sum(any(map(is_image, home.iterdir())) for home in class_folders(folder)) >= 2


# -------------------------------------------------------------------------------------------- split

SPLIT_RECIPE = "split.json"  # in a folder that `split` has made: photos in each split, and the seed


def split(folder: Path, build_dir: Path, seed: int = 0) -> Path:
    """Split class folders into train/, valid/ and test/: 70, 15 and 15 % of each class.

    The photos stay where they are; the splits hold hard links to them, or copies where links are
    impossible. The same photos and the same seed give the same split. A class that is added later
    leaves the split of the others as it is. Photos beside the class folders are kept beside the
    splits, so that `dataset.check` reports them.

    Returns:
        The folder with the three splits, in `build_dir`.

    Raises:
        ValueError: a class has fewer than three photos, one for each split.
    """
    found = {home.name: files_below(home) for home in class_folders(folder)}
    found = {name: files for name, files in found.items() if any(files)}
    parts = {name: _parts(name, photos, seed) for name, (photos, _) in found.items()}
    everything = [file for photos, others in found.values() for file in photos + others]
    target = build_dir / f"{folder.name}-split-{_fingerprint(folder, everything, seed)}"
    if target.is_dir():
        return target
    with _whole(target) as unfinished:
        for name, (_, others) in found.items():
            for part, photos in parts[name].items():
                for file in photos + (others if part == "train" else []):
                    _link(file, unfinished / part / file.relative_to(folder))
        for file in filter(Path.is_file, folder.iterdir()):
            if is_image(file):
                _link(file, unfinished / file.name)
        totals = {part: sum(len(parts[name][part]) for name in parts) for part in SPLITS}
        (unfinished / SPLIT_RECIPE).write_text(json.dumps(totals | {"seed": seed}) + "\n")
    return target


def _parts(name: str, photos: list[Path], seed: int) -> dict[str, list[Path]]:
    """The photos of one class, shuffled by the seed and the class's name, in three parts."""
    if len(photos) < len(SPLITS):
        raise ValueError(
            f"class {name} has {len(photos)} photos, too few to split: it needs one for each of "
            "training, validation and test. Add photos, or take the class away."
        )
    shuffled = sorted(photos)
    random.Random(f"{seed}/{name}").shuffle(shuffled)
    valid, test = (max(1, round(SHARES[part] * len(photos))) for part in ("valid", "test"))
    return {
        "train": shuffled[valid + test :],
        "valid": shuffled[:valid],
        "test": shuffled[valid : valid + test],
    }


def _fingerprint(folder: Path, files: list[Path], seed: int) -> str:
    """Eight letters that change with the folder, its files and their sizes."""
    known = [str(folder.resolve()), str(seed)]
    known += [f"{file.relative_to(folder)} {file.stat().st_size}" for file in files]
    known += [f"{file.name}" for file in sorted(folder.iterdir()) if is_image(file)]
    return hashlib.sha256("\n".join(known).encode()).hexdigest()[:8]


@contextmanager
def _whole(target: Path) -> Iterator[Path]:
    """A folder to fill, which becomes `target` only if nothing goes wrong."""
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        yield unfinished
        unfinished.chmod(0o755)
        unfinished.rename(target)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _link(file: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(file, target)
    except OSError:  # another disk, or a file system without hard links
        shutil.copy2(file, target)


# ------------------------------------------------------------------------------------------ archive


def unpack(archive: Path, build_dir: Path) -> Path:
    """Unpack a .zip or .tar.gz archive into a folder of its own, and return that folder.

    It is unpacked once, and again when the archive has changed. Nothing is written outside the
    folder: members with such paths, links and devices are refused before anything is written.

    Raises:
        ValueError: another kind of archive, a damaged one, or one with such members.
        OSError: the disk is too full for it.
    """
    reader = _reader(archive)
    state = archive.stat()
    stem = re.sub(r"(\.tar)?\.[^.]+$", "", archive.name)
    target = build_dir / f"{stem}-{state.st_size:x}-{state.st_mtime_ns:x}"
    if not target.is_dir():
        with _whole(target) as unfinished:
            reader(archive, unfinished)
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
        _require_room(target, sum(member.file_size for member in opened.infolist()), archive.name)
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
            _require_room(target, sum(member.size for member in members), archive.name)
            opened.extractall(target, members, filter="data")
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{archive} can't be extracted: {error}. Fetch it again.") from error


def _require_room(folder: Path, needed: int, what: str) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise OSError(
            f"{what} needs {needed / 1e9:.1f} GB of disk, and {free / 1e9:.1f} GB are free. "
            "Make room, or enlarge the disk (in Studio: the space's storage)."
        )


# ----------------------------------------------------------------------------------------- download


def fetch(
    address: str,
    folder: str | os.PathLike | None = None,
    sha256: str | None = None,
    pause_s: float = 2.0,
) -> Path | None:
    """Download an archive with a progress bar, and go on where an earlier try broke off.

    The file gets its name only when it is whole: as many bytes as the server announced, of the
    asked SHA-256 if there is one, and a .zip or .tar.gz archive. Until then its bytes are in
    `NAME.part`. The server tells by its ETag or its date whether the file is still the same one;
    if it is not, the download starts again.

    Args:
        address: http:// or https:// address of the archive. If it is empty nothing happens.
        folder: where the archive goes; build/downloads by default.
        sha256: the archive's SHA-256 in hexadecimal, to be compared with.
        pause_s: seconds before a second try; before each further one twice as long.

    Returns:
        The archive's path, or None without an address.

    Raises:
        DownloadBroken: the connection broke off too often. Call again to go on.
        ValueError: no such address, a web page in place of a file, or another SHA-256.
        OSError: the disk is too full.
    """
    if not address:
        print("No address given: nothing is downloaded.")
        return None
    if urlsplit(address).scheme not in {"http", "https"}:
        raise ValueError(f"{address!r} is no address: it has to begin with https:// or http://")
    folder = Path(folder or BUILD / "downloads")
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / (PurePosixPath(unquote(urlsplit(address).path)).name or "photos.zip")
    if not file.exists():
        _download(_Partial(file), address, pause_s)
    digest = _sha256(file)
    if sha256 and digest != sha256.lower():
        file.unlink()
        raise ValueError(
            f"{file.name} has the SHA-256 {digest}, and {sha256} was asked for: it is another "
            "file, and was removed. Check the address."
        )
    print(f"{file.name}: {file.stat().st_size:,} bytes, SHA-256 {digest}")
    return file


@dataclass(frozen=True)
class _Partial:
    """A file that is being downloaded: its bytes so far, and which version they are of."""

    file: Path

    @property
    def part(self) -> Path:
        return self.file.with_name(self.file.name + ".part")

    @property
    def note(self) -> Path:
        return self.file.with_name(self.file.name + ".part.json")

    @property
    def size(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def version(self) -> dict:
        """What the server said of the file: `tag` (ETag or date, or None) and `total` bytes."""
        try:
            return json.loads(self.note.read_text())
        except (OSError, ValueError):
            return {}

    def drop(self) -> None:
        self.part.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)


def _download(partial: _Partial, address: str, pause_s: float) -> None:
    """Fetch the file whole, show progress in megabytes, and give it its name."""
    from course.widgets import track

    arriving = _arriving(partial, address, pause_s)
    total = max(1, round(next(arriving) / MEGABYTE))
    for _ in track(_megabytes(arriving), total, "MB"):
        pass
    if not (zipfile.is_zipfile(partial.part) or tarfile.is_tarfile(partial.part)):
        with partial.part.open("rb") as opened:
            begin = opened.read(20)
        partial.drop()
        raise ValueError(
            f"{partial.file.name} is no archive: it begins with {begin!r}. The address may lead "
            "to a page about the file; give the one of the file itself."
        )
    partial.part.rename(partial.file)
    partial.note.unlink(missing_ok=True)


def _megabytes(arriving: Iterator[int]) -> Iterator[int]:
    """One item for each full megabyte that is there."""
    seen = 0
    for size in arriving:
        while seen < round(size / MEGABYTE):
            seen += 1
            yield seen


def _arriving(partial: _Partial, address: str, pause_s: float) -> Iterator[int]:
    """Yield the file's size in bytes (0: not said), then how many are there, as they arrive."""
    failures, told = 0, False
    while True:
        before = partial.size
        try:
            for size in _one_try(partial, address):
                if not told:
                    yield partial.version()["total"] or 0
                    told = True
                yield size
            return
        except urllib.error.HTTPError as error:
            if error.code == 416:  # what is here does not belong to the file that is there
                partial.drop()
            elif error.code < 500 and error.code != 429:
                raise ValueError(
                    f"the server answered {error.code} ({error.reason}) for {partial.file.name}. "
                    "Check the address; some are valid for a few hours only."
                ) from error
            reason = error
        except (OSError, http.client.HTTPException) as error:
            if isinstance(error, _NoRoom):
                raise OSError(str(error)) from error
            reason = error
        failures = 0 if partial.size > before else failures + 1
        if failures >= ATTEMPTS:
            total = partial.version().get("total")
            raise DownloadBroken(
                f"{partial.file.name} broke off after {partial.size / MEGABYTE:,.1f} MB"
                + (f" of {total / MEGABYTE:,.1f} MB" if total else "")
                + f" ({reason}). Run the cell again: it goes on from there."
            ) from reason
        time.sleep(pause_s * 2 ** max(0, failures - 1))


class _NoRoom(OSError):
    pass


def _one_try(partial: _Partial, address: str) -> Iterator[int]:
    """Ask once for what is missing; yield the number of bytes that are there, as they arrive."""
    have, known = partial.size, partial.version()
    if not known:
        have = 0
    if have and have == known["total"]:
        yield have
        return
    headers = {"User-Agent": "dog-breeds", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
        if known["tag"]:
            headers["If-Range"] = known["tag"]
    request = urllib.request.Request(address, headers=headers)
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
        start, total = _range(answer)
        if start and (start, total, _tag(answer)) != (have, known["total"], known["tag"]):
            partial.drop()
            raise ConnectionError("the file on the server has changed")
        if answer.headers.get_content_type() == "text/html":
            raise ValueError(
                f"the address of {partial.file.name} leads to a web page, not to a file. Open it "
                "in a browser, and copy the address of the download itself."
            )
        if total is not None and total - start > shutil.disk_usage(partial.file.parent).free:
            raise _NoRoom(
                f"{partial.file.name} needs {total / 1e9:.1f} GB of disk, more than is free. Make "
                "room, or enlarge the disk (in Studio: the space's storage)."
            )
        partial.note.write_text(json.dumps({"tag": _tag(answer), "total": total}))
        with partial.part.open("ab" if start else "wb") as target:
            size = start
            while chunk := answer.read(MEGABYTE // 4):
                target.write(chunk)
                size += len(chunk)
                yield size
    if total is not None and size < total:
        raise ConnectionError("the connection was closed")


def _range(answer: http.client.HTTPResponse) -> tuple[int, int | None]:
    """At which byte an answer starts, and how many bytes the whole file has (None: not said)."""
    if answer.status == 206:
        found = re.match(r"bytes (\d+)-\d+/(\d+)", answer.headers.get("Content-Range", ""))
        if found:
            return int(found[1]), int(found[2])
    length = answer.headers.get("Content-Length")
    return 0, int(length) if length else None


def _tag(answer: http.client.HTTPResponse) -> str | None:
    """What tells this version of the file from another: a strong ETag, or else the date."""
    tag = answer.headers.get("ETag")
    if tag and not tag.startswith("W/"):
        return tag
    return answer.headers.get("Last-Modified")


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
