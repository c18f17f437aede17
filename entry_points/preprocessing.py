"""From a photo to what a network sees; training and serving share it and so cannot differ."""

import numpy as np
import torch
from PIL import Image
from torchvision.transforms import v2

# The mean and deviation of ImageNet's photos, for channels in 0..1: what torchvision's weights
# were trained with. Leaving this out is the commonest cause of a model that learns nothing.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


def resized_side(image_size: int) -> int:
    """Return the shorter side, in pixels, to which a photo is resized before the centre crop.

    The ratio 256/224 is the one ImageNet networks have been evaluated with since AlexNet.
    """
    return round(image_size * 256 / 224)


def shrink(image: Image.Image, side: int | None) -> Image.Image:
    """Resize to a shorter side of `side` pixels, keeping the shape; never enlarge, nor for None."""
    if side is None:
        return image
    scale = side / min(image.size)
    if scale >= 1:
        return image
    size = tuple(max(side, round(length * scale)) for length in image.size)
    return image.resize(size, Image.Resampling.BILINEAR)


def centre_crop(image: Image.Image, image_size: int) -> Image.Image:
    """Return the photo's middle as `image_size` x `image_size` pixels: what evaluation looks at."""
    side = resized_side(image_size)
    resize = v2.Resize(side, interpolation=v2.InterpolationMode.BILINEAR)
    return v2.functional.center_crop(resize(image), [image_size, image_size])


def random_crop(image_size: int):
    """Return the augmentation: a random part of a photo, half to all of it, mirrored half the time.

    The usual lower bound of 0.08 leaves patches in which, at 64 pixels, no breed can be told.
    """
    return v2.Compose(
        [v2.RandomResizedCrop(image_size, scale=(0.5, 1.0)), v2.RandomHorizontalFlip()]
    )


def to_batch(images: list[Image.Image]) -> torch.Tensor:
    """Stack RGB images of one size into a uint8 tensor of shape (N, H, W, 3)."""
    return torch.from_numpy(np.stack([np.asarray(image) for image in images]))


def normalise(batch: torch.Tensor, device: torch.device | str = "cpu") -> torch.Tensor:
    """Turn a uint8 (N, H, W, 3) batch into a float32 (N, 3, H, W) one, by ImageNet's mean and STD.

    The result lies in memory as channels-last, the layout in which convolutions are fastest.
    """
    # Bytes travel to the device, not floats: a quarter of the traffic.
    batch = batch.to(device, non_blocking=True).float() / 255
    mean, std = (torch.tensor(values, device=device) for values in (MEAN, STD))
    return ((batch - mean) / std).permute(0, 3, 1, 2)
