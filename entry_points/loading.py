"""Loading photos fast enough that the processor never waits for them.

Which photos make a batch, and how each is augmented, depends on seed, epoch and photo alone. So a
run stays the same run however many processes and loader processes share it, and wherever it was
interrupted.
"""

import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from PIL import Image, ImageFile
from torch.utils.data import DataLoader, Sampler

from learning import Machine, Outputs, Tally, cpu_count, outputs, seed_of
from photos import (
    DataError,
    PhotoFolder,
    augmentation,
    centre_crop,
    decode,
    resized_side,
    shrink,
    to_batch,
)
from records.steps import Steps

# Sets below this stay decoded in memory, and need no loader processes.
CACHE_BYTES = 2**30
# Enough for a random crop of half the area to have `image_size` pixels a side.
TRAIN_DETAIL = 1.5


class Batch(NamedTuple):
    """Photos, uint8 (N, H, W, 3), their labels (N,) and their places in the data set (N,).

    `damaged` names the photos that could not be decoded, by their places, with the reason.
    """

    photos: torch.Tensor
    labels: torch.Tensor
    indices: torch.Tensor
    damaged: dict[int, str]


class Item(NamedTuple):
    """One photo, or None; its label and place; the damaged ones met on the way to it."""

    photo: Image.Image | None
    label: int
    index: int
    damaged: dict[int, str]


class Photos:
    """A data set of items, asked for by (epoch, place); small sets are decoded only once.

    `augment` names the augmentation (`photos.augmentation`); None gives the centre. `whole=True`
    decodes each photo at its full size whenever it is asked for, as most scripts do.

    For a photo that cannot be decoded, the next one is given in training, so that all batches
    keep their size, and none in evaluation. A truncated one is used as far as it goes.
    """

    def __init__(
        self,
        folder: PhotoFolder,
        image_size: int,
        *,
        augment: str | None,
        seed: int = 0,
        whole: bool = False,
    ):
        # Real collections hold truncated files; a photo with a grey edge is better than no job.
        ImageFile.LOAD_TRUNCATED_IMAGES = True
        self.folder, self.image_size, self.seed = folder, image_size, seed
        self.transform = augmentation(augment, image_size) if augment else None
        side = round(TRAIN_DETAIL * image_size) if augment else resized_side(image_size)
        self.side = None if whole else side
        # Photos are about 4:3, and 3 bytes a pixel.
        self.cached = not whole and 4 * side**2 * len(folder.files) <= CACHE_BYTES
        self.prepare = partial(centre_crop, image_size=image_size)
        if augment:  # what is not kept is resized only once, with its crop
            self.prepare = partial(shrink, side=side if self.cached else None)
        if self.cached:
            # Pillow decodes outside the interpreter's lock, so that threads do.
            with ThreadPoolExecutor(cpu_count()) as pool:
                self.images = list(pool.map(self._read, folder.files))

    def _read(self, file: Path) -> Image.Image | str:
        """Return the photo as far as it need not be decoded again, or why it cannot be."""
        try:
            with Image.open(file) as image:
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
        # torchvision draws from the process's generator, which is not ours to disturb.
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
        shape = (0, self.image_size, self.image_size, 3)
        photos = [item.photo for item in items]
        return Batch(
            to_batch(photos) if photos else torch.empty(shape, dtype=torch.uint8),
            torch.tensor([item.label for item in items], dtype=torch.int64),
            torch.tensor([item.index for item in items], dtype=torch.int64),
            damaged,
        )


class Batches(Sampler):
    """The (epoch, place) pairs of each batch, of which this process gets its share.

    `shuffled` says whether a new order is drawn for each epoch; `at` sets the epoch and how many of
    its batches have been before. A last batch that would leave a process less than `least` photos
    is left out if it is shuffled; else every photo comes once.
    """

    def __init__(
        self,
        photos: int,
        batch_size: int,
        *,
        shuffle: bool,
        seed: int,
        machine: Machine,
        least: int = 1,
    ):
        self.photos, self.batch_size, self.shuffled, self.seed = photos, batch_size, shuffle, seed
        self.least, self.machine = least, machine
        self.at(0)

    def at(self, epoch: int, begin: int = 0, shuffled: bool | None = None) -> None:
        """Set what is gone over next."""
        self.epoch, self.begin = epoch, begin
        self.shuffled = self.shuffled if shuffled is None else shuffled

    def __len__(self) -> int:
        full, rest = divmod(self.photos, self.batch_size)
        dropped = self.shuffled and full and rest < self.least * self.machine.processes
        return full + (rest > 0 and not dropped) - self.begin

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        order = list(range(self.photos))
        if self.shuffled:
            generator = torch.Generator().manual_seed(seed_of(self.seed, self.epoch))
            order = torch.randperm(self.photos, generator=generator).tolist()
        epoch, share = self.epoch, slice(self.machine.rank, None, self.machine.processes)
        for number in range(self.begin, self.begin + len(self)):
            batch = order[number * self.batch_size : (number + 1) * self.batch_size]
            yield [(epoch, place) for place in batch[share]]


class Damage:
    """The photos of all channels that could not be decoded: `found` has a name for each file."""

    def __init__(self, limit: int):
        self.limit = limit
        self.found: dict[Path, str] = {}

    @property
    def names(self) -> list[str]:
        """The photos, as they are named in their channels."""
        return list(self.found.values())

    def see(self, folder: PhotoFolder, reasons: dict[int, str]) -> None:
        """Count and name the new ones, given by place; DataError when all are over `limit`."""
        for place, reason in reasons.items():
            file = folder.files[place]
            if file in self.found:
                continue
            self.found[file] = folder.name(file)
            print(f"skipped={len(self.found)} {reason}", flush=True)
            if len(self.found) > self.limit:
                raise DataError(
                    f"{len(self.found)} photos cannot be decoded, and --max-damaged allows "
                    f"{self.limit}; the last is {reason}; replace or remove them"
                )


class Loader(DataLoader):
    """A DataLoader that counts the damaged photos in its batches."""

    damage: Damage

    def __iter__(self) -> Iterator[Batch]:
        for batch in super().__iter__():
            self.damage.see(self.dataset.folder, batch.damaged)
            yield batch


class Features:
    """Batches of what a network's body makes of photos, instead of the photos."""

    def __init__(self, made: Outputs, batches: Batches):
        self.made, self.batches = made, batches

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        made = self.made
        for keys in self.batches:
            places = torch.tensor([place for _, place in keys], dtype=torch.int64)
            places = places.to(made.seen.device)
            places = places[made.seen[places]]
            yield made.values[places], made.labels[places]


class FeatureCache:
    """What a frozen body makes of photos: `views` augmented versions of each for training.

    Each epoch is of one view, in turn; the first of it has the body make the features.
    """

    def __init__(self, views: int, body: torch.nn.Module, machine: Machine, steps: Steps):
        self.views, self.body, self.machine, self.steps = views, body, machine, steps
        self.made: dict[tuple[Loader, int], Outputs] = {}

    def loader(self, loader: Loader, epoch: int, tally: Tally) -> Features:
        """Return an epoch's features instead of the photos; `tally` takes the making's seconds."""
        batches = loader.batch_sampler
        augmented = loader.dataset.transform is not None
        key = (loader, (epoch - 1) % self.views + 1 if augmented else 0)
        if key not in self.made:
            start = time.perf_counter()
            batches.at(key[1], shuffled=False)
            self.made[key] = outputs(self.body, loader, self.machine, self.steps)
            tally.seconds += time.perf_counter() - start
        batches.at(epoch, tally.steps, shuffled=augmented)
        return Features(self.made[key], batches)


def make_loader(
    photos: Photos,
    batch_size: int,
    *,
    shuffle: bool,
    seed: int,
    num_workers: int | None = None,
    machine: Machine = Machine(),  # noqa: B008 (it is frozen)
    least: int = 1,
    damage: Damage | None = None,
) -> Loader:
    """Return a loader of batches of `batch_size` photos over all processes.

    Cached sets need no loader processes: cropping costs less than handing a batch over. Beside a
    GPU there is one a core; where the cores compute, one keeps up with four of them.
    """
    if num_workers is None:
        wanted = machine.cores if machine.device.type == "cuda" else machine.cores // 4
        num_workers = 0 if photos.cached else min(max(1, wanted), 8)
    batches = Batches(
        len(photos), batch_size, shuffle=shuffle, seed=seed, machine=machine, least=least
    )
    loader = Loader(
        photos,
        batch_sampler=batches,
        collate_fn=photos.collate,
        num_workers=num_workers,
        persistent_workers=num_workers > 0,
        worker_init_fn=_outlast if num_workers else None,
        pin_memory=torch.cuda.is_available(),
    )
    loader.damage = damage or Damage(limit=0)
    return loader


def _outlast(worker: int) -> None:
    """Have a loader process leave SIGTERM to the training one, which has a step to end first."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def make_loaders(
    arguments: Any, channels: dict[str, PhotoFolder], machine: Machine
) -> dict[str, Loader]:
    """Return a loader for each channel as train.py's arguments say; only train's augments.

    Raises DataError if there are too few photos for the processes.
    """
    damage = Damage(arguments.max_damaged)
    loaders = {}
    for name, folder in channels.items():
        if min(len(folder.files), arguments.batch_size) < machine.processes:
            raise DataError(
                f"{len(folder.files)} photos in '{name}' and --batch-size {arguments.batch_size} "
                f"are too few for {machine.processes} processes: each needs one a step"
            )
        loaders[name] = make_loader(
            Photos(
                folder,
                arguments.image_size,
                augment=arguments.augmentation if name == "train" else None,
                seed=arguments.seed,
                whole=arguments.decode == "full",
            ),
            arguments.batch_size,
            shuffle=name == "train",
            seed=arguments.seed,
            num_workers=arguments.num_workers,
            machine=machine,
            # Batch normalisation cannot learn from a batch of one photo.
            least=2 if arguments.batch_norm == "train" else 1,
            damage=damage,
        )
    return loaders
