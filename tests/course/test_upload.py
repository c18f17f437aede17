"""Photos made smaller once, and an upload that sends what is missing and is checked afterwards."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from course import dataset, upload
from tests.course.test_dataset import CLASSES, photos, state, write_image  # noqa: F401

# ruff: noqa: F811

PREFIX = "dog-breeds/data/"


# ----------------------------------------------------------------------------------------- prepare


def large(folder, name="big.jpg", size=(900, 600), **options):
    file = folder / "train" / CLASSES[0] / name
    ramp = np.linspace(0, 255, size[0], dtype=np.uint8)
    Image.fromarray(np.tile(ramp, (size[1], 1))).convert("RGB").save(file, **options)
    return file


def prepared(folder, tmp_path, image_size=224):
    return upload.prepare(dataset.check(folder), image_size, tmp_path / "prepared")


def test_small_photos_are_uploaded_as_they_are(photos, tmp_path):
    found = prepared(photos, tmp_path)
    assert (found.shrunk, found.speed) == (0, None)
    assert set(found.files.values()) == set(dataset.check(photos).photos)
    assert f"train/{CLASSES[0]}/0.jpg" in found.files
    assert "0 of 8 photos: nothing to make smaller" in str(found)
    assert not (tmp_path / "prepared").exists()


def test_a_large_photo_gets_a_smaller_copy_and_stays_as_it_is(photos, tmp_path):
    big = large(photos)
    before = state(photos)
    found = prepared(photos, tmp_path)
    copy = found.files[f"train/{CLASSES[0]}/big.jpg"]
    assert copy.is_relative_to(tmp_path / "prepared")
    with Image.open(copy) as image:
        assert (image.size, image.format) == ((384, 256), "JPEG")
    assert (found.shrunk, len(found.files)) == (1, 9)
    saved = big.stat().st_size - copy.stat().st_size
    assert found.bytes[0] - found.bytes[1] == saved > 0
    assert state(photos) == before
    assert "1 of 9 photos, made smaller" in str(found)
    assert "a second before" in found._repr_html_()


def test_a_copy_is_made_once_and_again_when_the_original_has_changed(photos, tmp_path):
    big = large(photos)
    copy = prepared(photos, tmp_path).files[f"train/{CLASSES[0]}/big.jpg"]
    first = copy.stat().st_ino
    prepared(photos, tmp_path)
    assert copy.stat().st_ino == first
    Image.new("RGB", (600, 1200), "red").save(big)
    prepared(photos, tmp_path)
    with Image.open(copy) as image:
        assert image.size == (256, 512)


def test_an_unfinished_copy_is_made_again(photos, tmp_path):
    large(photos)
    copy = prepared(photos, tmp_path).files[f"train/{CLASSES[0]}/big.jpg"]
    copy.rename(copy.with_name(copy.name + ".part"))
    copy.with_name(copy.name + ".part").write_bytes(b"half")
    prepared(photos, tmp_path)
    with Image.open(copy) as image:
        image.load()
    assert list(copy.parent.glob("*.part")) == []


def test_a_photo_that_the_camera_has_turned_is_upright_and_carries_no_notes(photos, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright: turn by 90 degrees to the right
    exif[0x010E] = "taken at home"
    big = large(photos, exif=exif)
    copy = prepared(photos, tmp_path).files[f"train/{CLASSES[0]}/big.jpg"]
    with Image.open(copy) as image:
        assert image.size == (256, 384)
        assert dict(image.getexif()) == {}
        top, bottom = image.getpixel((128, 5))[0], image.getpixel((128, 378))[0]
    assert top < 20 and bottom > 235  # what was on the left is on top
    assert b"taken at home" in big.read_bytes()
    assert b"taken at home" not in copy.read_bytes()


def test_copies_of_photos_with_one_stem_have_different_names(photos, tmp_path):
    for name in ("big.jpg", "big.png", "0.png"):
        large(photos, name)
    found = prepared(photos, tmp_path)
    home = f"train/{CLASSES[0]}"
    names = {name for name in found.files if "big" in name or ("0." in name and home in name)}
    assert names == {f"{home}/big.jpg", f"{home}/big.png.jpg", f"{home}/0.jpg", f"{home}/0.png.jpg"}
    assert len(found.files) == len(dataset.check(photos).photos) == 11


def test_transparent_and_sixteen_bit_photos_keep_their_look(photos, tmp_path):
    clear = Image.new("RGBA", (400, 400), (255, 0, 0, 0))
    clear.save(photos / "train" / CLASSES[0] / "clear.png")
    deep = Image.fromarray(np.full((400, 400), 32768, dtype=np.uint16))
    deep.save(photos / "train" / CLASSES[0] / "deep.png")
    found = prepared(photos, tmp_path)
    with Image.open(found.files[f"train/{CLASSES[0]}/clear.jpg"]) as image:
        assert min(image.getpixel((9, 9))) > 250  # white, as a browser shows it
    with Image.open(found.files[f"train/{CLASSES[0]}/deep.jpg"]) as image:
        assert abs(image.getpixel((9, 9))[0] - 128) < 3


def test_a_larger_network_gets_larger_photos(photos, tmp_path):
    large(photos)
    found = prepared(photos, tmp_path, image_size=448)
    with Image.open(found.files[f"train/{CLASSES[0]}/big.jpg"]) as image:
        assert min(image.size) == found.side == 512


def test_damaged_and_stray_photos_stay_behind(photos, tmp_path):
    (photos / "train" / CLASSES[0] / "9.jpg").write_bytes(b"no photo")
    write_image(photos / "train" / "lost.jpg")
    assert len(prepared(photos, tmp_path).files) == 8


def test_the_example_is_smaller_and_faster(photos):
    table = upload.example(dataset.check(photos).photos[0], 128, times=2)
    assert table.pixels.tolist() == ["4032 x 3024", "341 x 256"]
    assert table.kilobytes.iloc[0] > 3 * table.kilobytes.iloc[1]
    assert table.photos_per_second.iloc[1] > 2 * table.photos_per_second.iloc[0]


# ------------------------------------------------------------------------------------------ upload


@pytest.fixture
def bucket(aws, request):
    name = f"upload-{abs(hash(request.node.name)):x}"
    aws.s3.create_bucket(Bucket=name)
    return name


@pytest.fixture
def files(photos):
    return {p.relative_to(photos).as_posix(): p for p in dataset.check(photos).photos}


def send(s3, bucket, plan):
    for photo in plan.send:
        s3.put_object(Bucket=bucket, Key=photo.key, Body=photo.file.read_bytes())


def test_an_empty_bucket_needs_everything(aws, bucket, files):
    plan = upload.plan(aws.s3, bucket, PREFIX, files)
    assert {photo.key for photo in plan.send} == {PREFIX + name for name in files}
    assert (plan.unchanged, plan.remove) == ([], [])
    assert "to send" in str(plan) and "8 photos" in plan._repr_html_()


def test_what_is_there_unchanged_is_not_sent_again(aws, bucket, files):
    send(aws.s3, bucket, upload.plan(aws.s3, bucket, PREFIX, files))
    plan = upload.plan(aws.s3, bucket, PREFIX, files)
    assert (plan.send, len(plan.unchanged), plan.remove) == ([], 8, [])


def test_changed_photos_are_sent_even_if_their_size_is_the_same(aws, bucket, files):
    send(aws.s3, bucket, upload.plan(aws.s3, bucket, PREFIX, files))
    name, file = next(iter(files.items()))
    content = file.read_bytes()
    file.write_bytes(content[:-3] + b"!" + content[-2:])
    assert [p.key for p in upload.plan(aws.s3, bucket, PREFIX, files).send] == [PREFIX + name]


def test_an_upload_that_broke_off_goes_on(aws, bucket, files):
    half = upload.plan(aws.s3, bucket, PREFIX, dict(list(files.items())[:5]))
    send(aws.s3, bucket, half)
    plan = upload.plan(aws.s3, bucket, PREFIX, files)
    assert (len(plan.send), len(plan.unchanged)) == (3, 5)


def test_objects_of_another_data_set_are_removed_and_others_left(aws, bucket, files):
    for key in (PREFIX + "train/1.Cat/1.jpg", "dog-breeds/models/m.tar.gz"):
        aws.s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    plan = upload.plan(aws.s3, bucket, PREFIX, files)
    assert plan.remove == [PREFIX + "train/1.Cat/1.jpg"]
    assert upload.remove(aws.s3, bucket, plan.remove) == 1
    assert list(upload.listing(aws.s3, bucket, "")) == ["dog-breeds/models/m.tar.gz"]


def test_more_than_a_thousand_objects_are_removed_in_several_requests():
    asked = []

    class S3:
        def delete_objects(self, Bucket, Delete):
            asked.append(len(Delete["Objects"]))
            return {}

    assert upload.remove(S3(), "b", [str(i) for i in range(2001)]) == 2001
    assert asked == [1000, 1000, 1]


def test_an_object_that_is_not_removed_is_named():
    class S3:
        def delete_objects(self, Bucket, Delete):
            return {"Errors": [{"Key": "k", "Code": "AccessDenied", "Message": "Access Denied"}]}

    with pytest.raises(upload.UploadIncomplete, match="k was not removed: Access Denied"):
        upload.remove(S3(), "b", ["k"])


def test_a_complete_upload_is_told_in_objects_and_bytes(aws, bucket, files):
    send(aws.s3, bucket, upload.plan(aws.s3, bucket, PREFIX, files))
    size = sum(file.stat().st_size for file in files.values())
    told = upload.verify(aws.s3, bucket, PREFIX, files)
    assert told == f"8 objects, {size:,} bytes: exactly what is on the disk"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s3, b, key: s3.delete_object(Bucket=b, Key=key), "1 missing, such as train/"),
        (lambda s3, b, key: s3.put_object(Bucket=b, Key=key, Body=b"x"), "1 of another size"),
        (lambda s3, b, key: s3.put_object(Bucket=b, Key=key + "~", Body=b"x"), "1 not ours"),
    ],
)
def test_an_incomplete_upload_is_refused(aws, bucket, files, change, said):
    send(aws.s3, bucket, upload.plan(aws.s3, bucket, PREFIX, files))
    key = next(k for k in upload.listing(aws.s3, bucket, PREFIX) if "/train/" in k)
    change(aws.s3, bucket, key)
    with pytest.raises(upload.UploadIncomplete, match=said):
        upload.verify(aws.s3, bucket, PREFIX, files)


def test_the_default_folder_tells_two_folders_of_one_name_apart(tmp_path):
    assert upload._name(tmp_path / "a" / "photos") != upload._name(tmp_path / "b" / "photos")
    assert os.sep not in upload._name(Path("photos"))
