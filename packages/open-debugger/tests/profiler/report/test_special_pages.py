"""The report of special recordings in a browser: long ones, failed ones, and such as lack parts."""

import re

import numpy as np
import pytest

from debugger_support import recordings
from debugger_support.browser import opening
from open_debugger.profiler import report
from open_debugger.profiler.findings import Diagnosis, Finding
from open_debugger.profiler.recording import PARTS, Job, Metric, Recording

DATA = Diagnosis(
    "data", "The GPU waited for data.", "It waited for 78% of a step.", "Wait less.", 0.58
)
FOUND = [Finding("Outlier", "StepOutlier", "Error", "too few steps")]


def test_a_spike_survives_in_a_long_recording_of_many_cores_and_gaps_stay_open(browser, tmp_path):
    recording = recordings.make("healthy", seconds=1800, cores=9)
    metric = Metric("algo-1", "gpu", "gpu0", "GPUUtilization")
    series = recording.system[metric]
    series.values[:] = 50
    series.values[3321] = 100
    keep = (series.times < recording.start + 500) | (series.times > recording.start + 1000)
    recording.system[metric] = type(series)(series.times[keep], series.values[keep])
    file = report.write(recording, [], DATA, tmp_path / "long.html")
    assert file.stat().st_size < 6_000_000
    with opening(browser, file) as opened:
        drawn = opened.data("gpu")
        band, line = drawn["gpu0", "band"], drawn["gpu0", "value"]
        assert max(y for y in band["y"] if y is not None) == 100
        highest = max(range(len(line["x"])), key=lambda i: line["customdata"][i][1] or 0)
        assert line["x"][highest] == pytest.approx(3321 / 2, abs=4)
        assert [y for y in line["y"] if y is None] == [None] and not line["connectgaps"]
        inside = [x for x, y in zip(band["x"], band["y"], strict=True) if y is not None]
        assert not any(501 < x < 999 for x in inside)
        heat = opened.data("cpu-map")[None, "heat"]
        assert heat["y"] == [f"cpu{n}" for n in range(9)]
        values = recording.select("cpu", "CPUUtilization")["cpu7"].values
        assert np.mean(heat["z"][7]) == pytest.approx(values.mean(), abs=0.1)
        rows = opened.csv("timelines")
        spike = rows[rows["series"] == "gpu0"].groupby("chart")["max"].max()
        assert spike["GPU utilization"] == 100


def no_steps():
    recording = recordings.make("starved", seconds=30)
    empty = Recording("x")
    recording.steps, recording.spans, recording.operators = (
        empty.steps,
        empty.spans,
        empty.operators,
    )
    return recording


def no_system():
    recording = recordings.make("starved", seconds=30)
    recording.system = {}
    return recording


def unknown():
    recording = recordings.make("starved", seconds=30)
    recording.steps[[*PARTS, "images", "epoch"]] = np.nan
    for series in recording.system.values():
        series.values[:] = np.nan
    recording.steps.loc[recording.steps.index[3], "seconds"] = np.nan
    return recording


CASES = {
    "empty": (lambda: Recording("/home/x/nothing"), "Nothing was recorded that could be drawn"),
    "no steps": (no_steps, "torch.profiler"),
    "no system": (no_system, "No system metrics (CPU, GPU, memory, disk, network) were recorded."),
    "three seconds": (lambda: recordings.make("cpu_data", seconds=3), "No GPU in this run."),
    "only NaN": (unknown, "The parts of a step were not measured"),
}


@pytest.mark.parametrize("case", CASES)
def test_whatever_is_missing_the_report_opens_and_says_so(browser, tmp_path, case):
    make, said = CASES[case]
    with opening(browser, report.write(make(), FOUND, DATA, tmp_path / "r.html"), 390) as opened:
        text = opened.page.locator("body").inner_text()
        assert said in text
        assert not re.search(r"\b(nan|NaN|None|undefined|/home)\b", text)
        assert opened.page.evaluate("document.documentElement.scrollWidth") <= 390
        assert opened.page.locator("html").get_attribute("data-ready") == ""


def test_a_failed_job_says_why_and_nothing_of_it_is_run(browser, tmp_path):
    evil = '</script><script>alert(1)</script><img src=x onerror="alert(2)">'
    recording = recordings.make("three_seconds")
    recording.job = Job(evil, "Failed", "ml.<b>", failure=f"AlgorithmError: {evil}")
    recording.notes, recording.source = [evil], f"s3://{evil}"
    recording.operators.loc[0, "name"] = evil
    recording.run["Model"] = recording.loaders[0]["Name"] = evil
    recording.managed = {evil: {"RuleTriggered": 1, "RuleParameters": evil}}
    recording.spans.loc[0, "name"] = evil
    recording.system = {m._replace(node=evil): s for m, s in recording.system.items()}
    recording.system |= {
        m._replace(node="algo-2"): s for m, s in list(recording.system.items())[:3]
    }
    finding = Finding(
        evil, evil, evil, evil, evil, {evil: evil}, {evil: evil}, details={evil: evil}
    )
    diagnosis = Diagnosis(evil, evil, evil, evil, 0.5)
    with opening(
        browser, report.write(recording, [finding], diagnosis, tmp_path / "r.html")
    ) as opened:
        text = opened.page.locator("body").inner_text()
        assert text.count("alert(1)") > 10 and f"AlgorithmError: {evil}" in text
        assert opened.page.locator("img").count() == 0
        assert opened.page.locator(".verdict.bad").count() == 1
