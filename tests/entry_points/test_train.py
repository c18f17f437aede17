"""`entry_points/train.py`: whole runs on tiny photos, and what stops one early."""

import contextlib
import importlib
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from resource import RLIMIT_AS, getpagesize, setrlimit

import pytest
import torch
from torchvision.models._api import BUILTIN_MODELS

import models
import pretrained
import train
from tests.support import narrow
from tests.support.forking import fork, write_to
from tests.support.tiny_photos import COLOURS, write_channels

NUMBER = r"([0-9]+\.[0-9]+)"
EPOCH = re.compile(
    rf"epoch=\d+ train_loss={NUMBER} train_accuracy={NUMBER} valid_loss={NUMBER} "
    rf"valid_accuracy={NUMBER} seconds={NUMBER} images_per_second={NUMBER}"
)
TEST = re.compile(
    rf"test_loss={NUMBER} test_accuracy={NUMBER} test_top5_accuracy={NUMBER} "
    rf"test_macro_f1={NUMBER} chance={NUMBER} images=\d+"
)


@pytest.fixture(scope="module", autouse=True)
def narrow_network():
    """The network's size and accuracy are no matter here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(BUILTIN_MODELS, "resnet18", narrow.resnet18)
        yield


@pytest.fixture(autouse=True)
def clean(monkeypatch, tmp_path):
    for name in [n for n in os.environ if n.startswith("SM_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("SMDEBUG_CONFIG_FILE_PATH", str(tmp_path / "none"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # no network for any test


def command(root, *options, test=True, weights="random"):
    words = ["--model", "resnet18", "--weights", weights, "--batch-size", "4", "--epochs", "2"]
    words += ["--image-size", "32", "--lr", "0.003"]
    for channel in ("train", "valid", "test") if test else ("train", "valid"):
        words += [f"--{channel}-dir", str(root / channel)]
    return [*words, "--model-dir", str(root / "model"), *map(str, options)]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run: its folder, its results and its lines on standard output."""
    root = write_channels(tmp_path_factory.mktemp("run"), photos=16)
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        results = train.main(command(root, "--output-data-dir", root / "out", "--epochs", "3"))
    return root, results, output.getvalue().splitlines()


def test_it_prints_one_line_an_epoch_and_one_for_the_test(finished):
    _, results, lines = finished
    assert [bool(EPOCH.fullmatch(line)) for line in lines].count(True) == 3
    assert TEST.fullmatch(lines[-1])
    assert "chance=0.5000 images=16" in lines[-1]
    assert f"valid_accuracy={results['valid_accuracy']:.4f}" in lines[-2]


def test_each_documented_regex_matches_its_own_lines_only(finished):
    _, _, lines = finished
    names = re.findall(r"([a-z0-9_]+)=[0-9]", train.__doc__)
    assert len(names) == 13
    for name in set(names) - {"epoch", "images"}:
        # SageMaker searches anywhere in a line: no other name may contain this one.
        hits = [line for line in lines if re.search(f"{name}=([0-9.]+)", line)]
        expected = 1 if name.startswith("test") or name == "chance" else 3
        assert len(hits) == expected, name
        assert all(len(re.findall(f"{name}=([0-9.]+)", line)) == 1 for line in hits), name


def test_it_learns(finished):
    _, results, _ = finished
    assert results["test_accuracy"] > 0.9
    assert results["train_loss"] < 0.69


def test_the_card_says_how_to_rebuild_and_feed_the_model(finished):
    root, results, _ = finished
    card = json.loads((root / "model" / "model.json").read_text())
    assert card["class_names"] == list(COLOURS)
    assert (card["architecture"], card["image_size"]) == ("resnet18", 32)
    assert card["mean"] == [0.485, 0.456, 0.406]
    assert card["metrics"]["test_accuracy"] == results["test_accuracy"]
    assert card["hyperparameters"]["lr"] == 0.003
    assert str(root) not in json.dumps(card)
    lines = (root / "out" / "history.jsonl").read_text().splitlines()
    history = [json.loads(line) for line in lines]
    assert [epoch["epoch"] for epoch in history] == [1, 2, 3]


def test_what_is_served_scores_as_what_was_tested(finished):
    import inference

    root, results, _ = finished
    model = inference.model_fn(str(root / "model"))
    right = []
    for label, name in enumerate(COLOURS):
        for file in sorted((root / "test" / name).iterdir()):
            logits = inference.predict_fn(inference.input_fn(file.read_bytes()), model).logits
            right.append(logits.argmax() == label)
    assert sum(right) / len(right) == results["test_accuracy"]


def test_serving_gives_the_logits_of_training(finished):
    import inference
    from data import Photos, list_photos, make_loader
    from distributed import choose_device
    from models import load_model
    from preprocess import Preprocessing, normalise

    root, _, _ = finished
    folder = list_photos(root / "test")
    loader = make_loader(Photos(folder, Preprocessing(32), augment=None), 1, shuffle=False, seed=0)
    images, *_ = next(iter(loader))
    network, card = load_model(root / "model")
    world = choose_device(card["precision"])
    with torch.no_grad(), world.autocast():
        expected = network(normalise(images, Preprocessing(32))).float()
    body = folder.files[0].read_bytes()
    served = inference.predict_fn(inference.input_fn(body), inference.model_fn(root / "model"))
    assert torch.equal(torch.from_numpy(served.logits), expected)


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("mobilenet_v3_small", 32),
        ("convnext_atto", 32),
        ("densenet121", 32),
        ("vit_tiny_patch16_224", 224),
        ("efficientnet_lite0", 32),
    ],
)
def test_networks_unlike_each_other_train_are_saved_and_served(tmp_path, name, size):
    """Of torchvision and timm, with batch normalisation and without, convolutional and not."""
    import inference

    write_channels(tmp_path, photos=2)
    options = ["--model", name, "--image-size", size, "--epochs", 1, "--train-layers", "all"]
    results = train.main(command(tmp_path, *options))
    model = inference.model_fn(str(tmp_path / "model"))
    photo = next((tmp_path / "test").rglob("*.jpg")).read_bytes()
    answer = inference.predict_fn(inference.input_fn(photo), model)
    assert answer.logits.shape == (1, len(COLOURS))
    assert model.preprocessing.image_size == size
    assert 0 <= results["test_accuracy"] <= 1


def recording(root, kind):
    folder = root / "out" / "profiler-output" / "framework" / "steps"
    lines = [line for f in sorted(folder.glob("*/*")) for line in f.read_text().splitlines()]
    return [row for row in map(json.loads, lines) if row["Type"] == kind]


def test_every_step_of_a_run_is_recorded(finished):
    root, _, _ = finished
    steps = recording(root, "step")
    seen = {p: [r["Epoch"] for r in steps if r["Phase"] == p] for p in ("train", "valid", "test")}
    assert seen == {"train": [1] * 8 + [2] * 8 + [3] * 8, "valid": [1] * 4 + [2] * 4 + [3] * 4} | {
        "test": [3] * 4
    }
    assert all("Backward" in row and "Optimizer" in row for row in steps if row["Phase"] == "train")
    spans = [row["Name"] for row in recording(root, "span")]
    assert sorted(spans) == ["checkpoint", *["evaluation"] * 4, "initialization"]
    (run,) = recording(root, "run")
    assert (run["Model"], run["ImageSize"], run["Epochs"]) == ("resnet18", 32, 3)
    loaders = {row["Name"]: row["Photos"] for row in recording(root, "loader")}
    assert loaders == {"train": 32, "valid": 16, "test": 16}
    assert not list(root.glob("out/profiler-output/s*")) and not list(root.glob("**/*.trace*"))


def test_a_run_that_is_watched_learns_the_same(tmp_path, capsys):
    write_channels(tmp_path, photos=4, channels=["train", "valid"])
    plain = ["--epochs", "1", "--output-data-dir", tmp_path / "out"]
    expected = train.main(command(tmp_path, *plain, test=False))
    before = capsys.readouterr().out.splitlines()
    watched = [*plain, "--system-metrics", "100", "--profile-steps", "1"]
    results = train.main(command(tmp_path, *watched, test=False))
    after = capsys.readouterr().out.splitlines()
    assert results["train_loss"] == expected["train_loss"]
    assert len(recording(tmp_path, "step")) == 2 + 1  # not the earlier run's
    assert list(tmp_path.glob("out/profiler-output/system/incremental/*/*.algo-1.json"))
    assert list(tmp_path.glob("out/profiler-output/framework/trace/*.trace.json.gz"))
    assert after[0].startswith("monitor=on ") and after[1:3] == before[0:2]
    card = json.loads((tmp_path / "model" / "model.json").read_text())
    assert not {"system_metrics", "profile_steps"} & set(card["hyperparameters"])


def test_the_same_seed_gives_the_same_model(tmp_path):
    write_channels(tmp_path, photos=4, channels=["train", "valid"])
    runs = [
        train.main(command(tmp_path, "--epochs", "1", "--seed", seed, test=False))
        for seed in (3, 3, 4)
    ]
    assert runs[0]["train_loss"] == runs[1]["train_loss"] != runs[2]["train_loss"]


def test_without_imagenet_weights_it_says_so_and_starts_from_scratch(tmp_path, capsys):
    write_channels(tmp_path, photos=4, channels=["train", "valid"])
    train.main(command(tmp_path, "--epochs", "1", test=False, weights="auto"))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("weights: torchvision's server cannot be reached")
    assert lines[1].startswith("weights=random (none available) device=")
    card = json.loads((tmp_path / "model" / "model.json").read_text())
    assert card["hyperparameters"]["train_layers"] == "all"
    assert card["weights"].startswith("random")


def test_the_best_epochs_weights_are_kept_if_asked(tmp_path, capsys):
    """A rate that is far too high from the second epoch on makes the first one the best."""
    write_channels(tmp_path, photos=8, channels=["train", "valid"])
    high = ["--lr", 0.3, "--optimizer", "sgd", "--schedule", "constant"]
    options = [*high, "--warmup", 0.6, "--epochs", 4, "--nan-loss", "continue"]
    results = train.main(command(tmp_path, *options, "--keep", "best", test=False))
    said = capsys.readouterr().out
    losses = [float(loss) for loss in re.findall(r"valid_loss=(\S+)", said)]
    best = min(range(4), key=lambda epoch: losses[epoch] if losses[epoch] == losses[epoch] else 9e9)
    assert best < 3, "nothing was overtrained: the test shows nothing"
    assert f"kept=epoch {best + 1}" in said
    assert results["epoch"] == best + 1
    card = json.loads((tmp_path / "model" / "model.json").read_text())
    assert card["metrics"]["valid_loss"] == results["valid_loss"]
    shorter = [*options, "--keep", "last", "--epochs", 4, "--patience", 1]
    train.main(command(tmp_path, *shorter, test=False))
    assert capsys.readouterr().out.count("epoch=") == best + 2


def test_a_restart_goes_on_in_whatever_words_the_server_fails(tmp_path, monkeypatch, capsys):
    write_channels(tmp_path, photos=4, channels=["train", "valid"])
    for reason in ("no answer within 5 s", "connection refused"):

        def fail(*_, reason=reason):
            raise pretrained.WeightsUnavailable(reason)

        monkeypatch.setattr(pretrained, "load_imagenet", fail)
        options = ["--checkpoint-dir", tmp_path / "checkpoints"]
        train.main(command(tmp_path, *options, test=False, weights="auto"))
    assert "resumed=epoch 3, step 0" in capsys.readouterr().out


def test_training_the_head_leaves_the_imagenet_weights_as_they_are(tmp_path, capsys, published):
    write_channels(tmp_path, photos=4, channels=["train", "valid"])
    (tmp_path / "weights").mkdir()
    source = models.build("resnet18", 1000)
    file = published(tmp_path / "weights", "resnet18", source.state_dict())
    options = ["--epochs", "1", "--weights-dir", tmp_path / "weights"]
    options += ["--train-layers", "head"]
    train.main(command(tmp_path, *options, test=False, weights="imagenet"))
    assert capsys.readouterr().out.startswith(f"weights=imagenet ({file.name})")
    from models import load_model

    loaded, card = load_model(tmp_path / "model")
    assert card["hyperparameters"]["train_layers"] == "head"
    for name, value in source.state_dict().items():
        if not name.startswith("fc."):
            assert torch.equal(loaded.state_dict()[name], value), name


def test_a_file_with_other_weights_stops_the_run_by_name(tmp_path, published):
    write_channels(tmp_path, photos=4, channels=["train", "valid"])
    (tmp_path / "weights").mkdir()
    file = published(tmp_path / "weights", "resnet18", {"conv1.weight": torch.ones(1)})
    options = ["--weights-dir", tmp_path / "weights"]
    with pytest.raises(SystemExit, match=f"{file.name} holds the weights of another network"):
        train.main(command(tmp_path, *options, test=False, weights="auto"))


def test_a_damaged_file_of_weights_stops_the_run_though_random_ones_would_do(tmp_path):
    write_channels(tmp_path, photos=4, channels=["train", "valid"])
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "resnet18-f37072fd.pth").write_bytes(b"half a file")
    options = ["--weights-dir", tmp_path / "weights"]
    with pytest.raises(SystemExit, match=r"resnet18-f37072fd\.pth is not the file"):
        train.main(command(tmp_path, *options, test=False, weights="auto"))


def test_imagenet_weights_that_are_demanded_and_missing_stop_the_run(tmp_path):
    write_channels(tmp_path, photos=4)
    with pytest.raises(SystemExit, match=r"not available.*--weights-dir"):
        train.main(command(tmp_path, weights="imagenet"))


def test_what_decides_the_result_does_not_depend_on_the_weights_that_were_found(
    tmp_path, monkeypatch, capsys
):
    """With `--weights auto`, a server that answers must not change any other setting."""
    write_channels(tmp_path, photos=4, channels=["train", "valid"])
    source = models.build("resnet18", 1000).state_dict()
    cards = []
    for found in (True, False):

        def load(*_, found=found):
            if not found:
                raise pretrained.WeightsUnavailable("no server")
            return source, "resnet18.pth"

        monkeypatch.setattr(pretrained, "load_imagenet", load)
        train.main(command(tmp_path, "--epochs", "1", test=False, weights="auto"))
        cards.append(json.loads((tmp_path / "model" / "model.json").read_text()))
    assert cards[0]["weights"] == "imagenet (resnet18.pth)"
    assert cards[1]["weights"] == "random (none available)"
    assert cards[0]["hyperparameters"] == cards[1]["hyperparameters"]


def test_imagenet_is_the_default_and_fails_with_the_ways_out(tmp_path):
    write_channels(tmp_path, photos=4)
    words = command(tmp_path)
    del words[words.index("--weights") : words.index("--weights") + 2]
    with pytest.raises(SystemExit) as stopped:
        train.main(words)
    for way_out in ("--weights-dir", "--model efficientnet_lite0", "--weights random"):
        assert way_out in str(stopped.value)


def test_a_loss_that_is_no_number_ends_the_run_or_is_saved_as_null(tmp_path, capsys):
    write_channels(tmp_path, photos=4, channels=["train", "valid"])
    options = [
        "--optimizer",
        "sgd",
        "--lr",
        "1e30",
        "--precision",
        "fp32",
        "--nan-loss",
        "continue",
    ]
    train.main(command(tmp_path, *options, test=False))
    assert "train_loss=nan" in capsys.readouterr().out
    card = json.loads((tmp_path / "model" / "model.json").read_text())
    assert card["metrics"]["train_loss"] is None


def test_a_job_fails_early_and_plainly_when_classes_differ(tmp_path):
    write_channels(tmp_path, photos=2)
    (tmp_path / "valid" / "001.Affenpinscher").rename(tmp_path / "valid" / "003.Airedale")
    script = Path(train.__file__)
    done = subprocess.run(
        [sys.executable, script, *command(tmp_path)], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "error: the classes of 'valid' differ" in done.stderr
    assert "003.Airedale" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_missing_channel_is_named(tmp_path):
    write_channels(tmp_path, photos=2)
    with pytest.raises(SystemExit, match=r"no folder .*nowhere"):
        train.main(command(tmp_path, "--valid-dir", tmp_path / "nowhere"))


def test_damaged_photos_are_named_and_left_out_up_to_a_limit(tmp_path, capsys):
    write_channels(tmp_path, photos=8)
    damaged = [
        f"{c}/002.Afghan_hound/{n}.jpg"
        for c, n in (("train", "001"), ("train", "more/002"), ("test", "000"))
    ]
    for name in damaged:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"not a photo")
    options = ["--max-damaged", 3, "--epochs", 1, "--output-data-dir", tmp_path / "out"]
    train.main(command(tmp_path, *options))
    lines = capsys.readouterr().out.splitlines()
    told = [line for line in lines if line.startswith("skipped=")]
    assert sorted(line.split(": ")[0].split()[1] for line in told) == sorted(
        name.partition("/")[2] for name in damaged
    )
    assert lines[-1].endswith("images=7")
    assert "002.Afghan_hound/000.jpg" in (tmp_path / "out" / "model-card.md").read_text()
    with pytest.raises(SystemExit, match=r"3 photos cannot be decoded.*--max-damaged allows 2.*00"):
        train.main(command(tmp_path, "--max-damaged", 2))


@pytest.mark.parametrize("channel", ["valid", "test"])
def test_nothing_can_be_measured_on_damaged_photos_alone(tmp_path, channel, capsys):
    write_channels(tmp_path, photos=4)
    for file in (tmp_path / channel).rglob("*.jpg"):
        file.write_bytes(b"not a photo")
    with pytest.raises(SystemExit, match=f"not one photo in .*/{channel} can be decoded"):
        train.main(command(tmp_path, "--epochs", 1))
    assert f"{channel}_loss" not in capsys.readouterr().out


@pytest.mark.parametrize("option", ["--model-dir", "--output-data-dir"])
def test_a_folder_that_cannot_be_made_is_told_before_the_training(tmp_path, option, capsys):
    write_channels(tmp_path, photos=4)
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(SystemExit, match=f"error: {option}: .*taken.*; name another folder"):
        train.main(command(tmp_path, option, tmp_path / "taken" / "inner"))
    assert capsys.readouterr().out == ""


def test_batch_normalisation_cannot_learn_from_one_photo(tmp_path):
    write_channels(tmp_path, photos=4)
    with pytest.raises(SystemExit, match=r"error: batch normalisation .*--batch-size is 1; raise"):
        train.main(command(tmp_path, "--batch-size", 1))
    train.main(command(tmp_path, "--batch-size", 1, "--batch-norm", "frozen"))


def test_without_safetensors_it_stops_before_it_trains(monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors.torch", None)
    monkeypatch.delitem(sys.modules, "models")
    with pytest.raises(RuntimeError, match=r"name requirements\.txt as the job's requirements"):
        importlib.import_module("models")


def train_in_little_memory(arguments: list[str], log: Path) -> None:
    """In a fork: train with no more than 800 MiB besides what is taken already."""
    write_to(log)
    size = int(Path("/proc/self/statm").read_text().split()[0]) * getpagesize()
    setrlimit(RLIMIT_AS, (size + 800 * 2**20,) * 2)
    train.main(arguments)


def test_too_little_memory_is_told_with_the_batch_size(tmp_path):
    write_channels(tmp_path, photos=40)
    options = ("--batch-size", 80, "--image-size", 224, "--epochs", 1)
    process = fork(train_in_little_memory, command(tmp_path, *options), tmp_path / "log")
    process.join(120)
    assert process.exitcode == 1
    said = "error: out of memory with --batch-size 80 at 224 pixels: try --batch-size 40, or"
    lines = (tmp_path / "log").read_text().splitlines()
    assert lines[-1].startswith(said), lines
