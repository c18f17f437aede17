"""`entry_points/preprocess.py`: decoding, crops, augmentation and normalisation."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.models import ResNet50_Weights
from torchvision.transforms.functional import normalize, to_tensor

import preprocess
from preprocess import Preprocessing
from tests.support import forms
from tests.support.tiny_photos import draw, encode

KINDS = ("none", "flip", "crop", "colour")


def opened(path, data):
    path.write_bytes(data)
    return Image.open(path)


@pytest.mark.parametrize(
    "folder,name",
    [
        ("076.Golden_retriever", "Golden retriever"),
        ("12-Pug", "Pug"),
        ("Pug", "Pug"),
        ("3dogs", "3dogs"),
    ],
)
def test_a_breed_is_its_folders_name_without_the_number(folder, name):
    assert preprocess.breed(folder) == name


def test_the_exif_orientation_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright: turn by 90 degrees to see it so
    turned = preprocess.decode(
        opened(tmp_path / "a.jpg", encode(draw((9, 99, 200)), exif=exif)), 40
    )
    assert turned.size == (40, 48)


def test_transparent_pixels_become_white(tmp_path):
    clear = Image.new("RGBA", (20, 20), (0, 0, 0, 0))
    assert preprocess.decode(opened(tmp_path / "a.png", encode(clear, "PNG")), 16).getpixel(
        (5, 5)
    ) == (
        255,
        255,
        255,
    )


@pytest.mark.parametrize("mode", ["L", "P", "CMYK", "LA", "1"])
def test_every_mode_becomes_rgb(tmp_path, mode):
    image_format = "JPEG" if mode == "CMYK" else "PNG"
    data = encode(draw((90, 90, 90)).convert(mode), image_format)
    assert preprocess.decode(opened(tmp_path / "a", data), 16).mode == "RGB"


def decoded(data):
    """The pixels that an encoded photo has in training, (H, W, 3)."""
    return np.asarray(preprocess.decode(Image.open(io.BytesIO(data)), 16))


GRADIENT = np.arange(256, dtype=np.uint8).reshape(16, 16)
DEEP = GRADIENT.astype(np.uint16) * 256 + GRADIENT[::-1]  # 16 bits whose upper 8 are the gradient


@pytest.mark.parametrize("image_format", ["PNG", "TIFF", "PPM", "JPEG2000"])
def test_16_bit_grey_is_scaled_and_not_clipped(image_format):
    expected = np.stack([GRADIENT] * 3, axis=-1)
    assert np.array_equal(decoded(encode(Image.fromarray(DEEP), image_format)), expected)


def test_16_bit_grey_beyond_its_range_is_clipped():
    values = np.array([[-5, 0, 256, 65535, 70000]], np.int32)
    grey = decoded(encode(Image.fromarray(values), "TIFF"))[0, :, 0]
    assert grey.tolist() == [0, 0, 1, 255, 255]


def test_16_bit_grey_knows_its_byte_order():
    big = Image.frombytes("I;16B", (16, 16), DEEP.astype(">u2").tobytes())
    assert np.array_equal(decoded(encode(big, "TIFF"))[..., 0], GRADIENT)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_16_bits_a_channel_become_8_in_png(channels):
    deep = np.stack([DEEP] * channels, axis=-1)
    if channels in (2, 4):
        deep[..., -1] = 65535
    expected = np.stack([GRADIENT] * 3, axis=-1)
    assert np.array_equal(decoded(forms.png16(deep)), expected)


def test_the_16_bit_grey_that_is_declared_transparent_becomes_white():
    pixels = decoded(forms.png16(DEEP[..., None], clear=int(DEEP[2, 3])))
    expected = np.stack([GRADIENT] * 3, axis=-1)
    expected[2, 3] = 255
    assert np.array_equal(pixels, expected)


@pytest.mark.parametrize("image_format", ["JPEG", "TIFF"])
def test_cmyk_keeps_its_colours(image_format):
    """Adobe's JPEGs hold it inverted, TIFF as it is."""
    photo = Image.new("RGB", (32, 32), (200, 60, 20))
    pixels = decoded(encode(photo.convert("CMYK"), image_format))
    assert np.abs(pixels.astype(int) - (200, 60, 20)).max() <= 4


@pytest.mark.parametrize("mode", ["LA", "P"])
def test_half_transparent_pixels_are_mixed_with_white(mode):
    image, options = Image.new("LA", (20, 20), (100, 51)), {}
    if mode == "P":
        image, options = Image.new("P", (20, 20), 3), {"transparency": bytes([255, 255, 255, 51])}
        image.putpalette([0, 0, 0, 1, 1, 1, 2, 2, 2, 100, 100, 100])
    pixels = decoded(encode(image, "PNG", **options))
    assert np.abs(pixels.astype(int) - (0.2 * 100 + 0.8 * 255)).max() <= 1


def test_black_and_white_and_a_palette_keep_their_colours():
    assert decoded(encode(Image.new("1", (9, 9), 1), "PNG")).min() == 255
    few = Image.new("RGB", (9, 9), (10, 200, 30)).quantize(4)
    assert (decoded(encode(few, "PNG")) == (10, 200, 30)).all()


@pytest.mark.parametrize("image_format", ["GIF", "WEBP", "PNG", "TIFF"])
def test_the_first_of_several_frames_is_used(image_format):
    frames = [Image.new("RGB", (32, 32), colour) for colour in ("red", "blue", "lime")]
    options = {"lossless": True} if image_format == "WEBP" else {}
    data = encode(frames[0], image_format, save_all=True, append_images=frames[1:], **options)
    assert Image.open(io.BytesIO(data)).n_frames == 3
    assert (decoded(data) == (255, 0, 0)).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_becomes_upright(orientation):
    """EXIF 2.32, 4.6.4.A: where the stored rows and columns lie in the photo."""
    upright = np.asarray(draw((9, 99, 200), size=(6, 4)))
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: upright.transpose(1, 0, 2)[::-1],
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: upright.transpose(1, 0, 2)[:, ::-1],
    }[orientation]
    exif = Image.Exif()
    exif[forms.ORIENTATION] = orientation
    image = Image.fromarray(np.ascontiguousarray(stored))
    assert np.array_equal(decoded(encode(image, "PNG", exif=exif)), upright)


def test_a_large_jpeg_is_decoded_reduced_but_never_below_the_side(tmp_path):
    data = encode(draw((90, 90, 90), size=(800, 640)))
    assert preprocess.decode(opened(tmp_path / "a.jpg", data), 64).size == (100, 80)
    assert preprocess.decode(opened(tmp_path / "a.jpg", data), 81).size == (200, 160)
    assert preprocess.decode(opened(tmp_path / "a.jpg", data), None).size == (800, 640)


def test_normalisation_is_imagenets():
    preset = ResNet50_Weights.IMAGENET1K_V1.transforms()
    image = draw((200, 100, 50))
    ours = preprocess.normalise(preprocess.to_batch([image]), Preprocessing())[0]
    theirs = normalize(to_tensor(image), preset.mean, preset.std)
    torch.testing.assert_close(ours, theirs)


def test_features_are_not_normalised():
    features = torch.randn(2, 5)
    assert preprocess.normalise(features, Preprocessing()) is features


def test_batches_are_channels_last_in_memory():
    batch = preprocess.to_batch([draw((200, 100, 50))] * 2)
    assert (batch.shape, batch.dtype) == ((2, 40, 48, 3), torch.uint8)
    floats = preprocess.normalise(batch, Preprocessing())
    assert floats.shape == (2, 3, 40, 48)
    assert floats.is_contiguous(memory_format=torch.channels_last)


def test_the_evaluation_crop_is_torchvisions():
    preset = ResNet50_Weights.IMAGENET1K_V1.transforms()
    image = draw((200, 100, 50), size=(300, 400))
    batch = preprocess.to_batch([preprocess.centre_crop(image, Preprocessing(224))])
    ours = preprocess.normalise(batch, Preprocessing(224))[0]
    torch.testing.assert_close(ours, preset(image))


@pytest.mark.parametrize("size", [(30, 20), (64, 64), (500, 81)])
def test_crops_have_the_size_asked_for_whatever_the_photos(size):
    image = draw((1, 2, 3), size=size)
    assert preprocess.centre_crop(image, Preprocessing(64)).size == (64, 64)
    assert all(preprocess.augmentation(k, Preprocessing(64))(image).size == (64, 64) for k in KINDS)


def test_shrinking_keeps_the_aspect_ratio_and_never_enlarges():
    assert preprocess.shrink(Image.new("RGB", (400, 200)), 50).size == (100, 50)
    assert preprocess.shrink(Image.new("RGB", (40, 20)), 50).size == (40, 20)


def colours(image):
    return torch.from_numpy(np.asarray(image).copy()).float()


def test_each_augmentation_adds_to_the_one_before():
    image = draw((200, 100, 50), size=(96, 96))
    centre = colours(preprocess.centre_crop(image, Preprocessing(32)))
    seen = {kind: [] for kind in KINDS}
    for kind in KINDS:
        change = preprocess.augmentation(kind, Preprocessing(32))
        torch.manual_seed(0)
        seen[kind] = [colours(change(image)) for _ in range(12)]
    assert all(torch.equal(found, centre) for found in seen["none"])
    either = [torch.equal(f, centre) or torch.equal(f, centre.flip(1)) for f in seen["flip"]]
    assert all(either) and not all(torch.equal(f, centre) for f in seen["flip"])
    assert not any(torch.equal(f, centre) or torch.equal(f, centre.flip(1)) for f in seen["crop"])
    spread = {kind: torch.stack([f.mean() for f in seen[kind]]).std() for kind in KINDS}
    assert spread["colour"] > 5 * spread["crop"]


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_photos_are_resized_by_the_networks_interpolation(mode):
    image = draw((200, 100, 50), size=(300, 300))
    chosen = Preprocessing(64, interpolation=mode)
    expected = image.resize((73, 73), Image.Resampling[mode.upper()]).crop((4, 4, 68, 68))
    assert np.array_equal(preprocess.centre_crop(image, chosen), expected)


def test_a_card_gives_the_preprocessing_back_and_an_older_one_imagenets():
    chosen = Preprocessing(96, "bicubic", (0.5,) * 3, (0.25,) * 3)
    assert Preprocessing.from_card({**chosen.card(), "architecture": "resnet18"}) == chosen
    assert Preprocessing.from_card({"image_size": 64}) == Preprocessing(64)
    assert chosen.resized(None) == chosen
    assert chosen.resized(32) == Preprocessing(32, "bicubic", (0.5,) * 3, (0.25,) * 3)


def test_an_unknown_augmentation_is_named():
    with pytest.raises(ValueError, match=r"no augmentation 'mixup': choose from none, flip, crop"):
        preprocess.augmentation("mixup", Preprocessing(32))


def test_the_random_crop_is_torchvisions():
    from torchvision.transforms import v2

    image = draw((200, 100, 50), size=(300, 200))
    theirs = v2.RandomResizedCrop(64, scale=(0.5, 1.0))
    for seed in range(20):
        torch.manual_seed(seed)
        expected = colours(theirs(image))
        torch.manual_seed(seed)
        found = colours(preprocess._random_crop(Preprocessing(64), image))
        # At the crop's edges, one step sees the pixels beyond them and two do not.
        torch.testing.assert_close(found[2:-2, 2:-2], expected[2:-2, 2:-2], atol=1.1, rtol=0)
