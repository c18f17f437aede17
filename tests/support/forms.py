"""The bodies that `inference.py` answers: one photo in every form that an endpoint may be sent."""

import base64
import io
import json
import struct
import zlib
from collections.abc import Iterable

import numpy as np
from PIL import Image

from tests.support.tiny_photos import encode

ORIENTATION = 0x0112  # the EXIF tag


def npy(array: np.ndarray) -> bytes:
    """Return an array as the bytes of a NumPy file."""
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def as_json(files: bytes | Iterable[bytes]) -> bytes:
    """Return `{"image": ...}` of one file, `{"images": [...]}` of several."""
    if isinstance(files, bytes):
        return json.dumps({"image": base64.b64encode(files).decode()}).encode()
    return json.dumps({"images": [base64.b64encode(file).decode() for file in files]}).encode()


def png_chunk(kind: bytes, data: bytes) -> bytes:
    """Return a chunk of a PNG file: length, kind, data and check sum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png16(array: np.ndarray, clear: int | None = None) -> bytes:
    """Return uint16 (H, W, C) as PNG, which Pillow cannot write: C of 1 to 4 is L, LA, RGB, RGBA.

    `clear` is the grey value that is declared transparent.
    """
    height, width, channels = array.shape
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in array)
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)),
            b"" if clear is None else png_chunk(b"tRNS", struct.pack(">H", clear)),
            png_chunk(b"IDAT", zlib.compress(rows)),
            png_chunk(b"IEND", b""),
        )
    )


def wide(array: np.ndarray) -> np.ndarray:
    """Return uint8 as uint16 of the same brightness: 255 becomes 65535. Two dimensions get a third.

    Source: the PNG specification's linear equation for sample depth scaling.
    """
    return (array.astype(np.uint16) * 257).reshape(*array.shape[:2], -1)


def turned(photo: Image.Image) -> bytes:
    """Return a JPEG of a photo lying on its side, whose EXIF says how to turn it upright."""
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    return encode(photo.transpose(Image.Transpose.ROTATE_90), exif=exif)


def exact(photo: Image.Image) -> dict[str, bytes]:
    """Return forms that all hold exactly the pixels of an RGB photo."""
    clear = photo.copy()
    clear.putalpha(255)
    pixels = np.asarray(photo)
    frames = {"save_all": True, "append_images": [Image.new("RGB", photo.size, "blue")]}
    files = {
        "png": encode(photo, "PNG"),
        "apng": encode(photo, "PNG", **frames),
        "png alpha": encode(clear, "PNG"),
        "png 16-bit": png16(wide(pixels)),
        "png 16-bit alpha": png16(wide(np.asarray(clear))),
        "webp": encode(photo, "WEBP", lossless=True),
        "webp animated": encode(photo, "WEBP", lossless=True, **frames),
        "bmp": encode(photo, "BMP"),
        "tiff": encode(photo, "TIFF"),
        "tiff lzw": encode(photo, "TIFF", compression="tiff_lzw"),
        "jpeg2000": encode(photo, "JPEG2000"),
        "ppm": encode(photo, "PPM"),
        "npy": npy(pixels),
        "npy fortran": npy(np.asfortranarray(pixels)),
        "npy alpha": npy(np.asarray(clear)),
    }
    return files | {"json": as_json(files["png"]), "json npy": as_json(files["npy"])}


def grey(photo: Image.Image) -> dict[str, bytes]:
    """Return forms that all hold exactly the pixels of a photo made grey."""
    photo = photo.convert("L")
    pixels = np.asarray(photo)
    deep = Image.fromarray(wide(pixels)[..., 0])
    return {
        "grey png": encode(photo, "PNG"),
        "grey png alpha": encode(photo.convert("LA"), "PNG"),
        "grey png 16-bit": encode(deep, "PNG"),
        "grey png 16-bit alpha": png16(wide(np.asarray(photo.convert("LA")))),
        "grey tiff 16-bit": encode(deep, "TIFF"),
        "grey jpeg2000 16-bit": encode(deep, "JPEG2000"),
        "grey pgm": encode(photo, "PPM"),
        "grey pgm 16-bit": encode(deep, "PPM"),
        "grey npy": npy(pixels),
    }


def lossy(photo: Image.Image) -> dict[str, bytes]:
    """Return forms whose pixels are near those of a photo, or fewer colours of it."""
    half = photo.copy()
    half.putalpha(Image.linear_gradient("L").resize(photo.size))
    few = photo.quantize(16)
    files = {
        "jpeg": encode(photo),
        "jpeg progressive": encode(photo, progressive=True, subsampling=0),
        "jpeg grey": encode(photo.convert("L")),
        "jpeg cmyk": encode(photo.convert("CMYK")),
        "jpeg exif": turned(photo),
        "mpo": encode(photo, "MPO", save_all=True, append_images=[half.convert("RGB")]),
        "png palette": encode(few, "PNG"),
        "png palette alpha": encode(few, "PNG", transparency=bytes(range(0, 256, 16))),
        "png half alpha": encode(half, "PNG"),
        "png 1-bit": encode(photo.convert("1"), "PNG"),
        "webp lossy": encode(photo, "WEBP"),
        "webp half alpha": encode(half, "WEBP"),
        "gif": encode(photo, "GIF"),
        "gif animated": encode(photo, "GIF", save_all=True, append_images=[photo.convert("L")]),
        "tiff cmyk": encode(photo.convert("CMYK"), "TIFF"),
        "avif": encode(photo, "AVIF"),
    }
    return files | {"json jpeg": as_json(files["jpeg"])}


def several(photo: Image.Image) -> dict[str, bytes]:
    """Return forms of two photos, the second upside down."""
    second = photo.transpose(Image.Transpose.ROTATE_180)
    return {
        "several json": as_json([encode(photo, "PNG"), encode(second, "PNG")]),
        "several mixed": as_json([encode(photo, "WEBP", lossless=True), npy(np.asarray(second))]),
        "several npy": npy(np.stack([np.asarray(photo), np.asarray(second)])),
    }


def every(photo: Image.Image) -> dict[str, bytes]:
    """Return a body of every form, by name."""
    return exact(photo) | grey(photo) | lossy(photo) | several(photo)


def bad(photo: Image.Image) -> dict[str, bytes]:
    """Return bodies that must be refused, each for a reason of its own."""
    png = encode(photo, "PNG")
    return {
        "bad text": b"a photo, honestly",
        "bad cut": png[: len(png) // 2],
        "bad array": npy(np.asarray(photo))[:-1],
        "bad address": json.dumps({"image": "http://127.0.0.1/dog.jpg"}).encode(),
        "bad second": as_json([png, b"no photo"]),
        "bad many": as_json([png[:9]] * 33),
    }
