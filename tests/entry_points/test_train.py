"""`entry_points/train.py`: whole runs on tiny photos, and what stops one early."""

import contextlib
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
from torchvision.models import resnet

import networks
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
    rf"chance={NUMBER} images=\d+"
)


@pytest.fixture(scope="module", autouse=True)
def narrow_network():
    """The network's size and accuracy are no matter here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resnet, "resnet18", narrow.resnet18)
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
    regexes = re.findall(r"([a-z0-9_]+)=\(\[0-9\.\]\+\)", train.__doc__)
    assert len(regexes) == 10
    for name in regexes:
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
    from loading import Photos, make_loader
    from networks import load_model
    from photos import list_photos, normalise

    root, _, _ = finished
    folder = list_photos(root / "test")
    loader = make_loader(Photos(folder, 32, augment=None), 1, shuffle=False, seed=0)
    images, *_ = next(iter(loader))
    network, _ = load_model(root / "model")
    with torch.no_grad():
        expected = network(normalise(images))
    body = folder.files[0].read_bytes()
    served = inference.predict_fn(inference.input_fn(body), inference.model_fn(root / "model"))
    assert torch.equal(torch.from_numpy(served.logits), expected)


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
    watched = [*plain, "--monitor", "100", "--profile-steps", "1"]
    results = train.main(command(tmp_path, *watched, test=False))
    after = capsys.readouterr().out.splitlines()
    assert results["train_loss"] == expected["train_loss"]
    assert len(recording(tmp_path, "step")) == 2 + 1  # not the earlier run's
    assert list(tmp_path.glob("out/profiler-output/system/incremental/*/*.algo-1.json"))
    assert list(tmp_path.glob("out/profiler-output/framework/trace/*.trace.json.gz"))
    assert after[0].startswith("monitor=on ") and after[1:3] == before[0:2]
    card = json.loads((tmp_path / "model" / "model.json").read_text())
    assert not {"monitor", "profile_steps"} & set(card["hyperparameters"])


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
    assert lines[0].startswith("weights=random (ImageNet weights could not be had: torchvision's")
    card = json.loads((tmp_path / "model" / "model.json").read_text())
    assert card["hyperparameters"]["train_layers"] == "all"
    assert card["weights"].startswith("random")


def test_imagenet_weights_train_the_head_alone(tmp_path, capsys, published):
    write_channels(tmp_path, photos=4, channels=["train", "valid"])
    (tmp_path / "weights").mkdir()
    source = networks.build("resnet18", 1000)
    file = published(tmp_path / "weights", "resnet18", source.state_dict())
    options = ["--epochs", "1", "--weights-dir", tmp_path / "weights"]
    train.main(command(tmp_path, *options, test=False, weights="imagenet"))
    assert capsys.readouterr().out.startswith(f"weights=imagenet ({file.name})")
    from networks import load_model

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
    with pytest.raises(SystemExit, match=f"{file.name}: these are no weights of"):
        train.main(command(tmp_path, *options, test=False, weights="auto"))


def test_a_damaged_file_of_weights_stops_the_run_though_random_ones_would_do(tmp_path):
    write_channels(tmp_path, photos=4, channels=["train", "valid"])
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "resnet18-f37072fd.pth").write_bytes(b"half a file")
    options = ["--weights-dir", tmp_path / "weights"]
    with pytest.raises(SystemExit, match=r"resnet18-f37072fd\.pth is not torchvision's file"):
        train.main(command(tmp_path, *options, test=False, weights="auto"))


def test_imagenet_weights_that_are_demanded_and_missing_stop_the_run(tmp_path):
    write_channels(tmp_path, photos=4)
    with pytest.raises(SystemExit, match=r"could not be had.*--weights-dir"):
        train.main(command(tmp_path, weights="imagenet"))


@pytest.mark.parametrize(("weights", "dropout"), [("random", 0.0), ("imagenet", 0.5)])
def test_vgg16_drops_out_only_on_imagenet_weights(weights, dropout, monkeypatch):

    with torch.device("meta"):
        state = networks.build("vgg16", 1000).state_dict()
        monkeypatch.setattr(networks, "load_imagenet", lambda *_: (state, "vgg16.pth"))
        arguments, _ = train.parse(command(Path("x"), "--model", "vgg16", weights=weights))
        model, started, _ = networks.start(arguments, classes=3)
    assert started == weights
    assert [m.p for m in model.modules() if isinstance(m, torch.nn.Dropout)] == [dropout] * 2


def test_the_default_image_size_follows_the_weights():
    from argparse import Namespace

    from arguments import settle

    for weights, size in (("imagenet", 224), ("random", 64)):
        arguments = Namespace(image_size=None, train_layers="all", batch_norm="auto")
        settle(arguments, weights)
        assert arguments.batch_norm == ("frozen" if weights == "imagenet" else "train")
        assert arguments.image_size == size


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


def test_ignored_arguments_are_named(tmp_path, capsys):
    write_channels(tmp_path, photos=4, channels=["train", "valid"])
    extra = ["--_tuning_objective_metric", "valid_accuracy", "--epochs", "1"]
    train.main(command(tmp_path, *extra, test=False))
    first = capsys.readouterr().out.splitlines()[0]
    assert first == "ignored arguments: --_tuning_objective_metric valid_accuracy"


def test_a_job_fails_early_and_plainly_when_classes_differ(tmp_path):
    write_channels(tmp_path, photos=2)
    (tmp_path / "valid" / "001.Affenpinscher").rename(tmp_path / "valid" / "003.Airedale")
    script = Path(train.__file__)
    done = subprocess.run(
        [sys.executable, "-X", "importtime", script, *command(tmp_path)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "error: the classes of 'valid' differ" in done.stderr
    assert "003.Airedale" in done.stderr
    assert "Traceback" not in done.stderr
    assert "| torch\n" not in done.stderr


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
    with pytest.raises(SystemExit, match=f"not one photo of '{channel}' can be decoded"):
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


def test_without_safetensors_it_stops_before_it_trains(tmp_path, monkeypatch, capsys):
    write_channels(tmp_path, photos=4)
    monkeypatch.setattr("networks.find_spec", lambda name: None)
    with pytest.raises(RuntimeError, match=r"name requirements\.txt as the job's requirements"):
        train.main(command(tmp_path))
    assert "epoch=" not in capsys.readouterr().out


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
