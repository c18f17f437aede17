"""`profiler/rules/cpu.py`: bottlenecks, on both sides of each threshold."""

import pytest

from debugger_support import minimal
from open_debugger.profiler.recording import Metric
from open_debugger.profiler.rules.cpu import CPUBottleneck, IOBottleneck

N = 100
RULES = {CPUBottleneck: ("cores", 90, "cpu_threshold"), IOBottleneck: ("io", 50, "io_threshold")}


def made(rule, gpu, level, cores: int = 2, **members):
    name = RULES[rule][0]
    return minimal.recording(gpus=[gpu], **{name: [[0] * N] * (cores - 1) + [level]}, **members)


@pytest.fixture(params=RULES)
def rule(request):
    return request.param


@pytest.mark.parametrize(("bad", "is_found"), [(0, 0), (40, 0), (41, 1), (80, 1)])
def test_more_than_half_of_the_samples_must_be_bottlenecks(rule, bad, is_found):
    above = RULES[rule][1] + 1
    both = made(rule, [0] * N, [0] * (N - bad) + [above] * bad)
    finding = rule(patience=20).judge(both)
    assert (finding.status == "IssuesFound") == is_found == finding.triggered
    assert finding.violations == len(finding.details["bottlenecks"]) == bad
    assert finding.datapoints == 80 and finding.details["low_gpu_utilization"] == 80
    assert bool(finding.advice) == is_found
    assert f"In {100 * bad / 80:.0f}% of the samples" in finding.summary
    assert rule(patience=20, threshold=100).judge(both).status == "NoIssuesFound"


@pytest.mark.parametrize(("more", "is_found"), [(-1, 0), (0, 0), (0.1, 1)])
def test_the_core_must_be_above_its_threshold(rule, more, is_found):
    _, level, name = RULES[rule]
    finding = rule(patience=20).judge(made(rule, [0] * N, [level + more] * N))
    assert bool(finding.triggered) == is_found
    other = rule(patience=20, **{name: level + 1}).judge(made(rule, [0] * N, [level + more] * N))
    assert not other.triggered


@pytest.mark.parametrize(("gpu", "is_found"), [(0, 1), (9.9, 1), (10, 0), (95, 0)])
def test_the_gpu_must_be_below_its_threshold(rule, gpu, is_found):
    finding = rule(patience=20).judge(made(rule, [gpu] * N, [99] * N))
    assert bool(finding.triggered) == is_found
    assert finding.details["low_gpu_utilization"] == 80 * is_found
    assert rule(patience=20, gpu_threshold=96).judge(made(rule, [gpu] * N, [99] * N)).triggered


def test_it_must_be_at_the_same_time(rule):
    finding = rule(patience=20).judge(made(rule, [0, 90] * 50, [0, 99] * 50))
    assert finding.violations == 0 and finding.details["low_gpu_utilization"] == 40


def test_samples_before_patience_do_not_count(rule):
    assert not rule(patience=20).judge(made(rule, [0] * 60 + [90] * 40, [99] * N)).triggered
    assert rule(patience=10).judge(made(rule, [0] * 60 + [90] * 40, [99] * N)).triggered


def test_the_details_count_gpus_and_cores(rule):
    name = RULES[rule][0]
    levels = [[99] * N, [99] * N, [0] * N]
    both = minimal.recording(gpus=[[0] * N, [5] * N, [90] * N], **{name: levels})
    finding = rule(patience=20).judge(both)
    first = repr(minimal.START + 10.0)
    assert finding.details["bottlenecks"][first] == {"GPUs": 2, "CPUs": 2}


def test_all_nodes_count_together(rule):
    name, level, _ = RULES[rule]
    both = made(rule, [0] * N, [level + 1] * N)
    for type, each, dimension in (("gpu", "gpu0", "GPUUtilization"), ("cpu", "cpu0", None)):
        dimension = dimension or rule.DIMENSION
        both.system[Metric("algo-2", type, each, dimension)] = minimal.series([90] * N)
    finding = rule(patience=20).judge(both)
    assert (finding.violations, finding.datapoints, finding.triggered) == (80, 160, 0)
    assert name


def test_without_the_cores_there_is_nothing_to_say(rule):
    finding = rule().judge(minimal.recording(gpus=[[0] * N]))
    assert finding.status == "Error" and f"no {rule.DIMENSION} was recorded" in finding.summary


def test_a_run_on_the_processor_has_no_gpu_that_waits_for_it():
    finding = CPUBottleneck(patience=20).judge(minimal.recording(cores=[[99] * N, [51] * N]))
    assert (finding.status, finding.violations, finding.advice) == ("NoIssuesFound", 0, "")
    assert finding.skipped == "No GPU in this run"


@pytest.mark.parametrize(("wait", "is_found"), [(0, False), (50, False), (60, True)])
def test_but_such_a_run_may_wait_for_storage(wait, is_found):
    finding = IOBottleneck(patience=20).judge(minimal.recording(cores=[[9] * N], io=[[wait] * N]))
    assert (finding.status == "IssuesFound") == is_found
    assert "GPU" not in finding.summary


def test_cloudwatchs_one_series_of_all_cores_is_as_good_as_one():
    both = minimal.recording(gpus=[[0] * 30], interval=60)
    total = Metric("algo-1", "cpu", "total", "CPUUtilization")
    both.system[total] = minimal.series([95] * 30, 60)
    finding = CPUBottleneck().judge(both)
    assert finding.triggered and finding.parameters["patience"] == 6


def test_cores_that_were_sampled_a_little_later_count():
    both = minimal.recording(gpus=[[0] * N])
    late = minimal.series([99] * N, start=minimal.START + 0.2)
    both.system[Metric("algo-1", "cpu", "cpu0", "CPUUtilization")] = late
    assert CPUBottleneck(patience=20).judge(both).violations == 80
