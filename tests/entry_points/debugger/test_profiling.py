"""`entry_points/debugger/profiling.py`: what is recorded when, and what a run says about it."""

import json
import os
from argparse import Namespace

import pytest
import torch

from debugger import profiling
from debugger_support.processes import processes_with, wait_until
from distributed import World, cpu_count


@pytest.fixture(autouse=True)
def job(tmp_path, monkeypatch):
    """A job's configuration folder, empty; no torchrun, no SageMaker."""
    for name in ("RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "SM_CURRENT_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("SMPROFILER_CONFIG_PATH", raising=False)
    monkeypatch.setenv("SM_INPUT_CONFIG_DIR", str(tmp_path / "config"))
    (tmp_path / "config").mkdir()
    return tmp_path / "config"


def options(folder, **changes):
    return Namespace(
        **{
            "system_metrics": None,
            "profile_steps": 0,
            "output_data_dir": folder,
            "epochs": 1,
            **changes,
        }
    )


def system(folder):
    return list(folder.glob("profiler-output/system/incremental/*/*.json"))


def test_step_times_alone_need_no_sampler(tmp_path, capsys):
    with profiling.profiled(options(tmp_path)) as steps:
        steps.about("run", Model="resnet18")
        assert not processes_with(str(tmp_path))
        assert steps.trace is None
    (file,) = tmp_path.glob("profiler-output/framework/steps/*/*.algo-1-0.json")
    assert json.loads(file.read_text())["Model"] == "resnet18"
    assert system(tmp_path) == []
    assert capsys.readouterr().out == ""


def test_a_monitored_job_is_sampled_by_its_nodes_name(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SM_CURRENT_HOST", "algo-2")
    old = tmp_path / "profiler-output/system/incremental/1970010100/0.algo-2.json"
    old.parent.mkdir(parents=True)
    old.write_text("an earlier attempt's")
    kept = old.with_name("0.algo-1.json")
    kept.write_text("another machine's")
    with profiling.profiled(options(tmp_path, system_metrics=100)):
        wait_until(lambda: len(system(tmp_path)) > 1)
        (process,) = processes_with(str(tmp_path))
        assert process.cmdline()[-6:] == [
            *("--node", "algo-2", "--pid", str(os.getpid()), "--interval-ms", "100")
        ]
    assert not processes_with(str(tmp_path))
    assert not old.exists() and kept.exists()
    assert capsys.readouterr().out.startswith("monitor=on metrics=")


def test_of_several_processes_the_first_samples_them_all(tmp_path, monkeypatch):
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_RANK", "0")
    with profiling.profiled(options(tmp_path, system_metrics=100)):
        (process,) = processes_with(str(tmp_path))
        assert f"--pid {os.getppid()} " in " ".join(process.cmdline())
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setenv("RANK", "3")
    with profiling.profiled(options(tmp_path, system_metrics=100, profile_steps=2)) as steps:
        assert not processes_with(str(tmp_path))
        assert steps.trace is None
        steps.about("run")
    assert list(tmp_path.glob("profiler-output/framework/steps/*/*.algo-1-3.json"))


def test_what_sagemaker_samples_is_not_sampled_twice(tmp_path, job, capsys):
    managed = tmp_path / "managed"
    config = {"S3OutputPath": "s3://b/p", "LocalPath": str(managed)}
    (job / "profilerconfig.json").write_text(json.dumps(config))
    theirs = managed / "system/incremental/1970010100/0.algo-1.json"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("SageMaker's")
    with profiling.profiled(options(tmp_path / "out", system_metrics=100)) as steps:
        assert not processes_with(str(managed))
        steps.about("run")
    assert theirs.exists() and list(managed.glob("framework/steps/*/*.json"))
    (line,) = capsys.readouterr().out.splitlines()
    assert line == "monitor=off: SageMaker samples this job already (its ProfilerConfig)"


@pytest.mark.parametrize("asked", [{}, {"system_metrics": 500}, {"profile_steps": 3}])
def test_without_a_folder_nothing_is_recorded_and_only_what_was_asked_for_is_missed(capsys, asked):
    with profiling.profiled(options(None, **asked)) as steps:
        steps.about("run")
    said = "profiler=off: there is no folder for it: give --output-data-dir\n" if asked else ""
    assert capsys.readouterr().out == said


def test_a_run_that_fails_is_recorded_and_fails(tmp_path):
    with (
        pytest.raises(ZeroDivisionError),
        profiling.profiled(options(tmp_path, system_metrics=100)) as steps,
    ):
        steps.about("run")
        raise ZeroDivisionError
    assert list(tmp_path.glob("profiler-output/framework/steps/*/*.json"))
    assert not processes_with(str(tmp_path))


def test_loaders_and_run_are_described(tmp_path):
    class Data(list):
        cached = True

    loader = torch.utils.data.DataLoader(Data([1] * 7), batch_size=4, num_workers=2)
    names = {"model": "vgg16", "batch_size": 4, "image_size": 64, "optimizer": "sgd"}
    arguments = options(tmp_path, **names, train_layers="head")
    with profiling.profiled(arguments) as steps:
        profiling.describe(steps, arguments, World(precision="bf16"), {"valid": loader})
    (file,) = tmp_path.glob("profiler-output/framework/steps/*/*.json")
    run, line = (json.loads(line) for line in file.read_text().splitlines())
    for each in (run, line):
        assert each.pop("Timestamp") > 0
        assert (each.pop("NodeId"), each.pop("Rank")) == ("algo-1", 0)
    assert run == {
        "Type": "run", "Model": "vgg16", "Device": "cpu", "Precision": "bf16",
        "Threads": torch.get_num_threads(), "BatchSize": 4, "ImageSize": 64, "Epochs": 1,
        "Optimizer": "sgd", "TrainLayers": "head",
    }  # fmt: skip
    assert line == {
        "Type": "loader", "Name": "valid", "Workers": 2, "PinMemory": False, "BatchSize": 4,
        "Cores": cpu_count(), "Photos": 7, "Cached": True,
    }  # fmt: skip
