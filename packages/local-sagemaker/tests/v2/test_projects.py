"""Seven small projects in the style of 2020 to 2023, run as they are, not one line changed."""

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROJECTS = Path(__file__).parent / "projects"
ENGINE = os.environ["LOCAL_SAGEMAKER_COMMAND"]


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """Runs a project's driver on an engine of its own; returns what it printed."""

    def run(name: str) -> str:
        folder = tmp_path_factory.mktemp("projects") / name
        shutil.copytree(PROJECTS / name, folder)
        done = subprocess.run(
            [ENGINE, "run", "--", sys.executable, "driver.py"],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert done.returncode == 0, done.stdout[-6000:]
        return done.stdout

    return run


def told(text: str, word: str) -> str:
    """What a driver printed after `word` at the beginning of a line."""
    return re.findall(rf"(?m)^{word} (.*)$", text)[-1]


def test_tune_train_with_debugger_deploy_and_ask(ran):
    text = ran("tune_and_debug")
    assert told(text, "role").startswith("arn:aws:iam::123456789012:role/local-sagemaker bucket")
    assert re.search(r"Testing Loss: \d", text)  # the job's log reached the driver
    assert re.fullmatch(r"pytorch-training-\d+-\d+-00[12]-\w+", told(text, "best job"))
    assert {"lr", "batch-size"} <= set(ast.literal_eval(told(text, "best hyperparameters")))
    assert told(text, "status") == "Completed"
    rules = dict(line.split() for line in re.findall(r"(?m)^rule (.*)$", text))
    # Three steps a mode on whatever machine: what that is, is for these rules to say.
    for name in ("Overfit", "LowGPUUtilization", "ProfilerReport"):
        assert rules.pop(name) in {"NoIssuesFound", "IssuesFound"}
    assert rules == {
        "VanishingGradient": "NoIssuesFound",
        "Overtraining": "NoIssuesFound",
        "PoorWeightInitialization": "NoIssuesFound",
    }
    assert int(told(text, "tensors")) > 2
    assert int(told(text, "train steps")) >= 2 and int(told(text, "eval steps")) >= 1
    assert told(text, "scores") in {"3 best 0", "3 best 1", "3 best 2"}
    assert told(text, "endpoints left") == "[]"


def test_objectives_reported_through_logging_without_configuration(ran):
    text = ran("logging_only")
    assert told(text, "reported") == "3"
    assert 0 < float(told(text, "lowest")) < 2
    assert told(text, "best") == "True"


def test_a_registered_hook_alone_records_the_loss(ran):
    text = ran("register_hook_only")
    assert told(text, "path").endswith("/debug-output")
    assert ast.literal_eval(told(text, "losses")) == ["CrossEntropyLoss_output_0"]
    assert ast.literal_eval(told(text, "steps")) == [0, 5, 10, 15, 20]
    assert told(text, "falls") == "True"
    assert "'RuleConfigurationName': 'LossNotDecreasing'" in text


def test_a_script_of_its_time_that_knows_nothing_of_debugger(ran):
    text = ran("old_habits")
    assert ast.literal_eval(told(text, "losses")) == ["nll_loss_output_0"]
    assert ast.literal_eval(told(text, "steps")) == [0, 5, 10, 15, 20]
    assert "best loss" in text and "rule LossNotDecreasing Error" not in text


def test_paths_of_the_container_written_into_the_script(ran):
    text = ran("hard_coded_paths")
    assert ast.literal_eval(told(text, "model")) == {
        "name": "triple",
        "sum": 198.0,
        "host": "algo-1",
    }
    assert "history.csv" in told(text, "output")


def test_a_pickled_model_in_an_old_image(ran):
    text = ran("pickled_model")
    ((dark, light),) = ast.literal_eval(told(text, "jpeg"))
    assert dark == pytest.approx(3 * 200 / 255, abs=0.05) and light == pytest.approx(dark + 1)
    assert ast.literal_eval(told(text, "json")) == [[0.0, 1.0]]


def test_two_instances_train_together(ran):
    text = ran("two_instances")
    assert ast.literal_eval(told(text, "result").replace("true", "True")) == {
        "hosts": ["algo-1", "algo-2"],
        "same": True,
        "learned": True,
    }
    assert "'gloo' backend on 2 nodes. Current host rank is 1" in text
