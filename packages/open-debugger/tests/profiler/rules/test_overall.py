"""`profiler/rules/overall.py`: the tables of the system and of the loop."""

import numpy as np
import pandas as pd
import pytest

from debugger_support import minimal
from open_debugger.profiler.recording import OPERATOR_COLUMNS, SPAN_COLUMNS, Metric, Recording
from open_debugger.profiler.rules.overall import OverallFrameworkMetrics, OverallSystemUsage


def test_the_tables_of_the_system_are_awss():
    made = minimal.recording(
        gpus=[[10] * 101, [30] * 101],
        cores=[range(101), [50] * 101],
        io=[[4] * 101, [0] * 101],
        memory=[[7] * 101],
    )
    for name, type, dimension, value in (
        ("memory", "memory", "MemoryUsedPercent", 25),
        ("Algorithm", "network", "ReceiveBytesPerSecond", 1000),
        ("Platform", "network", "TransmitBytesPerSecond", 500),
    ):
        made.system[Metric("algo-1", type, name, dimension)] = minimal.series([value] * 101)
    finding = OverallSystemUsage().judge(made)
    details = finding.details
    assert (finding.status, finding.violations, finding.datapoints) == ("NoIssuesFound", 0, 101)
    assert list(details) == ["Network", "GPU", "CPU", "CPU memory", "GPU memory", "I/O"]
    medians = {table: nodes["algo-1"]["p50"] for table, nodes in details.items()}
    assert medians == dict(zip(details, [1500, 20, 50, 25, 7, 2], strict=True))
    cpu = {"mean": 50, "max": 75, "p99": 74.5, "p95": 72.5, "p50": 50, "min": 25}
    assert details["CPU"]["algo-1"] == pytest.approx(cpu)
    assert "CPU: median 50%, p95 72%" in finding.summary and "Network" not in finding.summary


def test_what_was_not_recorded_has_an_empty_table_as_awss_and_nothing_is_an_error():
    finding = OverallSystemUsage().judge(minimal.recording(cores=[[50] * 9], nodes=("a", "b")))
    thirds = minimal.recording(cores=[[100 / 3] * 9])
    assert OverallSystemUsage().judge(thirds).details["CPU"]["algo-1"]["p50"] == 33.33
    assert list(finding.details) == ["Network", "GPU", "CPU", "CPU memory", "GPU memory", "I/O"]
    assert set(finding.details.pop("CPU")) == {"a", "b"} and not any(finding.details.values())
    assert finding.summary == "CPU: median 50%, p95 50%."
    finding = OverallSystemUsage().judge(Recording(""))
    assert finding.status == "Error" and "no system metrics were recorded" in finding.summary


def test_series_of_different_length_are_put_together_where_both_are():
    made = minimal.recording(cores=[[10] * 100])
    made.system[Metric("algo-1", "cpu", "cpu1", "CPUUtilization")] = minimal.series([50] * 20)
    figures = OverallSystemUsage().judge(made).details["CPU"]["algo-1"]
    assert (figures["max"], figures["min"]) == (30, 10)


def framework() -> Recording:
    train = minimal.steps([0.5] * 100, data=0.2, forward=0.3, backward=0.4)
    valid = minimal.steps([0.5] * 40, phase="valid", start=minimal.START + 50, data=0.9)
    spans = [("algo-1", 0, "evaluation", minimal.START + 50, 20.0)]
    spans += [("algo-1", 0, "checkpoint", minimal.START + 70, 5.0)] * 2
    operators = [("conv", 10, 1.0, 6.0, 0.7), ("add", 5, 1.0, 2.0, 0.3)]
    made = Recording("", steps=pd.concat([train, valid], ignore_index=True))
    made.spans = pd.DataFrame(spans, columns=list(SPAN_COLUMNS))
    made.operators = pd.DataFrame(operators, columns=list(OPERATOR_COLUMNS))
    made.system = minimal.recording(cores=[[1] * 201]).system  # 100 s
    return made


def test_the_tables_of_the_loop_are_awss():
    finding = OverallFrameworkMetrics().judge(framework())
    details = finding.details
    assert (finding.status, finding.violations, finding.datapoints) == ("NoIssuesFound", 0, 140)
    phases = {"Step:ModeKeys.TRAIN": 50, "Step:ModeKeys.EVAL": 20, "others": 30}
    assert details["phase"] == pytest.approx(phases)
    assert details["phase_time"] == {"evaluation": 20, "checkpoint": 10}
    general = {"Data": 20, "Forward": 30, "Backward": 40}
    assert details["general"] == pytest.approx(general)
    assert details["ratio"] == {"cpu_functions": 20, "gpu_functions-dev:0": 80}
    assert details["GPU"] == {"conv": 75, "add": 25} and details["CPU"] == {"conv": 50, "add": 50}
    assert details["GPU_total"] == {"conv": 6_000_000, "add": 2_000_000}
    assert finding.summary == (
        "Of the run: training steps 50%, evaluation steps 20%, the rest 30%. Of a training step: "
        "the wait for data 20%, the forward pass 30%, the backward pass 40%."
    )


def test_phases_are_of_one_processes_time():
    made = framework()
    twin = made.steps.assign(rank=1)
    made.steps = pd.concat([made.steps, twin], ignore_index=True)
    phases = OverallFrameworkMetrics().judge(made).details["phase"]
    assert phases["Step:ModeKeys.TRAIN"] == pytest.approx(50)


def test_the_loop_on_a_processor_has_no_device_times():
    made = framework()
    made.operators["device_seconds"] = 0.0
    details = OverallFrameworkMetrics().judge(made).details
    assert details["ratio"] == {"cpu_functions": 100} and details["GPU"] == {}


def test_five_operators_are_told():
    made = framework()
    rows = [(f"op{index}", 1, float(index), 0.0, 0.0) for index in range(9)]
    made.operators = pd.DataFrame(rows, columns=list(OPERATOR_COLUMNS))
    assert list(OverallFrameworkMetrics().judge(made).details["CPU"]) == [
        "op8",
        "op7",
        "op6",
        "op5",
        "op4",
    ]


def test_operators_alone_are_something_and_nothing_is_an_error():
    made = framework()
    made.steps = made.steps[:0]
    finding = OverallFrameworkMetrics().judge(made)
    assert finding.status == "NoIssuesFound" and finding.summary == "2 operators."
    made.operators = made.operators[:0]
    finding = OverallFrameworkMetrics().judge(made)
    assert finding.status == "Error" and "no step times were recorded" in finding.summary


def test_without_operators_the_keys_are_the_same():
    made = framework()
    with_operators = OverallFrameworkMetrics().judge(made).details
    made.operators = made.operators[:0]
    details = OverallFrameworkMetrics().judge(made).details
    assert details.keys() == with_operators.keys() and details["ratio"] == {}


def test_parts_that_were_not_measured_are_not_told():
    made = framework()
    made.steps["backward"] = np.nan
    assert "Backward" not in OverallFrameworkMetrics().judge(made).details["general"]
