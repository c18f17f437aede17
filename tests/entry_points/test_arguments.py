"""`entry_points/arguments.py`: the command line of train.py."""

import subprocess
import sys
from pathlib import Path

import pytest

import arguments

FOLDERS = ["--train-dir", "a", "--valid-dir", "b", "--model-dir", "m"]
CHANNELS = ("TRAIN", "VALID", "TEST", "WEIGHTS")


@pytest.fixture(autouse=True)
def no_sagemaker(monkeypatch):
    for name in (*(f"SM_CHANNEL_{c}" for c in CHANNELS), "SM_MODEL_DIR", "SM_OUTPUT_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)


def test_sagemakers_variables_are_the_defaults(monkeypatch):
    for channel in CHANNELS:
        monkeypatch.setenv(f"SM_CHANNEL_{channel}", f"in/{channel.lower()}")
    monkeypatch.setenv("SM_MODEL_DIR", "model")
    monkeypatch.setenv("SM_OUTPUT_DATA_DIR", "output")
    parsed, _ = arguments.parse(["--valid-dir", "mine"])
    assert parsed.train_dir == Path("in/train")
    assert parsed.valid_dir == Path("mine")
    assert (parsed.test_dir, parsed.weights_dir) == (Path("in/test"), Path("in/weights"))
    assert (parsed.model_dir, parsed.output_data_dir) == (Path("model"), Path("output"))


def test_test_and_weights_channels_are_optional():
    parsed, _ = arguments.parse(FOLDERS)
    assert parsed.test_dir is None
    assert parsed.weights_dir is None


@pytest.mark.parametrize(
    ("missing", "variable"),
    [("train", "SM_CHANNEL_TRAIN"), ("valid", "SM_CHANNEL_VALID"), ("model", "SM_MODEL_DIR")],
)
def test_a_missing_folder_names_option_and_variable(missing, variable, capsys):
    at = FOLDERS.index(f"--{missing}-dir")
    with pytest.raises(SystemExit) as stop:
        arguments.parse(FOLDERS[:at] + FOLDERS[at + 2 :])
    assert stop.value.code == 2
    message = capsys.readouterr().err
    assert f"--{missing}-dir" in message
    assert variable in message


def test_values_may_be_quoted_as_a_tuner_quotes_them():
    quoted = ["--batch-size", '"16"', "--model", '"vgg16"', "--lr", "'0.5'", "--optimizer", '"sgd"']
    parsed, _ = arguments.parse([*FOLDERS, *quoted])
    assert (parsed.batch_size, parsed.model, parsed.lr) == (16, "vgg16", 0.5)
    assert parsed.optimizer == "sgd"


def test_a_debug_config_is_parsed_and_may_be_left_out():
    text = '{"HookParameters": {"save_interval": "5"}}'
    parsed, _ = arguments.parse([*FOLDERS, "--debug-config", text])
    assert parsed.debug_config == {"HookParameters": {"save_interval": "5"}}
    assert arguments.parse(FOLDERS)[0].debug_config is None


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], None),
        (["--monitor"], 500),
        (["--monitor", "true"], 500),
        (["--monitor", "True"], 500),  # as the toolkit writes a boolean
        (["--monitor", '"true"'], 500),
        (["--monitor", "false"], None),
        (["--monitor", "100"], 100),
        (["--monitor", "60000"], 60_000),
        (["--monitor=200", "--epochs", "1"], 200),
        (["--monitor", "--epochs", "1"], 500),
    ],
)
def test_the_monitor_is_off_or_on_or_an_interval(words, expected):
    parsed, ignored = arguments.parse([*FOLDERS, *words])
    assert parsed.monitor == expected
    assert ignored == []


def test_profile_steps_are_none_unless_asked_for():
    assert arguments.parse(FOLDERS)[0].profile_steps == 0
    assert arguments.parse([*FOLDERS, "--profile_steps", '"5"'])[0].profile_steps == 5


def test_unknown_arguments_are_returned_and_underscores_understood():
    extra = ["--_tuning_objective_metric", "valid:accuracy", "--batch_size=7", "--head_layers", "2"]
    parsed, ignored = arguments.parse([*FOLDERS, *extra])
    assert ignored == ["--_tuning_objective_metric", "valid:accuracy"]
    assert (parsed.batch_size, parsed.head_layers) == (7, 2)


@pytest.mark.parametrize(
    ("option", "value", "reason"),
    [
        ("--model", "alexnet", "resnet50"),
        ("--optimizer", "lion", "adamw"),
        ("--batch-size", "0", "at least 1"),
        ("--batch-size", "many", "whole number"),
        ("--epochs", "1.5", "whole number"),
        ("--lr", "0", "more than 0"),
        ("--lr", "nan", "more than 0"),
        ("--weight-decay", "-1", "at least 0"),
        ("--image-size", "8", "at least 32"),
        ("--train-layers", "tail", "last-stage"),
        ("--debug-config", "tensors.json", "source folder"),
        ("--monitor", "99", "100 to 60000 milliseconds"),
        ("--monitor", "60001", "100 to 60000 milliseconds"),
        ("--monitor", "yes", "neither true nor false"),
        ("--profile-steps", "-1", "at least 0"),
    ],
)
def test_a_wrong_value_is_named_with_the_way_out(option, value, reason, capsys):
    with pytest.raises(SystemExit) as stop:
        arguments.parse([*FOLDERS, option, value])
    assert stop.value.code == 2
    message = capsys.readouterr().err
    assert option in message
    assert repr(value) in message
    assert reason in message


def test_help_lists_options_and_variables_without_importing_torch():
    script = Path(arguments.__file__).with_name("train.py")
    done = subprocess.run(
        [sys.executable, "-X", "importtime", script, "--help"], capture_output=True, text=True
    )
    assert done.returncode == 0
    for word in (
        "--head-layers",
        "--momentum",
        "--debug-config",
        "--monitor",
        "--profile-steps",
        "$SM_CHANNEL_WEIGHTS",
        "$SM_OUTPUT_DATA_DIR",
    ):
        assert word in done.stdout
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "argparse" in imported
    assert not imported & {"torch", "torchvision", "smdebug", "psutil"}
