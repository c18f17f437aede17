"""`course/enlarged.py`: which photos are enlarged, and what is stored."""

import io
from types import SimpleNamespace

import boto3
import pytest
from PIL import Image

from course import enlarged
from course.lookup import MissingStep
from engine_support.clients import BUCKET


@pytest.fixture
def ws(reached, request):
    prefix = request.node.name
    uri = lambda *parts: "/".join([f"s3://{BUCKET}", prefix, *parts])  # noqa: E731
    return SimpleNamespace(bucket=BUCKET, prefix=prefix, uri=uri)


def put(ws, name, size=(32, 24), colour="navy", kind="JPEG"):
    body = io.BytesIO()
    Image.new("RGB", size, colour).save(body, kind)
    key = f"{ws.prefix}/data/{name}"
    boto3.client("s3").put_object(Bucket=BUCKET, Key=key, Body=body.getvalue())


def test_some_photos_of_some_classes_are_enlarged(aws, ws, monkeypatch):
    monkeypatch.setattr(enlarged, "SIZE", (160, 120))
    monkeypatch.setattr(enlarged, "CLASSES", 2)
    monkeypatch.setattr(enlarged, "PER_CLASS", {"train": 2, "valid": 1})
    for breed in ("001.A", "002.B", "003.C"):
        for number in range(3):
            put(ws, f"train/{breed}/{number}.jpg", colour=("navy", "red", "lime")[number])
            put(ws, f"valid/{breed}/{number}.png", (24, 32), kind="PNG")
    for odd in ("0.txt", "0/0.jpg"):
        put(ws, f"train/001.A/{odd}", colour="lime")
    damaged = f"{ws.prefix}/data/train/002.B/1.jpg"
    boto3.client("s3").put_object(Bucket=BUCKET, Key=damaged, Body=b"no photo")
    channels = enlarged.upload(ws)
    large = f"{ws.prefix}/data-large"
    assert channels == {s: f"s3://{BUCKET}/{large}/{s}" for s in ("train", "valid")}
    assert aws.keys(f"{large}/") == [
        f"{large}/train/001.A/0.jpg",
        f"{large}/train/001.A/1.jpg",
        f"{large}/train/002.B/0.jpg",
        *(f"{large}/valid/{b}/0.jpg" for b in ("001.A", "002.B")),
    ]
    for name, dominant in (("train/001.A/1.jpg", 0), ("train/002.B/0.jpg", 2)):
        found = boto3.client("s3").get_object(Bucket=BUCKET, Key=f"{large}/{name}")
        photo = Image.open(found["Body"])
        assert (photo.size, photo.format) == ((160, 120), "JPEG")
        pixel = photo.getpixel((80, 60))
        assert pixel.index(max(pixel)) == dominant


def test_without_photos_it_says_what_makes_them(ws):
    with pytest.raises(MissingStep, match="run notebook 01-data-to-s3 first"):
        enlarged.upload(ws)
