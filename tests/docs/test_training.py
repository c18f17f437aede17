"""The commands of `docs/training.md` and `docs/tuning.md` run, made small."""

import json
import os
import re
import shlex

import pytest

import train
from course.workspace import ROOT
from tests.support.tiny_photos import write_channels
from tools import searches

PAGES = [(ROOT / "docs" / name).read_text() for name in ("tuning.md", "training.md")]
COMMANDS = dict(
    re.findall(r"^\| ([\w-]+) \| .+ \| `python train\.py (.+?)` \|", "".join(PAGES), re.MULTILINE)
)
# What makes a run small: a step or two of 32 pixels, the least a network takes here.
SMALL = {"weights": "random", "image-size": 32, "batch-size": 4}


@pytest.fixture(autouse=True)
def outside_sagemaker(monkeypatch, tmp_path):
    for variable in [v for v in os.environ if v.startswith("SM_")]:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("SMDEBUG_CONFIG_FILE_PATH", str(tmp_path / "none"))


def options(values):
    return [word for name, value in values.items() for word in (f"--{name}", str(value))]


def test_the_pages_have_every_named_search():
    assert list(COMMANDS) == list(searches.NAMED)


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] * name.startswith("vgg16")) for name in COMMANDS],
)
def test_a_command_runs_scaled_down(name, tmp_path):
    photos = write_channels(tmp_path / "photos", photos=4, channels=("train", "valid"))
    search = searches.NAMED[name]
    lows = {option: span.ends[0] for option, span in search.ranges.items()}
    # As many stages as the recipe has, an epoch each.
    stages = {"head-epochs": 1, "epochs": 2} if "head-epochs" in search.hyperparameters else {}
    changed = {**lows, "epochs": 1, **SMALL, **stages}
    places = {"train-dir": photos / "train", "valid-dir": photos / "valid"}
    words = [*shlex.split(COMMANDS[name]), *options(changed), *options(places)]
    results = train.main([*words, "--model-dir", str(tmp_path / "model")])
    card = json.loads((tmp_path / "model" / "model.json").read_text())
    assert (tmp_path / "model" / "model.safetensors").stat().st_size > 10e6
    (tmp_path / "model" / "model.safetensors").unlink()  # VGG16's has 537 MB
    assert results["epoch"] == changed["epochs"]
    assert 0 <= results["valid_accuracy"] <= 1
    wanted = {**search.hyperparameters, **changed}
    recorded = {option: card["hyperparameters"][option.replace("-", "_")] for option in wanted}
    assert recorded == wanted
