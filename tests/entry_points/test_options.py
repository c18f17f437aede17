"""`entry_points/options.py`: the command line of train.py."""

import subprocess
import sys
from pathlib import Path

import pytest

import options
from debugger import JobExtras

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
    parsed = options.parse(["--valid-dir", "mine"])
    assert parsed.train_dir == Path("in/train")
    assert parsed.valid_dir == Path("mine")
    assert (parsed.test_dir, parsed.weights_dir) == (Path("in/test"), Path("in/weights"))
    assert (parsed.model_dir, parsed.output_data_dir) == (Path("model"), Path("output"))


def test_test_and_weights_channels_are_optional():
    parsed = options.parse(FOLDERS)
    assert parsed.test_dir is None
    assert parsed.weights_dir is None


@pytest.mark.parametrize(
    ("missing", "variable"),
    [("train", "SM_CHANNEL_TRAIN"), ("valid", "SM_CHANNEL_VALID"), ("model", "SM_MODEL_DIR")],
)
def test_a_missing_folder_names_option_and_variable(missing, variable, capsys):
    at = FOLDERS.index(f"--{missing}-dir")
    with pytest.raises(SystemExit) as stop:
        options.parse(FOLDERS[:at] + FOLDERS[at + 2 :])
    assert stop.value.code == 2
    message = capsys.readouterr().err
    assert f"--{missing}-dir" in message
    assert variable in message


def test_values_may_be_quoted_as_a_tuner_quotes_them():
    quoted = ["--batch-size", '"16"', "--model", '"vgg16"', "--lr", "'0.5'", "--optimizer", '"sgd"']
    parsed = options.parse([*FOLDERS, *quoted])
    assert (parsed.batch_size, parsed.model, parsed.lr) == (16, "vgg16", 0.5)
    assert parsed.optimizer == "sgd"


def test_a_debug_config_is_parsed_and_may_be_left_out():
    text = '{"HookParameters": {"save_interval": "5"}}'
    parsed = options.parse([*FOLDERS, "--debug-config", text], JobExtras)
    assert parsed.debug_config == {"HookParameters": {"save_interval": "5"}}
    assert options.parse(FOLDERS, JobExtras).debug_config is None


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], None),
        (["--system-metrics"], 500),
        (["--system-metrics", "true"], 500),
        (["--system-metrics", "True"], 500),  # as the toolkit writes a boolean
        (["--system-metrics", '"true"'], 500),
        (["--system-metrics", "false"], None),
        (["--system-metrics", "100"], 100),
        (["--system-metrics", "60000"], 60_000),
        (["--system-metrics=200", "--epochs", "1"], 200),
        (["--system-metrics", "--epochs", "1"], 500),
    ],
)
def test_system_metrics_are_off_or_on_or_an_interval(words, expected):
    assert options.parse([*FOLDERS, *words], JobExtras).system_metrics == expected


def test_no_steps_are_profiled_by_default():
    assert options.parse(FOLDERS, JobExtras).profile_steps == 0
    assert options.parse([*FOLDERS, "--profile_steps", '"5"'], JobExtras).profile_steps == 5


@pytest.mark.parametrize("words", [["--system-metrics"], ["--debug-config", "{}"]])
def test_options_of_what_watches_are_unknown_without_it(words, capsys):
    with pytest.raises(SystemExit) as stop:
        options.parse([*FOLDERS, *words])
    assert stop.value.code == 2
    assert f"unknown argument {words[0]}" in capsys.readouterr().err


def test_the_defaults_are_fixed():
    """What decides the result must not depend on which weights are found."""
    parsed = options.parse(FOLDERS)
    assert (parsed.train_layers, parsed.batch_norm) == ("all", "train")
    assert (parsed.weights, parsed.image_size, parsed.dropout) == ("imagenet", None, None)


def test_sagemakers_own_arguments_are_ignored_and_underscores_understood():
    extra = ["--_tuning_objective_metric", "valid:accuracy", "--batch_size=7", "--head_layers", "2"]
    parsed = options.parse([*FOLDERS, *extra, "--sagemaker_job_name", "dogs"])
    assert (parsed.batch_size, parsed.head_layers) == (7, 2)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--learning-rate", "0.5"], "--learning-rate: did you mean --lr?"),
        (["--epoch=7"], "--epoch: did you mean --epochs?"),
        (["--_tuning_objective_metric", "a", "--batch", "3"], "--batch: did you mean --batch-size"),
        (["--qqq", "1"], "--qqq: see --help"),
        (["stray"], "stray: see --help"),
    ],
)
def test_an_unknown_argument_stops_the_run_with_the_nearest_name(words, said, capsys):
    with pytest.raises(SystemExit) as stop:
        options.parse([*FOLDERS, *words])
    assert stop.value.code == 2
    assert f"unknown argument {said}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "value", "reason"),
    [
        ("--optimizer", "lion", "adamw"),
        ("--batch-size", "0", "at least 1"),
        ("--batch-size", "many", "whole number"),
        ("--epochs", "1.5", "whole number"),
        ("--lr", "0", "more than 0"),
        ("--lr", "nan", "more than 0"),
        ("--weight-decay", "-1", "at least 0"),
        ("--image-size", "8", "at least 32"),
        ("--train-layers", "tail", "last-stage"),
        ("--train-layers", "auto", "last-stage"),
        ("--batch-norm", "auto", "frozen"),
        ("--weights", "none", "random"),
        ("--dropout", "1", "less than 1"),
        ("--debug-config", "tensors.json", "source folder"),
        ("--system-metrics", "99", "100 to 60000 milliseconds"),
        ("--system-metrics", "60001", "100 to 60000 milliseconds"),
        ("--system-metrics", "yes", "neither true nor false"),
        ("--profile-steps", "-1", "at least 0"),
    ],
)
def test_a_wrong_value_is_named_with_the_way_out(option, value, reason, capsys):
    with pytest.raises(SystemExit) as stop:
        options.parse([*FOLDERS, option, value], JobExtras)
    assert stop.value.code == 2
    message = capsys.readouterr().err
    assert option in message
    assert repr(value) in message
    assert reason in message


def test_help_lists_options_and_variables():
    script = Path(options.__file__).with_name("train.py")
    done = subprocess.run(
        [sys.executable, "-X", "importtime", script, "--help"], capture_output=True, text=True
    )
    assert done.returncode == 0
    for word in (
        "--head-layers",
        "--momentum",
        "--debug-config",
        "--system-metrics",
        "--profile-steps",
        "$SM_CHANNEL_WEIGHTS",
        "$SM_OUTPUT_DATA_DIR",
    ):
        assert word in done.stdout
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "argparse" in imported
    assert not imported & {"smdebug", "psutil", "timm"}  # jobs that do not need them may lack them


# What a job finds


def test_checkpoints_go_to_the_jobs_own_folder(job_config):
    assert options.parse(FOLDERS).checkpoint_dir is None
    (job_config / "checkpointconfig.json").write_text('{"LocalPath": "/opt/ml/checkpoints"}')
    own = Path("/opt/ml/checkpoints/dogs-1")
    assert options.job_checkpoints() == own
    assert options.parse(FOLDERS).checkpoint_dir == own / "checkpoints"
    chosen = options.parse([*FOLDERS, "--checkpoint-dir", "mine"])
    assert chosen.checkpoint_dir == Path("mine")


@pytest.mark.parametrize("text", ["", "{}", "null"])
def test_an_empty_configuration_is_none(job_config, text):
    (job_config / "checkpointconfig.json").write_text(text)
    assert options.job_checkpoints() is None


def test_a_configuration_that_is_not_json_stops_the_run(job_config, capsys):
    (job_config / "checkpointconfig.json").write_text("LocalPath: /opt")
    with pytest.raises(options.ConfigError, match=r"checkpointconfig\.json, .* is no JSON"):
        options.job_checkpoints()
    with pytest.raises(SystemExit):
        options.parse(FOLDERS)
    assert "checkpointconfig.json" in capsys.readouterr().err


# What follows from the options


def test_what_only_watches_a_run_does_not_make_it_another_one():
    words = ["--system-metrics", "--num-workers", "3", "--max-damaged", "5", "--stop-after", "60"]
    plain, watched = (options.parse([*FOLDERS, *w], JobExtras) for w in ([], words))
    assert options.hyperparameters(plain) == options.hyperparameters(watched)
    assert options.hyperparameters(options.parse([*FOLDERS, "--lr", "1"]))["lr"] == 1
    assert not [name for name in options.hyperparameters(plain) if name.endswith("_dir")]


def test_the_head_learns_alone_first():
    parsed = options.parse([*FOLDERS, "--head-epochs", "2", "--train-layers", "last-stage"])
    layers = [options.layers(parsed, epoch) for epoch in (1, 2, 3)]
    assert layers == ["head", "head", "last-stage"]


def test_output_folders_are_made_or_named_before_the_training(tmp_path):
    words = ["--train-dir", "a", "--valid-dir", "b", "--model-dir", str(tmp_path / "a" / "model")]
    parsed = options.parse(words)
    options.make_folders(parsed)
    assert (tmp_path / "a" / "model").is_dir()
    (tmp_path / "file").write_text("")
    parsed.output_data_dir = tmp_path / "file" / "output"
    with pytest.raises(options.ConfigError, match=r"--output-data-dir: .*name another folder"):
        options.make_folders(parsed)


def test_torchrun_takes_no_option_for_one_of_its_own():
    """Its parser completes prefixes, also of what stands behind the script's name."""
    from torch.distributed.run import get_args_parser

    theirs = [flag for action in get_args_parser()._actions for flag in action.option_strings]
    parser = options.build_parser(JobExtras)
    ours = {flag for action in parser._actions for flag in action.option_strings} - {"-h", "--help"}
    assert not [(flag, other) for flag in ours for other in theirs if other.startswith(flag)]
