"""The drawn sample set: deterministic, laid out as dogImages, never half there."""

import hashlib
import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from course.sample_photos import breeds, sample

SMALL = {"classes": 3, "per_class": (2, 1, 1)}


def fingerprint(folder):
    """File name -> digest, for every file of a set."""
    return {
        file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return sample.make(tmp_path_factory.mktemp("set") / "small", **SMALL)


def test_the_133_breeds_are_those_of_dogimages_in_their_order():
    names = list(breeds.BREEDS)
    assert len(set(names)) == 133
    assert names == sorted(names)
    numbered = {57: "Dalmatian", 1: "Affenpinscher", 98: "Leonberger", 103: "Mastiff"}
    numbered |= {29: "Border_collie", 76: "Golden_retriever", 133: "Yorkshire_terrier"}
    for number, name in numbered.items():
        assert breeds.BREEDS[name].folder == f"{number:03d}.{name}"


def test_every_colour_and_place_in_the_table_is_known():
    for breed in breeds.BREEDS.values():
        assert {breed.colour, *breed.marks.values()} <= set(breeds.COLOURS), breed.name


def test_no_two_default_breeds_share_their_features():
    looks = {
        (b.ears, b.tail, b.coat, b.colour, tuple(b.marks.items()), b.length, b.leg)
        for b in (breeds.BREEDS[name] for name in breeds.DEFAULT)
    }
    assert len(looks) == 12


@pytest.mark.parametrize("name", breeds.BREEDS)
def test_every_breed_can_be_drawn(name):
    image = sample.draw_breed(name, seed=3, size=(96, 72))
    assert (image.mode, image.size) == ("RGB", (96, 72))
    assert np.asarray(image).std() > 10  # a picture, not one colour


def test_a_picture_follows_from_its_seed():
    first, again, other = (sample.draw_breed("Poodle", seed) for seed in (1, 1, 2))
    assert first.tobytes() == again.tobytes()
    assert (first.size, first.tobytes()) != (other.size, other.tobytes())


def test_sizes_vary_and_are_not_all_square():
    sizes = {sample.draw_breed("Beagle", seed).size for seed in range(20)}
    assert len(sizes) > 2
    assert any(wide != high for wide, high in sizes)


def test_names_may_be_written_in_three_ways():
    pictures = {
        sample.draw_breed(name, 5, (64, 64)).tobytes()
        for name in ("Golden_retriever", "076.Golden_retriever", "Golden retriever")
    }
    assert len(pictures) == 1


def test_an_unknown_breed_is_answered_with_near_ones():
    with pytest.raises(ValueError, match=r"no breed called 'Dalmation'.*Dalmatian"):
        sample.draw_breed("Dalmation", 0)


def test_layout(small):
    assert sorted(entry.name for entry in small.iterdir()) == [
        "sample.json", "test", "train", "valid",
    ]  # fmt: skip
    files = sorted(p.relative_to(small).as_posix() for p in (small / "train").rglob("*.jpg"))
    assert files[:2] == [
        "train/016.Beagle/Beagle_00001.jpg",
        "train/016.Beagle/Beagle_00002.jpg",
    ]
    assert len(files) == 6
    assert Image.open(small / files[0]).format == "JPEG"


def test_imagefolder_labels_are_in_the_order_of_the_numbers(small):
    from torchvision.datasets import ImageFolder

    classes = ["016.Beagle", "029.Border_collie", "056.Dachshund"]
    for split in sample.SPLITS:
        assert ImageFolder(small / split).classes == classes


def test_same_bytes_on_every_run_and_in_any_number_of_processes(small, tmp_path, monkeypatch):
    serial = sample.make(tmp_path / "serial", **SMALL)
    monkeypatch.setattr(sample, "SERIAL_UP_TO", 0)
    parallel = sample.make(tmp_path / "parallel", **SMALL)
    assert fingerprint(small) == fingerprint(serial) == fingerprint(parallel)


def test_where_processes_are_forbidden_the_set_is_drawn_all_the_same(small, tmp_path, monkeypatch):
    def forbidden(*_):
        raise PermissionError("no processes here")

    monkeypatch.setattr(sample, "SERIAL_UP_TO", 0)
    monkeypatch.setattr(sample, "ProcessPoolExecutor", forbidden)
    assert fingerprint(sample.make(tmp_path / "set", **SMALL)) == fingerprint(small)


def test_another_seed_draws_another_set(small, tmp_path):
    other = fingerprint(sample.make(tmp_path / "other", **SMALL, seed=1))
    same = [name for name, digest in fingerprint(small).items() if other[name] == digest]
    assert same == []


def test_no_picture_is_in_two_splits(small):
    digests = [digest for name, digest in fingerprint(small).items() if name.endswith(".jpg")]
    assert len(set(digests)) == len(digests)


def test_a_complete_set_is_used_again(tmp_path, monkeypatch):
    folder = sample.make(tmp_path / "set", **SMALL)
    monkeypatch.setattr(sample, "_draw_all", lambda tasks: pytest.fail("drew it again"))
    assert sample.make(tmp_path / "set", **SMALL) == folder


def test_other_arguments_replace_the_set(tmp_path):
    sample.make(tmp_path / "set", **SMALL)
    sample.make(tmp_path / "set", classes=2, per_class=(1, 1, 1))
    assert len(list((tmp_path / "set").rglob("*.jpg"))) == 6


def test_an_interrupted_make_leaves_nothing_that_passes_for_whole(tmp_path, monkeypatch):
    draw_one, drawn = sample._draw_one, []

    def interrupted(task):
        if len(drawn) == 5:
            raise KeyboardInterrupt
        drawn.append(task)
        draw_one(task)

    monkeypatch.setattr(sample, "_draw_one", interrupted)
    with pytest.raises(KeyboardInterrupt):
        sample.make(tmp_path / "set", **SMALL)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.undo()
    assert len(list(sample.make(tmp_path / "set", **SMALL).rglob("*.jpg"))) == 12


def test_a_killed_make_leaves_no_set_either(tmp_path):
    """No `finally` runs after SIGKILL: what lies in the folder then must not look whole."""
    code = (
        "import os, sys\nfrom course.sample_photos import sample\n"
        "sample._draw_all = lambda tasks: (list(tasks), os.kill(os.getpid(), 9))\n"
        "sample.make(sys.argv[1], classes=3, per_class=(2, 1, 1))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "set")], check=False)
    assert done.returncode == -9
    assert not (tmp_path / "set").exists()
    assert len(list(sample.make(tmp_path / "set", **SMALL).rglob("*.jpg"))) == 12


def test_a_set_with_pictures_deleted_is_drawn_again(tmp_path):
    folder = sample.make(tmp_path / "set", **SMALL)
    (folder / "train/016.Beagle/Beagle_00001.jpg").unlink()
    assert len(list(sample.make(folder, **SMALL).rglob("*.jpg"))) == 12


def test_a_folder_of_somebody_elses_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(FileExistsError, match="no drawn sample, and is left as it is"):
        sample.make(tmp_path, **SMALL)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_the_recipe_names_what_was_drawn(small):
    recipe = json.loads((small / sample.RECIPE).read_text())
    assert recipe["classes"] == ["016.Beagle", "029.Border_collie", "056.Dachshund"]
    assert (recipe["per_class"], recipe["seed"]) == ([2, 1, 1], 0)


def test_a_sample_json_of_another_program_is_no_recipe(tmp_path):
    (tmp_path / "sample.json").write_text('{"theirs": 1}')
    with pytest.raises(FileExistsError):
        sample.make(tmp_path, **SMALL)


def test_two_who_draw_the_same_set_at_once_both_get_it(small, tmp_path, monkeypatch):
    draw_all, folder = sample._draw_all, tmp_path / "set"

    def overtaken(tasks):
        monkeypatch.setattr(sample, "_draw_all", draw_all)
        draw_all(tasks)
        monkeypatch.setattr(sample.shutil, "rmtree", lambda *a, **k: None)
        sample.make(folder, **SMALL)  # the other one is first

    monkeypatch.setattr(sample, "_draw_all", overtaken)
    assert fingerprint(sample.make(folder, **SMALL)) == fingerprint(small)


@pytest.mark.parametrize("classes", [1, 0, -3, 134, 2.5, True, "12"])
def test_class_counts_out_of_range_are_refused(tmp_path, classes):
    with pytest.raises(ValueError, match=r"between 2 and 133 breeds.*in that range"):
        sample.make(tmp_path / "set", classes=classes)


@pytest.mark.parametrize("counts", [(1, 1), (1, 0, 1), (4, 1, 1.5)])
def test_counts_a_class_must_be_three_positive_numbers(tmp_path, counts):
    with pytest.raises(ValueError, match="three counts of at least 1, for train, valid and test"):
        sample.make(tmp_path / "set", classes=2, per_class=counts)


def test_more_than_twelve_keeps_the_default_ones_and_sorts_by_number():
    chosen = breeds.choose(15)
    assert set(breeds.DEFAULT) < {breed.name for breed in chosen}
    assert [breed.number for breed in chosen] == sorted(breed.number for breed in chosen)
    assert len(breeds.choose(133)) == 133


def test_many_classes_get_fewer_pictures_by_default():
    totals = [n * sum(sample.default_per_class(n)) for n in (12, 133)]
    assert totals == [12 * 56, 3192]


def test_drawing_needs_neither_torch_nor_matplotlib_nor_sagemaker():
    code = (
        "import sys, course.sample_photos.sample\n"
        "print([m for m in ('torch', 'matplotlib', 'sagemaker') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
