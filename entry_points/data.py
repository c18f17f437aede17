"""From folders of photos to batches, fast enough that the device never waits for them.

Which photos make a batch, and how each is augmented, depends on the seed, the epoch and the photo
alone. So a run stays the same however many processes and loader processes share it, and wherever
it was interrupted.
"""

import os
import signal
import threading
import unicodedata
from argparse import Namespace
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from PIL import Image, ImageFile
from torch.utils.data import DataLoader, Sampler

from distributed import World, cpu_count, print_once, seed_of
from options import ConfigError
from preprocess import (
    SUFFIXES,
    Preprocessing,
    augmentation,
    centre_crop,
    decode,
    open_image,
    resized_side,
    shrink,
    to_batch,
)

# Sets below this size stay decoded in memory.
CACHE_BYTES = 2**30
# Enough for a random crop of half the area to have `image_size` pixels a side.
TRAIN_DETAIL = 1.5


class DataError(ConfigError):
    """The data cannot be used as it is; the message names the folder or file, and the way out."""


@dataclass(frozen=True)
class PhotoFolder:
    """A folder of class folders: the class names in order, and the files with their labels."""

    classes: list[str]
    files: list[Path]
    labels: list[int]
    root: Path
    beside: list[str]  # names of photos that lie beside the class folders, and so have no class

    @property
    def names(self) -> list[str]:
        """The names of the files in the folder, such as `001.Affenpinscher/x.jpg`."""
        return [self.name(file) for file in self.files]

    def name(self, file: Path) -> str:
        """Return the name of one of the files."""
        return file.relative_to(self.root).as_posix()


def list_photos(root: Path) -> PhotoFolder:
    """List the photos under `root/<class>/`; label i belongs to the i-th class folder by name.

    Hidden files are ignored: Jupyter leaves copies in `.ipynb_checkpoints`, macOS files `._*`.
    Raises DataError if the folder does not exist, has no class folder, or has one without photos.
    """
    if not root.is_dir():
        raise DataError(f"no folder {root}: a channel must hold one folder per class")
    entries = [entry for entry in os.scandir(root) if not _hidden(entry.name)]
    classes = sorted(entry.name for entry in entries if entry.is_dir())
    loose = (entry for entry in entries if entry.is_file())
    beside = sorted(entry.name for entry in loose if _is_photo(Path(entry.path), root))
    if not classes:
        raise DataError(f"no class folders in {root}: expected {root}/<class>/<photo>.jpg")
    if set(classes) >= {"train", "valid"}:
        raise DataError(
            f"{root} holds the folders {_some(classes)}: it is the folder above the channels; name "
            f"{root / 'train'} or {root / 'valid'} itself"
        )
    files, labels = [], []
    for label, name in enumerate(classes):
        found = sorted(file for file in (root / name).rglob("*") if _is_photo(file, root))
        if not found:
            raise DataError(f"no photos in {root / name}: add some, or remove the folder")
        files += found
        labels += [label] * len(found)
    return PhotoFolder(classes, files, labels, root, beside)


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _is_photo(file: Path, root: Path) -> bool:
    hidden = any(map(_hidden, file.relative_to(root).parts))
    return file.suffix.lower() in SUFFIXES and not hidden


def check_same_classes(train: PhotoFolder, other: PhotoFolder, channel: str) -> None:
    """Raise DataError naming the difference unless both have the same classes."""
    missing = sorted(set(train.classes) - set(other.classes))
    extra = sorted(set(other.classes) - set(train.classes))
    if {_composed(name) for name in missing} & {_composed(name) for name in extra}:
        raise DataError(
            f"class names of '{channel}', such as {extra[0]}, look like those of 'train' and are "
            "written in other characters (Unicode's NFC and NFD, as on Linux and macOS): rename "
            "the folders alike"
        )
    if missing or extra:
        raise DataError(
            f"the classes of '{channel}' differ from those of 'train': "
            f"missing {_some(missing)}, not in train {_some(extra)}; "
            "both channels need the same class folders"
        )


def read_channels(options: Namespace) -> dict[str, PhotoFolder]:
    """List the photos of train, valid and, if given, test; DataError unless their classes agree.

    Prints a line for each channel with photos beside its class folders: nothing is learned of them.
    """
    folders = {name: getattr(options, f"{name}_dir") for name in ("train", "valid", "test")}
    channels = {name: list_photos(folder) for name, folder in folders.items() if folder is not None}
    train = channels["train"]
    if len(train.classes) == 1:
        raise DataError(
            f"{train.root} holds one class only, {train.classes[0]}: there is nothing to tell apart"
        )
    for name, channel in channels.items():
        check_same_classes(train, channel, name)
        if beside := channel.beside:
            print_once(f"ignored=photos of {name} beside its class folders: {_some(beside)}")
    return channels


def _some(names: list[str], limit: int = 5) -> str:
    if not names:
        return "none"
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


class Batch(NamedTuple):
    """Photos, uint8 (N, H, W, 3), with their labels (N,) and indices in the data set (N,).

    `damaged` maps the indices of photos that could not be decoded to the reasons.
    """

    photos: torch.Tensor
    labels: torch.Tensor
    indices: torch.Tensor
    damaged: dict[int, str]


class Item(NamedTuple):
    """One photo, or None, its label and index, and the damaged photos that it replaces."""

    photo: Image.Image | None
    label: int
    index: int
    damaged: dict[int, str]


class Photos:
    """A data set whose keys are pairs of epoch and index; small sets are decoded only once.

    `augment` names the augmentation (`preprocess.augmentation`); None takes the centre. With
    `whole=True` each access decodes the whole photo, as most scripts do.

    In training, the next photo replaces one that cannot be decoded, so that batches keep their
    size; in evaluation, it is left out. Of a truncated photo, the part that is there is used.
    """

    def __init__(
        self,
        folder: PhotoFolder,
        preprocessing: Preprocessing,
        *,
        augment: str | None,
        seed: int = 0,
        whole: bool = False,
    ):
        # Real data sets hold truncated files; a photo with a grey edge is better than a failed job.
        ImageFile.LOAD_TRUNCATED_IMAGES = True
        self.folder, self.preprocessing, self.seed = folder, preprocessing, seed
        self.transform = augmentation(augment, preprocessing) if augment else None
        size = preprocessing.image_size
        side = round(TRAIN_DETAIL * size) if augment else resized_side(size)
        self.side = None if whole else side
        # Photos are about 4:3, and 3 bytes a pixel.
        self.cached = not whole and 4 * side**2 * len(folder.files) <= CACHE_BYTES
        self.prepare = partial(centre_crop, preprocessing=preprocessing)
        if augment:  # a photo that is not kept is resized only once, with its crop
            self.prepare = partial(shrink, side=side if self.cached else None)
        if self.cached:
            # Pillow decodes outside the interpreter's lock, so that threads do.
            with ThreadPoolExecutor(cpu_count()) as pool:
                self.images = list(pool.map(self._read, folder.files))

    def _read(self, file: Path) -> Image.Image | str:
        """Return the photo, decoded and resized as far as possible, or why that failed."""
        try:
            with open_image(file) as image:
                return self.prepare(decode(image, self.side))
        except MemoryError:
            raise
        except Exception as error:  # Pillow's parsers raise whatever they meet
            return f"{self.folder.name(file)}: {error}"

    def __len__(self) -> int:
        return len(self.folder.files)

    def __getitem__(self, key: tuple[int, int]) -> Item:
        epoch, index = key
        damaged: dict[int, str] = {}
        for place in (n % len(self) for n in range(index, index + len(self))):
            image = self.images[place] if self.cached else self._read(self.folder.files[place])
            if isinstance(image, Image.Image):
                label = self.folder.labels[place]
                return Item(self._augmented(image, epoch, index), label, index, damaged)
            damaged[place] = image
            if self.transform is None:
                return Item(None, -1, index, damaged)
        raise DataError(f"not one photo can be decoded, as {damaged[index]}; replace the files")

    def _augmented(self, image: Image.Image, epoch: int, index: int) -> Image.Image:
        if self.transform is None:
            return image
        # torchvision draws from the process's generator, whose state others rely on.
        state = torch.get_rng_state()
        torch.default_generator.manual_seed(seed_of(self.seed, epoch, index))
        try:
            return self.transform(image)
        finally:
            torch.set_rng_state(state)

    def collate(self, items: list[Item]) -> Batch:
        """Make a batch of items, which may have no photos at all."""
        damaged = {place: reason for item in items for place, reason in item.damaged.items()}
        items = [item for item in items if item.photo is not None]
        shape = (0, self.preprocessing.image_size, self.preprocessing.image_size, 3)
        photos = [item.photo for item in items]
        return Batch(
            to_batch(photos) if photos else torch.empty(shape, dtype=torch.uint8),
            torch.tensor([item.label for item in items], dtype=torch.int64),
            torch.tensor([item.index for item in items], dtype=torch.int64),
            damaged,
        )


class Batches(Sampler):
    """The pairs of epoch and index of each batch: this process's share of them.

    `at` sets the epoch, and the batch at which it begins. If `shuffled`, each epoch has an order of
    its own, and a last batch with less than `least` photos per process is left out.
    """

    def __init__(
        self,
        photos: int,
        batch_size: int,
        *,
        shuffle: bool,
        seed: int,
        world: World,
        least: int = 1,
    ):
        self.photos, self.batch_size, self.shuffled, self.seed = photos, batch_size, shuffle, seed
        self.least, self.world = least, world
        self.at(0)

    def at(self, epoch: int, begin: int = 0, shuffled: bool | None = None) -> None:
        """Choose the epoch, its first batch, and whether it is shuffled."""
        self.epoch, self.begin = epoch, begin
        self.shuffled = self.shuffled if shuffled is None else shuffled

    def __len__(self) -> int:
        full, rest = divmod(self.photos, self.batch_size)
        dropped = self.shuffled and full and rest < self.least * self.world.world_size
        return full + (rest > 0 and not dropped) - self.begin

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        order = list(range(self.photos))
        if self.shuffled:
            generator = torch.Generator().manual_seed(seed_of(self.seed, self.epoch))
            order = torch.randperm(self.photos, generator=generator).tolist()
        epoch, share = self.epoch, slice(self.world.rank, None, self.world.world_size)
        for number in range(self.begin, self.begin + len(self)):
            batch = order[number * self.batch_size : (number + 1) * self.batch_size]
            yield [(epoch, place) for place in batch[share]]


class Damage:
    """The photos of all channels that could not be decoded; `found` maps files to their names."""

    def __init__(self, limit: int):
        self.limit = limit
        self.found: dict[Path, str] = {}

    @property
    def names(self) -> list[str]:
        """The names of the photos in their channels."""
        return list(self.found.values())

    def see(self, folder: PhotoFolder, reasons: dict[int, str]) -> None:
        """Count and report the new ones, given by index; DataError if there are over `limit`."""
        for place, reason in reasons.items():
            file = folder.files[place]
            if file in self.found:
                continue
            self.found[file] = folder.name(file)
            print(f"skipped={len(self.found)} {reason}", flush=True)
            self._check(reason)

    def agree(self, world: World) -> None:
        """Add what the other processes have found, each in its share of the photos."""
        for found in world.gather(self.found):
            self.found |= found
        if self.found:
            self._check(self.names[-1])

    def _check(self, last: str) -> None:
        if len(self.found) > self.limit:
            raise DataError(
                f"{len(self.found)} photos cannot be decoded, and --max-damaged allows "
                f"{self.limit}; the last is {last}; replace or remove them"
            )


class Loader(DataLoader):
    """A DataLoader that counts the damaged photos in its batches."""

    damage: Damage

    def __iter__(self) -> Iterator[Batch]:
        for batch in super().__iter__():
            self.damage.see(self.dataset.folder, batch.damaged)
            yield batch


def make_loader(
    photos: Photos,
    batch_size: int,
    *,
    shuffle: bool,
    seed: int,
    num_workers: int | None = None,
    world: World = World(),  # noqa: B008 (it is frozen)
    least: int = 1,
    damage: Damage | None = None,
) -> Loader:
    """Return a loader of batches of `batch_size` photos over all processes.

    With a GPU there is one loader process per core. Without one, a process can feed four cores,
    and cached sets need none: cropping costs less than passing a batch between processes.
    """
    if num_workers is None:
        on_gpu = world.device.type == "cuda"
        workers = world.cores if on_gpu else world.cores // 4
        num_workers = 0 if photos.cached and not on_gpu else min(max(1, workers), 8)
    batches = Batches(len(photos), batch_size, shuffle=shuffle, seed=seed, world=world, least=least)
    loader = Loader(
        photos,
        batch_sampler=batches,
        collate_fn=photos.collate,
        num_workers=num_workers,
        persistent_workers=num_workers > 0,
        worker_init_fn=_obey_training_process if num_workers else None,
        pin_memory=torch.cuda.is_available(),
    )
    loader.damage = damage or Damage(limit=0)
    return loader


def _obey_training_process(worker: int) -> None:
    """Have a loader process end on SIGTERM only if the training process sends it.

    When the whole process group gets the signal, the training process needs the batch of its step.
    At its exit, it sends SIGTERM to the loader processes that are left, and waits for their end.
    """

    def wait() -> None:
        while signal.sigwaitinfo({signal.SIGTERM}).si_pid != os.getppid():
            pass
        os._exit(0)

    if hasattr(signal, "sigwaitinfo"):  # macOS has none
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=wait, daemon=True).start()


def make_loaders(
    options: Namespace, channels: dict[str, PhotoFolder], preprocessing: Preprocessing, world: World
) -> dict[str, Loader]:
    """Return a loader for each channel as train.py's options say; only train's augments.

    Raises DataError if there are too few photos for the processes.
    """
    damage = Damage(options.max_damaged)
    loaders = {}
    for name, folder in channels.items():
        if min(len(folder.files), options.batch_size) < world.world_size:
            raise DataError(
                f"{len(folder.files)} photos in '{name}' and --batch-size {options.batch_size} "
                f"are too few for {world.world_size} processes: each needs one per step"
            )
        loaders[name] = make_loader(
            Photos(
                folder,
                preprocessing,
                augment=options.augmentation if name == "train" else None,
                seed=options.seed,
                whole=options.decode == "full",
            ),
            options.batch_size,
            shuffle=name == "train",
            seed=options.seed,
            num_workers=options.num_workers,
            world=world,
            # Batch normalisation cannot learn from a batch of one photo.
            least=2 if options.batch_norm == "train" else 1,
            damage=damage,
        )
    return loaders
