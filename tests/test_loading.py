"""`entry_points/loading.py`: cached and uncached photos, order, damaged files."""

import pytest
import torch
from PIL import ImageFile
from tiny_photos import write_channels

import loading
from photos import DataError, list_photos


@pytest.fixture
def folder(tmp_path, monkeypatch):
    # Photos switches tolerance on for its process; the other tests want Pillow's default.
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", False)
    return list_photos(write_channels(tmp_path, channels=["train"]) / "train")


def batches(photos, **options):
    return list(loading.make_loader(photos, 3, seed=0, **options))


def test_without_augmentation_the_order_is_the_folders(folder):
    found = batches(loading.Photos(folder, 32, augment=False), shuffle=False)
    assert torch.cat([labels for _, labels in found]).tolist() == folder.labels
    assert [images.shape for images, _ in found] == [(3, 32, 32, 3)] * 5 + [(1, 32, 32, 3)]


def test_photos_keep_their_labels_when_shuffled(folder):
    found = batches(loading.Photos(folder, 32, augment=True), shuffle=True)
    images = torch.cat([images for images, _ in found]).float()
    blue = images[..., 2].mean((1, 2)) > images[..., 0].mean((1, 2))
    assert torch.equal(blue.long(), torch.cat([labels for _, labels in found]))


def test_the_same_seed_gives_the_same_epoch(folder):
    photos = loading.Photos(folder, 32, augment=True)
    epochs = []
    for _ in range(2):
        torch.manual_seed(1)
        epochs.append(batches(photos, shuffle=True))
    assert all(
        torch.equal(a, b)
        for one, two in zip(*epochs, strict=True)
        for a, b in zip(one, two, strict=True)
    )


def test_a_last_batch_of_one_is_dropped_only_in_training(folder):
    photos = loading.Photos(folder, 32, augment=True)  # 16 photos in batches of 3
    assert len(batches(photos, shuffle=True)) == 5
    assert len(batches(photos, shuffle=False)) == 6
    assert len(loading.make_loader(photos, 6, shuffle=True, seed=0)) == 3  # the last has four


def test_a_set_too_large_to_cache_gives_the_same_through_loader_processes(folder, monkeypatch):
    cached = loading.Photos(folder, 32, augment=False)
    monkeypatch.setattr(loading, "CACHE_BYTES", 0)
    uncached = loading.Photos(folder, 32, augment=False)
    assert (cached.cached, uncached.cached) == (True, False)
    assert loading.make_loader(cached, 3, shuffle=False, seed=0).num_workers == 0
    assert loading.make_loader(uncached, 3, shuffle=False, seed=0).num_workers > 0
    pairs = zip(
        batches(cached, shuffle=False), batches(uncached, shuffle=False, num_workers=1), strict=True
    )
    assert all(torch.equal(a[0], b[0]) for a, b in pairs)


def test_a_truncated_photo_is_used_as_far_as_it_goes(folder):
    whole = folder.files[0].read_bytes()
    folder.files[0].write_bytes(whole[:-150])
    assert loading.Photos(folder, 32, augment=False)[0][0].size == (32, 32)


@pytest.mark.parametrize("content", [b"", b"no image at all", b"\xff\xd8\xff\xe0"])
def test_a_photo_that_cannot_be_decoded_is_named(folder, content):
    folder.files[3].write_bytes(content)
    with pytest.raises(DataError, match=r"cannot decode 001\.Affenpinscher/003\.jpg: "):
        loading.Photos(folder, 32, augment=True)


def test_photos_decoded_whole_are_neither_reduced_nor_kept(tmp_path, monkeypatch):
    from PIL import Image

    file = tmp_path / "train" / "001.A" / "large.jpg"
    file.parent.mkdir(parents=True)
    Image.new("RGB", (800, 600), "navy").save(file)
    folder, sizes = list_photos(tmp_path / "train"), []
    monkeypatch.setattr(loading, "shrink", lambda image, side: sizes.append(image.size) or image)
    reduced = loading.Photos(folder, 32, augment=True)
    whole = loading.Photos(folder, 32, augment=True, whole=True)
    assert (reduced.cached, whole.cached, len(sizes)) == (True, False, 1)
    whole[0], whole[0]
    assert sizes == [(200, 150), (800, 600), (800, 600)]
    evaluated = loading.Photos(folder, 32, augment=False, whole=True)
    assert (evaluated.cached, evaluated[0][0].size) == (False, (32, 32))
