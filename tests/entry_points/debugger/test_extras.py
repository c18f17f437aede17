"""`entry_points/debugger/extras.py`: what watches a run, and that jobs train without the folder."""

import inspect
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import extras
import train
from course.workspace import ROOT
from debugger import JobExtras
from debugger_support.processes import processes_with, wait_until
from options import ConfigError, build_parser
from tests.support.tiny_photos import write_channels

CPU = torch.device("cpu")
SHIPPED = shutil.ignore_patterns("__pycache__")


@pytest.fixture(autouse=True)
def job(job_config, monkeypatch):
    """A job without torchrun; what smdebug and Debugger leave in the process is removed."""
    from smdebug.core.singleton_utils import del_hook

    for name in ("RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "SM_CURRENT_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CHECKPOINT_CONFIG_FILE_PATH", "")  # which Debugger sets
    yield job_config
    del_hook()


def options(folder, *words):
    return build_parser(JobExtras).parse_args([*words, "--output-data-dir", str(folder)])


def rows(folder):
    files = sorted(folder.glob("profiler-output/framework/steps/*/*.json"))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def test_train_py_is_watched_where_the_folder_is():
    assert train.Extras is JobExtras


def test_no_method_is_left_empty():
    methods = {name: each for name, each in vars(extras.Extras).items() if callable(each)}
    assert {"begin", "timed", "mark", "gradients_ready", "span", "close_tensors"} <= set(methods)
    for name, method in methods.items():
        own = inspect.signature(vars(JobExtras)[name])
        if name != "__exit__":
            assert own.parameters == inspect.signature(method).parameters, name


def test_steps_and_tensors_belong_to_the_phase_that_has_begun(tmp_path):
    from smdebug.core.modes import ModeKeys as modes
    from smdebug.trials import create_trial

    each = {"CollectionParameters": {"save_interval": "1"}}
    names = ("losses", "gradients")
    config = {"CollectionConfigurations": [{"CollectionName": name, **each} for name in names]}
    model, criterion = torch.nn.Linear(3, 2), torch.nn.CrossEntropyLoss()
    batches = [(torch.ones(4, 3), torch.tensor([0, 1, 0, 1]))]
    with JobExtras(options(tmp_path, "--debug-config", json.dumps(config))) as watching:
        assert not watching.saves_tensors  # nothing is registered yet
        watching.register(model, criterion, torch.amp.GradScaler("cpu", enabled=False))
        assert watching.saves_tensors
        for phase, count in {"train": 3, "valid": 2, "test": 1}.items():
            watching.begin(phase, 7)
            for photos, labels in watching.timed(batches * count, CPU):
                loss = criterion(model(photos), labels)
                watching.mark("Forward")
                if phase == "train":
                    loss.backward()
                    watching.gradients_ready(model)
                    watching.mark("Backward")
        with watching.span("checkpoint"):
            watching.close_tensors()

    found = rows(tmp_path)
    steps = [(r["Phase"], r["Epoch"], r["Step"]) for r in found if r["Type"] == "step"]
    assert steps == [
        *(("train", 7, 0), ("train", 7, 1), ("train", 7, 2)),
        *(("valid", 7, 0), ("valid", 7, 1), ("test", 7, 0)),
    ]
    parts = {r["Phase"]: {"Forward", "Backward"} & set(r) for r in found if r["Type"] == "step"}
    assert parts == {"train": {"Forward", "Backward"}, "valid": {"Forward"}, "test": {"Forward"}}
    spans = [r["Name"] for r in found if r["Type"] == "span"]
    assert spans == ["initialization", "evaluation", "evaluation", "checkpoint"]

    trial = create_trial(str(tmp_path / "debug-output"))
    loss = trial.tensor("CrossEntropyLoss_output_0")
    saved = [loss.steps(mode=mode) for mode in (modes.TRAIN, modes.EVAL, modes.PREDICT)]
    assert saved == [[0, 1, 2], [0, 1], [0]]
    assert trial.tensor("gradient/Linear_weight").steps(mode=modes.TRAIN) == [0, 1, 2]
    assert trial.loaded_all_steps


def test_a_run_that_asks_for_nothing_has_its_steps_recorded(tmp_path):
    model, criterion = torch.nn.Linear(3, 2), torch.nn.CrossEntropyLoss()
    with JobExtras(options(tmp_path)) as watching:
        watching.register(model, criterion, None)
        watching.begin("train", 1)
        for photos, labels in watching.timed([(torch.ones(4, 3), torch.ones(4).long())], CPU):
            criterion(model(photos), labels).backward()
            watching.gradients_ready(model)
        watching.write_scalars({"epoch": 1, "train_loss": 1.0}, 1)
        watching.close_tensors()
    assert not watching.saves_tensors
    assert [row["Type"] for row in rows(tmp_path)] == ["span", "step"]
    assert [file.name for file in tmp_path.iterdir() if file.name != "config"] == [
        "profiler-output"
    ]


def test_what_was_opened_is_closed_where_the_rest_cannot_be(tmp_path, job, capsys):
    (job / "debughookconfig.json").write_text("{")
    watching = JobExtras(options(tmp_path, "--system-metrics", "100"))
    # The error keeps its frames alive: nothing is closed by being forgotten.
    with pytest.raises(ConfigError) as error, watching:
        pytest.fail("the context was entered")
    assert "debughookconfig.json" in str(error.value)
    assert capsys.readouterr().out.startswith("monitor=on")
    assert not processes_with(str(tmp_path))


def test_an_error_in_the_run_closes_everything_and_goes_on(tmp_path):
    with (
        pytest.raises(ZeroDivisionError),
        JobExtras(options(tmp_path, "--system-metrics", "100")) as watching,
    ):
        wait_until(lambda: processes_with(str(tmp_path)))
        for _ in watching.timed([(None, [0])] * 2, CPU):
            watching.mark("Forward")
        raise ZeroDivisionError
    assert not processes_with(str(tmp_path))
    assert [row["Type"] for row in rows(tmp_path)] == ["span", "step", "step"]


@pytest.fixture(scope="module")
def without_debugger(tmp_path_factory):
    """A copy of the source folder in which `debugger/` has been deleted."""
    folder = tmp_path_factory.mktemp("shipped") / "code"
    shutil.copytree(ROOT / "entry_points", folder, ignore=SHIPPED)
    shutil.rmtree(folder / "debugger")
    return folder


def python(folder, *words):
    """Run Python in a folder, as a job does."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SM_")}
    environment.pop("PYTHONPATH", None)
    environment["OMP_NUM_THREADS"] = "1"
    command = [sys.executable, *map(str, words)]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def test_jobs_train_without_the_folder(without_debugger, tmp_path):
    root = write_channels(tmp_path, photos=4)
    words = ["--model", "shufflenet_v2_x0_5", "--weights", "random", "--image-size", "32"]
    words += ["--batch-size", "4", "--epochs", "1", "--feature-views", "1", "--head-epochs", "1"]
    words += [w for name in ("train", "valid", "test") for w in (f"--{name}-dir", root / name)]
    words += ["--model-dir", root / "model", "--output-data-dir", root / "output"]
    done = python(without_debugger, "train.py", *words)
    assert done.returncode == 0, done.stderr
    assert "epoch=1 train_loss=" in done.stdout and "test_accuracy=" in done.stdout
    assert (root / "model" / "model.safetensors").stat().st_size > 1e6
    assert (root / "output" / "history.jsonl").exists()
    assert not (root / "output" / "profiler-output").exists()


# What a script in the folder finds: first on its path, and in its working directory.
FINDS = """
import sys
from importlib.util import find_spec
assert sys.path[0] == ""
for name in ("debugger", "train", "sagemaker"):
    print(name, (spec := find_spec(name)) and spec.origin)
import train
train.main(["--debug-config", '{"HookParameters": {"save_interval": "2"}}'])
"""


def test_without_the_folder_its_options_are_unknown(without_debugger):
    done = python(without_debugger, "-c", FINDS)
    found = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    assert found["debugger"] == "None"
    assert found["train"] == str(without_debugger / "train.py")
    assert done.returncode == 2
    assert "unknown argument --debug-config" in done.stderr


@pytest.mark.parametrize("deleted", [False, True])
def test_nothing_in_the_source_folder_hides_the_sdk(without_debugger, deleted):
    folder = without_debugger if deleted else ROOT / "entry_points"
    done = python(folder, "-c", FINDS.partition("import train")[0])
    origin = dict(line.split(" ", 1) for line in done.stdout.splitlines())["sagemaker"]
    assert "site-packages" in Path(origin).parts
