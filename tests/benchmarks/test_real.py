"""`benchmarks/real.py`: its arithmetic, what it trains and scores on, and a run of it all, tiny."""

import json
import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

import options
from benchmarks import real
from data import DataError, list_photos
from tests.support.forking import run_in_fork
from tests.support.tiny_photos import draw, encode, write_channels
from tools.searches import NAMED

TINY = {"model": "resnet18", "weights": "random", "image-size": 32, "batch-size": 8}


def trained(valid_accuracies=(), seconds=0.0, answers=(), each=1.0):
    history = [{"valid_accuracy": share, "seconds": each} for share in valid_accuracies]
    return real.Trained(history, seconds, list(answers))


def names(files):
    return sorted("/".join(file.parts[-2:]) for file in files)


class TestDifference:
    def test_of_independent_photos_it_has_the_normal_interval(self):
        # 400 photos, 1 for 240 of them: the mean is 0.6, its deviation sqrt(0.6 * 0.4 / 400).
        ours = np.array([[1.0] * 240 + [0.0] * 160])
        found = real.difference(ours, np.zeros((1, 400)))
        reach = 1.96 * math.sqrt(0.6 * 0.4 / 400)
        assert found.mean == pytest.approx(0.6)
        assert (found.low, found.high) == pytest.approx((0.6 - reach, 0.6 + reach), abs=0.004)

    def test_photos_are_the_clusters_so_that_more_seeds_alike_narrow_nothing(self):
        ours, theirs = np.random.default_rng(1).integers(0, 2, (2, 1, 100)).astype(float)
        once, thrice = real.difference(ours, theirs), real.difference(ours.repeat(3, 0), theirs)
        assert (once.low, once.high) == pytest.approx((thrice.low, thrice.high))

    def test_it_is_paired(self):
        ours = np.random.default_rng(1).integers(0, 2, (3, 100)).astype(float)
        assert real.difference(ours, ours) == real.Difference(0, 0, 0)

    def test_the_seeds_of_a_photo_are_averaged(self):
        ours, theirs = np.array([[1.0, 0.0], [0.0, 0.0]]), np.zeros((1, 2))
        found = real.difference(ours, theirs)
        assert (found.mean, found.low, found.high) == (0.25, 0, 0.5)

    def test_it_is_the_same_each_time(self):
        ours = np.random.default_rng(1).integers(0, 2, (3, 50)).astype(float)
        assert real.difference(ours, 1 - ours) == real.difference(ours, 1 - ours)

    def test_other_photos_are_refused(self):
        with pytest.raises(ValueError, match="3 photos beside 2: they must be the same"):
            real.difference(np.ones((1, 3)), np.ones((1, 2)))
        with pytest.raises(ValueError, match="0 photos beside 0"):
            real.difference(np.ones((1, 0)), np.ones((1, 0)))

    @pytest.mark.parametrize(
        ("low", "high", "verdict"),
        [
            (0.01, 0.2, "better than"),
            (-0.2, -0.01, "worse than"),
            (0, 0.2, "not told apart from"),
            (-0.1, 0.1, "not told apart from"),
        ],
    )
    def test_the_verdict_is_the_interval_s(self, low, high, verdict):
        assert real.Difference(0.05, low, high).verdict == verdict

    def test_it_reads_in_points(self):
        text = str(real.Difference(0.0625, -0.0125, 0.1375))
        assert text == "+6.2 points (95 % interval -1.2 to +13.8)"


class TestHoldOut:
    @pytest.fixture
    def folder(self, tmp_path):
        return list_photos(write_channels(tmp_path, photos=32) / "train")

    def test_it_takes_six_of_32_of_each_class_and_leaves_the_others(self, folder):
        kept, held = real.hold_out(folder)
        assert not set(kept) & set(held) and {*kept, *held} == set(folder.files)
        for name in folder.classes:
            assert sum(file.parent.name == name for file in held) == 6

    def test_a_seed_draws_the_same_again_and_another_one_others(self, folder):
        assert real.hold_out(folder, 1) == real.hold_out(folder, 1) != real.hold_out(folder, 2)

    def test_two_photos_are_enough_and_one_is_not(self, tmp_path):
        kept, held = real.hold_out(list_photos(write_channels(tmp_path / "a", 2) / "train"))
        assert len(kept) == len(held) == 2
        with pytest.raises(DataError, match=r"001\.Affenpinscher has 1 photo to learn from"):
            real.hold_out(list_photos(write_channels(tmp_path / "b", 1, ["train"]) / "train"))


class TestFolders:
    def test_valid_and_test_are_scored_together_and_train_in_neither(self, tmp_path):
        data = write_channels(tmp_path / "data")
        folders = real.Folders.made(data, tmp_path / "links")
        scored = [f.resolve() for f in list_photos(folders.scored).files]
        channels = [list_photos(data / name).files for name in ("valid", "test")]
        assert sorted(scored) == sorted(f for files in channels for f in files)
        assert names(list_photos(folders.scored).files)[0] == "001.Affenpinscher/test-000.jpg"

    def test_the_parts_of_train_are_disjoint_and_whole(self, tmp_path):
        data = write_channels(tmp_path / "data")
        folders = real.Folders.made(data, tmp_path / "links")
        kept, held = (list_photos(part) for part in (folders.kept, folders.held))
        files = [file.resolve() for part in (kept, held) for file in part.files]
        assert sorted(files) == sorted(list_photos(data / "train").files)
        assert folders.train == data / "train" and len(held.files) == 4

    def test_photos_deeper_down_and_of_equal_names_are_all_there(self, tmp_path):
        data = write_channels(tmp_path / "data")
        for channel in ("valid", "test"):
            deeper = data / channel / "001.Affenpinscher" / "more"
            deeper.mkdir()
            (deeper / "000.jpg").write_bytes(encode(draw((1, 2, 3))))
        folders = real.Folders.made(data, tmp_path / "links")
        assert len(list_photos(folders.scored).files) == 18

    @pytest.mark.parametrize("channel", ["train", "valid", "test"])
    def test_a_channel_that_is_missing_is_named(self, tmp_path, channel):
        rest = [name for name in real.CHANNELS if name != channel]
        data = write_channels(tmp_path / "data", channels=rest)
        with pytest.raises(DataError, match=f"no folder .*data/{channel}"):
            real.read(data)

    def test_other_classes_are_named(self, tmp_path):
        data = write_channels(tmp_path / "data")
        (data / "test" / "002.Afghan_hound").rename(data / "test" / "003.Airedale")
        with pytest.raises(DataError, match=r"'test' differ .* missing 002\.Afghan_hound"):
            real.read(data)


class TestMethods:
    @pytest.mark.parametrize("method", real.METHODS, ids=lambda method: method.name)
    def test_train_py_knows_their_options_and_they_leave_alone_what_is_shared(self, method):
        given = {**real.SHARED, **method.options, "lr": method.rates[0]}
        words = [word for name, value in given.items() for word in (f"--{name}", str(value))]
        folders = ["--train-dir", "a", "--valid-dir", "b", "--model-dir", "m"]
        options.parse([*folders, *words])  # exits if it does not know one
        assert not method.options.keys() & {*real.SHARED, "epochs", "lr", "seed"}

    def test_ours_is_the_recommended_recipe(self):
        search, ours = NAMED["resnet18-scratch"], real.METHODS[0]
        assert {**real.SHARED, **ours.options}.items() >= {
            **search.hyperparameters,
            "batch-size": real.SHARED["batch-size"],
        }.items() - {("epochs", search.hyperparameters["epochs"])}
        low, high = search.ranges["lr"].ends
        assert all(low <= rate <= high for rate in ours.rates)
        assert real.SHARED["batch-size"] in search.ranges["batch-size"].ends

    def test_the_others_are_plain(self):
        for method in real.METHODS[1:]:
            assert method.options["augmentation"] == "none"
            assert method.options["schedule"] == "constant"
            assert method.options["warmup"] == method.options["label-smoothing"] == 0

    @pytest.mark.parametrize("method", real.METHODS, ids=lambda method: method.name)
    def test_rates_lie_on_a_grid_of_four(self, method):
        steps = [b / a for a, b in zip(method.rates, method.rates[1:], strict=False)]
        assert len(method.rates) == 4 and all(2.9 < step < 3.4 for step in steps)


def test_a_rate_is_judged_by_its_last_epochs():
    assert trained([0.9, 0.1, 0.2, 0.3]).held_out == pytest.approx(0.2)
    assert trained([0.4]).held_out == 0.4


def test_the_best_rate_wins_and_the_lowest_of_several():
    assert real.best({0.1: 0.2, 0.01: 0.3, 0.001: 0.1}) == 0.01
    assert real.best({0.1: 0.3, 0.01: 0.3, 0.001: 0.1}) == 0.01


def test_epochs_fit_into_the_seconds_with_start_and_end():
    tried = trained([0.1] * 3, seconds=16.0, each=2.0)  # of which 10 are start and end
    assert real.epochs_within(90, tried) == 40
    assert real.epochs_within(5, tried) == 1


def test_an_answer_that_is_none_is_wrong():
    run = trained(answers=[("a/1.jpg", "a", "a"), ("a/2.jpg", "a", ""), ("b/1.jpg", "b", "a")])
    assert run.right.tolist() == [1, 0, 0]


def test_runs_on_other_photos_are_not_compared():
    run = trained(answers=[("a/1.jpg", "a", "a")])
    with pytest.raises(RuntimeError, match="not scored on the same photos"):
        real.rights([run, trained(answers=[("a/2.jpg", "a", "a")])])


def test_the_table_has_every_seed_and_the_mean():
    runs = [trained(answers=[("a/1.jpg", "a", said), ("a/2.jpg", "a", "a")]) for said in "ab"]
    assert real.table({"SGD": runs}, {"SGD": 0.01}).splitlines() == [
        "method        lr   seed 0   seed 1     mean",
        "SGD         0.01   100.0%    50.0%    75.0%",
    ]


def test_a_run_that_fails_says_why():
    with pytest.raises(
        RuntimeError, match=r"(?s)ended with 2: .*--train-dir is missing"
    ) as failure:
        real.train({"epochs": 1}, threads=1)
    assert "train.py --epochs 1" in str(failure.value)


class TestCommand:
    @pytest.fixture
    def refusal(self, capsys):
        """What the command line ends with, and what it says."""

        def run(*words):
            with pytest.raises(SystemExit) as stopped:
                real.main([*words])
            return stopped.value.code, capsys.readouterr().err

        return run

    def test_without_photos_it_says_what_to_give(self, refusal):
        code, said = refusal("--data", "")
        assert code == 2 and "make check-real DATA=" in said

    def test_what_is_no_folder_is_named(self, refusal, tmp_path):
        said, _ = refusal("--data", str(tmp_path / "nowhere"))
        assert said.startswith("error: no folder ") and "nowhere" in said

    @pytest.mark.parametrize("flag", ["--epochs", "--jobs", "--seeds", "--seconds"])
    def test_nothing_of_anything_is_refused(self, refusal, flag):
        code, said = refusal("--data", ".", flag, "0")
        assert code == 2 and f"{flag} is 0" in said.replace("0.0", "0")


def test_all_of_it_on_tiny_photos(tmp_path, monkeypatch, capsys):
    methods = tuple(replace(m, rates=m.rates[:1]) for m in (real.METHODS[0], real.METHODS[1]))
    monkeypatch.setattr(real, "METHODS", methods)
    monkeypatch.setattr(real, "SHARED", TINY)
    monkeypatch.setattr(real, "subprocess", SimpleNamespace(run=run_in_fork))
    monkeypatch.setenv("SM_CHANNEL_TEST", str(tmp_path / "a job's own"))
    data, file = write_channels(tmp_path / "data"), tmp_path / "kept" / "real.json"
    words = ["--data", str(data), "--seconds", "0.1", "--seeds", "1", "--jobs", "2"]
    real.main([*words, "--json", str(file)])
    found, printed = json.loads(file.read_text()), capsys.readouterr().out
    assert found["machine"]["Cores"] and found["epochs"] == 1
    assert "recipe, 3 epochs, job 2" in printed
    assert found["rates"] == {"recipe": methods[0].rates[0], "SGD": methods[1].rates[0]}
    (run,) = found["runs"]["SGD"]
    assert [answer[0] for answer in run["answers"]] == sorted(a[0] for a in run["answers"])
    assert len(run["answers"]) == 16 and run["history"][0]["valid_accuracy"] is not None
    assert "On 16 photos, the recipe is " in printed and "2 of 2: " in printed
    assert set(found["differences"]) == {"SGD"}
