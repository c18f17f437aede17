"""`profiler/diagnosis/from_reports.py`: a verdict from the reports of AWS's own rules alone."""

import pytest

from open_debugger.profiler.diagnosis import diagnose
from open_debugger.profiler.recording import Recording


def report(triggered=0, **details):
    return {
        "RuleTriggered": triggered,
        "Violations": triggered,
        "Datapoints": 100,
        "Details": details,
        "RuleParameters": "",
    }


def usage(p50, p95):
    figures = {"max": 99.0, "p99": 95.0, "p95": p95, "p50": p50, "min": 0}
    return {"algo-1": figures}


def reports(gpu=(0, 6.0), workers=0, cores=4, **others):
    times = {"p25": 5.0, "p50": 5.9, "p95": 7.8}
    return {
        "OverallSystemUsage": report(GPU=usage(*gpu), CPU=usage(58.0, 90.0)),
        "Dataloader": report(num_workers=workers, cores=cores, dataloading_time=times),
        **others,
    }


def verdict(found):
    return diagnose(Recording("made", managed=found))


def test_an_idle_gpu_and_no_loader_processes():
    found = verdict(reports())
    assert (found.limit, found.gain) == ("data", None)
    assert found.evidence == (
        "By the reports of AWS's own rules: GPU utilization: median 0%, p95 6%; CPU: median "
        "58%, p95 90%; 0 loader workers on 4 cores; a batch took 5.9 s at the median."
    )
    assert "num_workers: 4" in found.change


@pytest.mark.parametrize(
    ("gpu", "workers", "others", "limit"),
    [
        ((9.9, 60), 2, {}, "data"),
        ((10, 60), 2, {}, "unknown"),
        ((69.9, 99), 0, {}, "unknown"),
        ((70, 99), 0, {}, "compute"),
        ((0, 6), 3, {"CPUBottleneck": report(1)}, "cpu"),
        ((0, 6), 3, {"CPUBottleneck": report(0)}, "unknown"),
        ((0, 6), 3, {"CPUBottleneck": report(1), "IOBottleneck": report(1)}, "io"),
    ],
)
def test_the_first_that_holds(gpu, workers, others, limit):
    assert verdict(reports(gpu, workers, **others)).limit == limit


def test_on_one_core_the_training_process_is_loader_enough():
    assert verdict(reports(workers=0, cores=1)).limit == "unknown"


@pytest.mark.parametrize(
    "found",
    [
        {},
        {"Dataloader": reports()["Dataloader"]},
        {"OverallSystemUsage": report(CPU=usage(1, 2))},
        {"OverallSystemUsage": report(GPU={}, CPU=[])},
        {"OverallSystemUsage": report(GPU={"algo-1": {"p50": "0", "p95": 1}})},
    ],
)
def test_where_they_do_not_tell_nothing_is_said(found):
    assert verdict(found).limit == "unknown"


def test_figures_that_name_no_limit_are_told_and_never_called_too_little():
    found = verdict(reports(gpu=(40, 60.0), workers=4))
    assert found.what == "AWS's own rules do not say what limited this run."
    assert "GPU utilization: median 40%, p95 60%; CPU: median 58%" in found.evidence
    assert "triggered" not in found.evidence


def test_a_run_on_a_processor_is_told_by_what_aws_measured():
    usage_table = report(Network={}, GPU={}, CPU=usage(58.0, 90.0))
    found = verdict({"OverallSystemUsage": usage_table, "LowGPUUtilization": report()})
    assert found.evidence == (
        "By the reports of AWS's own rules: CPU: median 58%, p95 90%; in 100 data points no rule "
        "triggered."
    )


@pytest.mark.parametrize(
    ("triggered", "limit"),
    [
        ({}, "unknown"),
        ({"Dataloader": 1}, "unknown"),  # nothing says that a GPU was idle
        ({"LowGPUUtilization": 22}, "unknown"),
        ({"LowGPUUtilization": 22, "Dataloader": 1}, "data"),
        ({"LowGPUUtilization": 22, "CPUBottleneck": 12}, "cpu"),
        ({"CPUBottleneck": 12}, "cpu"),
        ({"CPUBottleneck": 12, "IOBottleneck": 1}, "io"),
    ],
)
def test_reports_without_any_details_are_read_by_their_counts(triggered, limit):
    rules = ("CPUBottleneck", "Dataloader", "IOBottleneck", "LowGPUUtilization")
    found = verdict({rule: report(triggered.get(rule, 0)) for rule in rules})
    assert found.limit == limit and "Too little" not in found.what
    told = ", ".join(f"{rule} {triggered[rule]} times" for rule in rules if rule in triggered)
    assert f"in 100 data points {told or 'no rule'} triggered." in found.evidence


def test_what_a_report_lacks_is_left_out():
    found = {**reports(), "Dataloader": report(num_workers=0, cores=4, dataloading_time=[])}
    found["OverallSystemUsage"] = report(GPU=usage(0, 6))
    assert verdict(found).evidence == (
        "By the reports of AWS's own rules: GPU utilization: median 0%, p95 6%; 0 loader "
        "workers on 4 cores."
    )
