"""`profiler/rules/base.py`: patience that fits the run, and runs without a GPU."""

import pytest

from debugger_support import minimal
from open_debugger.profiler.recording import Metric, Recording, Series
from open_debugger.profiler.rules.cpu import CPUBottleneck, IOBottleneck
from open_debugger.profiler.rules.gpu import (
    BatchSize,
    GPUMemoryIncrease,
    LoadBalancing,
    LowGPUUtilization,
)

PATIENT = [BatchSize, CPUBottleneck, GPUMemoryIncrease, IOBottleneck, LoadBalancing]
PATIENT += [LowGPUUtilization]
AMONG_CORES = [CPUBottleneck, IOBottleneck]
ON_GPUS = [BatchSize, CPUBottleneck, GPUMemoryIncrease, LoadBalancing, LowGPUUtilization]


def whole(count: int, gpu: float = 90, **members) -> Recording:
    values = [[gpu] * count]
    return minimal.recording(gpus=values, cores=values, io=values, memory=values, **members)


@pytest.mark.parametrize(
    ("count", "patience", "window"),
    [
        (5, 1, 4),
        (6, 1, 5),
        (60, 12, 48),
        (120, 24, 50),
        (1200, 240, 96),
        (4999, 999, 400),
        (5000, 1000, 400),
        (5999, 1000, 499),
        (6000, 1000, 500),
        (43200, 1000, 500),
    ],
)
def test_patience_is_a_fifth_and_a_window_a_tenth_of_a_short_run(count, patience, window):
    finding = LowGPUUtilization().judge(whole(count))
    assert finding.status == "NoIssuesFound"
    assert (finding.parameters["patience"], finding.parameters["window"]) == (patience, window)
    asked = {"patience": 1000, "window": 500}
    used = {"patience": patience, "window": window}
    assert finding.scaled == {name: asked[name] for name in asked if used[name] != asked[name]}
    for name in finding.scaled:
        assert f"{name} from {asked[name]} to {used[name]}" in finding.summary
    assert ("The run is short" in finding.summary) == bool(finding.scaled)


def test_what_is_asked_for_and_fits_is_not_scaled():
    finding = LowGPUUtilization(patience=10, window=20).judge(whole(200))
    assert (finding.parameters["patience"], finding.parameters["window"]) == (10, 20)
    assert finding.scaled == {}


@pytest.mark.parametrize(("first", "patience"), [(0, 20), (10, 20), (30, 35), (60, 65), (97, 95)])
def test_patience_lasts_until_the_training_begins(first, patience):
    steps = minimal.steps([0.5] * 10, start=minimal.START + 0.5 * first)
    finding = LowGPUUtilization().judge(whole(100, steps=steps))
    assert finding.parameters["patience"] == patience


def test_but_not_longer_than_is_asked_for():
    steps = minimal.steps([0.5] * 10, start=minimal.START + 30)
    finding = LowGPUUtilization(patience=15).judge(whole(100, steps=steps))
    assert finding.parameters["patience"] == 15


@pytest.mark.parametrize("rule", PATIENT)
@pytest.mark.parametrize("count", [1, 2, 4])
def test_a_few_samples_say_nothing(rule, count):
    finding = rule().judge(whole(count))
    assert finding.status == "Error"
    assert f"only {count} samples were recorded" in finding.summary


@pytest.mark.parametrize("rule", PATIENT)
def test_five_samples_say_something(rule):
    finding = rule().judge(whole(5))
    assert finding.status == "NoIssuesFound" and finding.datapoints > 0


@pytest.mark.parametrize("rule", ON_GPUS)
def test_a_run_without_a_gpu_has_no_issues_with_one(rule):
    finding = rule().judge(minimal.recording(cores=[[97] * 100], io=[[0] * 100]))
    assert (finding.status, finding.skipped) == ("NoIssuesFound", "No GPU in this run")
    assert finding.summary == "No GPU in this run: there is nothing to look at."


@pytest.mark.parametrize("rule", PATIENT)
def test_without_a_gpu_the_details_have_awss_keys(rule):
    finding = rule().judge(minimal.recording(cores=[[97] * 100], io=[[0] * 100]))
    bottlenecks = {"low_gpu_utilization", "bottlenecks"}
    assert finding.details.keys() == (bottlenecks if rule in AMONG_CORES else set())


@pytest.mark.parametrize("rule", PATIENT)
@pytest.mark.parametrize(
    "members",
    [
        {},
        {"run": {"Device": "NVIDIA T4"}, "cores": [[50] * 100]},
        {"memory": [[50] * 100], "cores": [[50] * 100]},
    ],
)
def test_a_gpu_that_was_not_sampled_is_an_error(rule, members):
    finding = rule().judge(minimal.recording(**members))
    assert finding.status == "Error"
    assert finding.summary.startswith("no GPUUtilization was recorded: profile the job")


@pytest.mark.parametrize("rule", ON_GPUS)
@pytest.mark.parametrize("instance", ["ml.g5.xlarge", "ml.p3.2xlarge"])
@pytest.mark.parametrize("run", [{}, {"Device": "cpu"}])
def test_an_instance_type_makes_no_gpu(rule, instance, run):
    job = minimal.job(instance_type=instance)
    finding = rule().judge(minimal.recording(cores=[[50] * 100], run=run, job=job))
    assert (finding.status, finding.skipped) == ("NoIssuesFound", "No GPU in this run")
    assert f"although it asked for {instance}" in finding.summary


def test_a_series_of_nothing_is_none():
    made = minimal.recording(cores=[[50] * 100])
    empty = Series(minimal.series([]).times, minimal.series([]).values)
    made.system[Metric("algo-1", "gpu", "gpu0", "GPUUtilization")] = empty
    assert "No GPU" in LowGPUUtilization().judge(made).summary


def test_percentages_may_be_at_their_ends():
    rule = LowGPUUtilization(threshold_p95=100, threshold_p5=0)
    assert (rule.threshold_p95, rule.threshold_p5) == (100, 0)


def test_the_longest_series_is_the_one_that_patience_goes_by():
    made = minimal.recording(gpus=[[90] * 50, [90] * 200, [90] * 50], memory=[[20] * 200] * 3)
    assert LowGPUUtilization().judge(made).parameters["patience"] == 40


@pytest.mark.parametrize(
    ("rule", "members", "text"),
    [
        (LowGPUUtilization, {"threshold_p95": 101}, "threshold_p95 101 is no percentage"),
        (LowGPUUtilization, {"threshold_p5": -1}, "threshold_p5 -1 is no percentage"),
        (LowGPUUtilization, {"window": 0}, "window 0 is below 1"),
        (LowGPUUtilization, {"patience": -1}, "patience -1 is below 1"),
        (BatchSize, {"gpu_memory_threshold_p95": 200}, "is no percentage: give 0 to 100"),
        (BatchSize, {"window": 0}, "window 0 is below 1"),
        (CPUBottleneck, {"cpu_threshold": 200}, "cpu_threshold 200 is no percentage"),
        (CPUBottleneck, {"patience": 0}, "patience 0 is below 1"),
        (IOBottleneck, {"io_threshold": -5}, "io_threshold -5 is no percentage"),
        (GPUMemoryIncrease, {"increase": 0}, "increase 0 is not above 0"),
        (GPUMemoryIncrease, {"patience": 0}, "patience 0 is below 1"),
        (LoadBalancing, {"threshold": -0.1}, "threshold -0.1 is below 0"),
        (LoadBalancing, {"patience": 0}, "patience 0 is below 1"),
    ],
)
def test_values_that_a_parameter_cannot_have_are_refused(rule, members, text):
    with pytest.raises(ValueError, match=text):
        rule(**members)
