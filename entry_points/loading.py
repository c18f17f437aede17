"""Loading photos fast enough that the processor never waits for them."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import torch
from PIL import Image, ImageFile
from torch.utils.data import DataLoader

from learning import cpu_count
from photos import (
    DataError,
    PhotoFolder,
    centre_crop,
    decode,
    random_crop,
    resized_side,
    shrink,
    to_batch,
)

# Sets below this stay decoded in memory, and need no loader processes.
CACHE_BYTES = 2**30
# Enough for a random crop of half the area to have `image_size` pixels a side.
TRAIN_DETAIL = 1.5


class Photos:
    """A data set of (image of `image_size` pixels, label); small sets are decoded only once.

    `augment=True` gives random crops, else the centre. `whole=True` decodes each photo at its full
    size whenever it is asked for, as most scripts do. Raises DataError naming a file that cannot be
    decoded; a truncated one is used as far as it goes.
    """

    def __init__(self, folder: PhotoFolder, image_size: int, *, augment: bool, whole: bool = False):
        # Real collections hold truncated files; a photo with a grey edge is better than no job.
        ImageFile.LOAD_TRUNCATED_IMAGES = True
        self.folder = folder
        if augment:
            self.side = None if whole else round(TRAIN_DETAIL * image_size)
            self.prepare = partial(shrink, side=self.side)
            self.transform: Callable[[Image.Image], Image.Image] | None = random_crop(image_size)
        else:
            self.side = None if whole else resized_side(image_size)
            self.prepare = partial(centre_crop, image_size=image_size)
            self.transform = None
        # Photos are about 4:3, and 3 bytes a pixel.
        self.cached = not whole and 4 * self.side**2 * len(folder.files) <= CACHE_BYTES
        if self.cached:
            # Pillow decodes outside the interpreter's lock, so that threads do.
            with ThreadPoolExecutor(cpu_count()) as pool:
                self.images = list(pool.map(self._read, folder.files))

    def _read(self, file: Path) -> Image.Image:
        try:
            with Image.open(file) as image:
                return self.prepare(decode(image, self.side))
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise DataError(
                f"cannot decode {file.parent.name}/{file.name}: {error}; replace or remove the file"
            ) from error

    def __len__(self) -> int:
        return len(self.folder.files)

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        image = self.images[index] if self.cached else self._read(self.folder.files[index])
        if self.transform is not None:
            image = self.transform(image)
        return image, self.folder.labels[index]


def _collate(items: list[tuple[Image.Image, int]]) -> tuple[torch.Tensor, torch.Tensor]:
    images, labels = zip(*items, strict=True)
    return to_batch(list(images)), torch.tensor(labels)


def make_loader(
    photos: Photos, batch_size: int, *, shuffle: bool, seed: int, num_workers: int | None = None
) -> DataLoader:
    """Return a loader of (uint8 (N, H, W, 3), int64 (N,)) batches.

    Cached sets need no loader processes: cropping costs less than handing a batch over.
    """
    if num_workers is None:
        num_workers = 0 if photos.cached else min(cpu_count(), 8)
    return DataLoader(
        photos,
        batch_size=batch_size,
        shuffle=shuffle,
        # Batch normalisation cannot learn from a last batch of one photo.
        drop_last=shuffle and len(photos) > batch_size and len(photos) % batch_size == 1,
        collate_fn=_collate,
        num_workers=num_workers,
        persistent_workers=num_workers > 0,
        pin_memory=torch.cuda.is_available(),
        generator=torch.Generator().manual_seed(seed),
    )
