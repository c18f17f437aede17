"""`entry_points/data.py`: class folders, cached and uncached photos, order, damaged files."""

import unicodedata
from argparse import Namespace

import pytest
import torch

import data
from data import DataError, list_photos
from distributed import World
from preprocess import Preprocessing
from tests.support.tiny_photos import write_channels

# Class folders


def test_labels_follow_the_sorted_class_folders(tmp_path):
    for name in ("010.Beagle", "002.Afghan_hound", "001.Affenpinscher"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "b.JPG").write_bytes(b"-")
        (tmp_path / name / "a.png").write_bytes(b"-")
    (tmp_path / "010.Beagle" / "notes.txt").write_text("no photo")
    (tmp_path / "recipe.json").write_text("{}")
    for name in (".ipynb_checkpoints", "010.Beagle/.ipynb_checkpoints", "__MACOSX/010.Beagle"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "a-checkpoint.png").write_bytes(b"-")
    (tmp_path / "010.Beagle" / "._a.png").write_bytes(b"-")
    found = list_photos(tmp_path)
    assert found.classes == ["001.Affenpinscher", "002.Afghan_hound", "010.Beagle"]
    assert found.labels == [0, 0, 1, 1, 2, 2]
    assert [f.name for f in found.files] == ["a.png", "b.JPG"] * 3
    assert found.names[1:3] == ["001.Affenpinscher/b.JPG", "002.Afghan_hound/a.png"]
    assert all(
        f.parent.name == found.classes[i] for f, i in zip(found.files, found.labels, strict=True)
    )


def test_photos_beside_the_class_folders_are_reported(tmp_path, capsys):
    root = write_channels(tmp_path, photos=2, channels=["train", "valid"])
    for name in ("lost.JPG", "dog.png", "notes.txt", "._lost.jpg"):
        (root / "train" / name).write_bytes(b"-")
    folders = Namespace(train_dir=root / "train", valid_dir=root / "valid", test_dir=None)
    found = data.read_channels(folders)
    assert found["train"].beside == ["dog.png", "lost.JPG"] and found["valid"].beside == []
    assert capsys.readouterr().out == (
        "ignored=photos of train beside its class folders: dog.png, lost.JPG\n"
    )


def test_a_missing_or_empty_folder_is_named(tmp_path):
    with pytest.raises(DataError, match=r"no folder .*nowhere"):
        list_photos(tmp_path / "nowhere")
    with pytest.raises(DataError, match="no class folders"):
        list_photos(tmp_path)
    (tmp_path / "001.Affenpinscher").mkdir()
    with pytest.raises(DataError, match=r"no photos in .*001\.Affenpinscher"):
        list_photos(tmp_path)


def test_differing_classes_are_named(tmp_path):
    write_channels(tmp_path)
    train = list_photos(tmp_path / "train")
    data.check_same_classes(train, list_photos(tmp_path / "valid"), "valid")
    (tmp_path / "valid" / "001.Affenpinscher").rename(tmp_path / "valid" / "009.Poodle")
    with pytest.raises(DataError) as error:
        data.check_same_classes(train, list_photos(tmp_path / "valid"), "valid")
    assert "'valid'" in str(error.value)
    assert "missing 001.Affenpinscher, not in train 009.Poodle" in str(error.value)


def test_the_folder_above_the_channels_is_refused(tmp_path):
    write_channels(tmp_path)
    with pytest.raises(DataError, match=r"is the folder above the channels; name .*train"):
        list_photos(tmp_path)


def test_names_that_only_look_alike_are_named(tmp_path):
    for channel, form in (("train", "NFD"), ("valid", "NFC")):
        for name in ("Épagneul", "Pug"):
            folder = tmp_path / channel / unicodedata.normalize(form, name)
            folder.mkdir(parents=True)
            (folder / "1.png").write_bytes(b"")
    train, valid = (list_photos(tmp_path / name) for name in ("train", "valid"))
    with pytest.raises(DataError, match=r"such as Épagneul, look like .* NFC and NFD"):
        data.check_same_classes(train, valid, "valid")


def test_a_single_class_is_refused(tmp_path):
    (tmp_path / "only").mkdir()
    (tmp_path / "only" / "1.png").write_bytes(b"")
    folders = Namespace(train_dir=tmp_path, valid_dir=tmp_path, test_dir=None)
    with pytest.raises(DataError, match="holds one class only, only: there is nothing"):
        data.read_channels(folders)


# Photos and their order


@pytest.fixture
def folder(tmp_path):
    return list_photos(write_channels(tmp_path, channels=["train"]) / "train")


def batches(photos, **options):
    return list(data.make_loader(photos, 3, seed=0, **options))


def test_without_augmentation_the_order_is_the_folders(folder):
    found = batches(data.Photos(folder, Preprocessing(32), augment=None), shuffle=False)
    assert torch.cat([labels for _, labels, *_ in found]).tolist() == folder.labels
    assert [images.shape for images, *_ in found] == [(3, 32, 32, 3)] * 5 + [(1, 32, 32, 3)]


def test_photos_keep_their_labels_when_shuffled(folder):
    found = batches(data.Photos(folder, Preprocessing(32), augment="crop"), shuffle=True)
    images = torch.cat([images for images, *_ in found]).float()
    blue = images[..., 2].mean((1, 2)) > images[..., 0].mean((1, 2))
    assert torch.equal(blue.long(), torch.cat([labels for _, labels, *_ in found]))


def epoch_of(photos, epoch=1, *, begin=0, world=World(), **options):  # noqa: B008
    loader = data.make_loader(photos, 4, shuffle=True, seed=7, world=world, **options)
    loader.batch_sampler.at(epoch, begin)
    return list(loader)


def by_place(batches):
    """Each photo of an epoch by its place in the data set."""
    return {
        place: photo
        for batch in batches
        for place, photo in zip(batch.indices.tolist(), batch.photos, strict=True)
    }


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


def test_a_photo_is_augmented_by_seed_epoch_and_place_alone(folder, monkeypatch):
    photos = data.Photos(folder, Preprocessing(32), augment="colour", seed=7)
    torch.manual_seed(1)
    before = by_place(epoch_of(photos))
    torch.manual_seed(2)
    assert same(by_place(epoch_of(photos)), before)
    halves = [epoch_of(photos, world=World(rank=r, world_size=2)) for r in (0, 1)]
    assert [len(batch.labels) for half in halves for batch in half] == [2] * 8
    assert same(by_place(halves[0] + halves[1]), before)
    monkeypatch.setattr(data, "CACHE_BYTES", 0)
    elsewhere = data.Photos(folder, Preprocessing(32), augment="colour", seed=7)
    assert same(by_place(epoch_of(elsewhere, num_workers=1)), before)
    other = by_place(epoch_of(photos, epoch=2))
    assert not any(torch.equal(other[k], before[k]) for k in before)
    another = data.Photos(folder, Preprocessing(32), augment="colour", seed=8)
    assert not any(
        torch.equal(photo, before[k]) for k, photo in by_place(epoch_of(another)).items()
    )


def test_augmenting_leaves_the_global_generator_alone(folder):
    photos = data.Photos(folder, Preprocessing(32), augment="colour")
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    photos[1, 0]
    assert torch.equal(torch.rand(2), expected)


def test_an_epoch_goes_on_in_the_middle(folder):
    photos = data.Photos(folder, Preprocessing(32), augment="crop", seed=7)
    whole, rest = epoch_of(photos), epoch_of(photos, begin=3)
    assert len(whole) == 4 and len(rest) == 1
    assert torch.equal(rest[0].photos, whole[3].photos)
    order = [torch.cat([b.indices for b in epoch_of(photos, epoch=e)]).tolist() for e in (1, 1, 2)]
    assert order[0] == order[1] != order[2] and sorted(order[2]) == list(range(16))


@pytest.mark.parametrize(
    ("photos", "size", "processes", "least", "expected"),
    [
        (16, 3, 1, 2, [3] * 5),  # a last one of one photo is left out
        (16, 3, 1, 1, [3] * 5 + [1]),
        (16, 6, 1, 2, [6, 6, 4]),
        (16, 4, 2, 2, [2] * 4),
        (17, 4, 2, 1, [2] * 4),  # one photo cannot be shared by two
        (19, 4, 2, 1, [2] * 4 + [2]),
        (19, 4, 2, 2, [2] * 4),
        (3, 4, 1, 4, [3]),  # never the only one
    ],
)
def test_a_last_batch_too_small_is_left_out_only_in_training(
    photos, size, processes, least, expected
):
    world = World(world_size=processes)
    options = {"seed": 0, "world": world, "least": least}
    shuffled = data.Batches(photos, size, shuffle=True, **options)
    assert [len(batch) for batch in shuffled] == expected and len(shuffled) == len(expected)
    plain = [
        data.Batches(photos, size, shuffle=False, **{**options, "world": m})
        for m in (World(rank=r, world_size=processes) for r in range(processes))
    ]
    places = [place for batches in plain for batch in batches for _, place in batch]
    assert sorted(places) == list(range(photos))


def test_a_set_too_large_to_cache_gives_the_same_through_loader_processes(folder, monkeypatch):
    cached = data.Photos(folder, Preprocessing(32), augment=None)
    monkeypatch.setattr(data, "CACHE_BYTES", 0)
    uncached = data.Photos(folder, Preprocessing(32), augment=None)
    assert (cached.cached, uncached.cached) == (True, False)
    assert data.make_loader(cached, 3, shuffle=False, seed=0).num_workers == 0
    assert data.make_loader(uncached, 3, shuffle=False, seed=0).num_workers > 0
    gpu = World(torch.device("cuda"))  # must not wait while its process augments
    assert data.make_loader(cached, 3, shuffle=True, seed=0, world=gpu).num_workers > 0
    pairs = zip(
        batches(cached, shuffle=False), batches(uncached, shuffle=False, num_workers=1), strict=True
    )
    assert all(torch.equal(a[0], b[0]) for a, b in pairs)


def test_a_truncated_photo_is_used_as_far_as_it_goes(folder):
    whole = folder.files[0].read_bytes()
    folder.files[0].write_bytes(whole[:-150])
    item = data.Photos(folder, Preprocessing(32), augment=None)[0, 0]
    assert item.photo.size == (32, 32) and not item.damaged


@pytest.mark.parametrize("cached", [True, False])
@pytest.mark.parametrize("content", [b"", b"no image at all", b"\xff\xd8\xff\xe0"])
def test_for_a_damaged_photo_training_gets_the_next_and_evaluation_none(
    folder, content, cached, monkeypatch
):
    monkeypatch.setattr(data, "CACHE_BYTES", 2**30 if cached else 0)
    folder.files[7].write_bytes(content)  # the last of its class
    item = data.Photos(folder, Preprocessing(32), augment="none")[1, 7]
    assert (item.label, item.index, list(item.damaged)) == (1, 7, [7])
    assert item.damaged[7].startswith("001.Affenpinscher/007.jpg: ")
    following = data.Photos(folder, Preprocessing(32), augment="none")[1, 8]
    assert list(item.photo.getdata()) == list(following.photo.getdata())
    damage = data.Damage(limit=1)
    photos = data.Photos(folder, Preprocessing(32), augment=None)
    options = {"shuffle": False, "seed": 0, "num_workers": 0, "damage": damage}
    found = list(data.make_loader(photos, 4, **options))
    assert [len(batch.labels) for batch in found] == [4, 3, 4, 4]
    assert 7 not in torch.cat([batch.indices for batch in found])
    assert damage.names == ["001.Affenpinscher/007.jpg"]


def test_a_batch_of_damaged_photos_alone_is_empty(folder):
    for file in folder.files[:4]:
        file.write_bytes(b"")
    photos = data.Photos(folder, Preprocessing(32), augment=None)
    damage = data.Damage(limit=9)
    first = next(iter(data.make_loader(photos, 4, shuffle=False, seed=0, damage=damage)))
    assert (first.photos.shape, first.photos.dtype) == ((0, 32, 32, 3), torch.uint8)
    assert len(first.labels) == len(first.indices) == 0


def test_damaged_photos_are_counted_once_up_to_a_limit(folder, capsys):
    damage = data.Damage(limit=1)
    damage.see(folder, {0: "a/000.jpg: broken"})
    damage.see(folder, {0: "a/000.jpg: broken"})
    assert capsys.readouterr().out == "skipped=1 a/000.jpg: broken\n"
    with pytest.raises(DataError, match=r"2 photos cannot be decoded.* allows 1.*a/001"):
        damage.see(folder, {1: "a/001.jpg: empty"})


def test_damaged_photos_alone_stop_the_training(folder):
    for file in folder.files:
        file.write_bytes(b"")
    with pytest.raises(DataError, match=r"not one photo can be decoded.*003\.jpg"):
        data.Photos(folder, Preprocessing(32), augment="crop")[1, 3]


def test_photos_decoded_whole_are_neither_reduced_nor_kept(tmp_path, monkeypatch):
    from PIL import Image

    file = tmp_path / "train" / "001.A" / "large.jpg"
    file.parent.mkdir(parents=True)
    Image.new("RGB", (800, 600), "navy").save(file)
    folder, sizes = list_photos(tmp_path / "train"), []
    monkeypatch.setattr(data, "shrink", lambda image, side: sizes.append(image.size) or image)
    reduced = data.Photos(folder, Preprocessing(32), augment="crop")
    whole = data.Photos(folder, Preprocessing(32), augment="crop", whole=True)
    assert (reduced.cached, whole.cached, len(sizes)) == (True, False, 1)
    whole[1, 0], whole[2, 0]
    assert sizes == [(100, 75), (800, 600), (800, 600)]
    evaluated = data.Photos(folder, Preprocessing(32), augment=None, whole=True)
    assert (evaluated.cached, evaluated[0, 0].photo.size) == (False, (32, 32))
