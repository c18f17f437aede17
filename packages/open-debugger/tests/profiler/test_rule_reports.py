"""`profiler/rule_reports.py`: findings as files in AWS's form."""

import json

import numpy as np
import pytest

from debugger_support.recordings import SCENES, make
from open_debugger.profiler.catalogue import PROFILER_RULES
from open_debugger.profiler.evaluation import evaluate
from open_debugger.profiler.findings import Finding
from open_debugger.profiler.rule_reports import report, write

PARAMETERS = {
    "CPUBottleneck": "threshold:50\ncpu_threshold:90\ngpu_threshold:10\npatience:120",
    "StepOutlier": "threshold:None\nmode:None\nn_outliers:10\nstddev:3",
    "Dataloader": "min_threshold:70\nmax_threshold:200",
    "LoadBalancing": "threshold:0.2\npatience:120",
    "OverallSystemUsage": "",
}


def no_constants(text: str):
    raise ValueError(text)


@pytest.mark.parametrize("name", SCENES)
def test_each_rule_has_its_file_in_awss_form(tmp_path, name):
    made = make(name, seconds=300.0 if name != "three_seconds" else 3.0)
    paths = write(evaluate(made, ["ProfilerReport"]), tmp_path / "profiler-reports")
    assert {path.stem for path in paths} == set(PROFILER_RULES)
    assert set(paths) == set((tmp_path / "profiler-reports").iterdir())
    for path in paths:
        whole = json.loads(path.read_text(), parse_constant=no_constants)
        assert list(whole)[:5] == [
            "RuleTriggered",
            "Violations",
            "Details",
            "Datapoints",
            "RuleParameters",
        ]
        assert isinstance(whole["Details"], dict) and isinstance(whole["Violations"], int)


def test_the_rules_parameters_are_lines(tmp_path):
    write(evaluate(make("healthy", seconds=300)), tmp_path)
    for rule, text in PARAMETERS.items():
        assert json.loads((tmp_path / f"{rule}.json").read_text())["RuleParameters"] == text


def test_besides_it_has_what_we_say():
    finding = Finding("a", "Dataloader", "IssuesFound", "few", "more", scaled={"patience": 1000})
    whole = report(finding)
    assert (whole["RuleStatus"], whole["Summary"], whole["Advice"]) == (
        "IssuesFound",
        "few",
        "more",
    )
    assert whole["ScaledParameters"] == {"patience": 1000}


def test_json_has_neither_nan_nor_numpy(tmp_path):
    details = {"a": [np.nan, np.inf, 1.5], 1: np.float64(2), "b": {"c": (np.int64(3), np.bool_(1))}}
    (path,) = write([Finding("a", "CPUBottleneck", "Error", "x", details=details)], tmp_path)
    whole = json.loads(path.read_text(), parse_constant=no_constants)
    assert whole["Details"] == {"a": [None, None, 1.5], "1": 2, "b": {"c": [3, True]}}


def test_a_second_finding_of_a_rule_is_called_by_its_name(tmp_path):
    rules = [Finding(name, "Dataloader", "Error", "") for name in ("Dataloader", "Mine")]
    assert [path.name for path in write(rules, tmp_path)] == ["Dataloader.json", "Mine.json"]


def test_a_name_does_not_lead_out_of_the_folder(tmp_path):
    folder = tmp_path / "inner"
    (path,) = write([Finding("../../x", "../../x", "Error", "")], folder)
    assert path.parent == folder and path.exists()
