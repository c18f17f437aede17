"""`profiler/reading/cloudwatch.py`: what CloudWatch has of a job."""

import time
from datetime import UTC, datetime

import pytest

from debugger_support.services import unique
from open_debugger.profiler.reading.cloudwatch import NAMESPACE, read
from open_debugger.profiler.recording import Metric, RecordingError

NOW = time.time() // 60 * 60
START = NOW - 3600
LEVELS = {
    "CPUUtilization": 180.0,
    "MemoryUtilization": 40.0,
    "GPUUtilization": 120.0,
    "GPUMemoryUtilization": 60.0,
    "DiskUtilization": 5.0,
}


def put(aws, job, levels, minutes, node="algo-1", start=START):
    """One value a minute of each metric, which rises by one."""
    for name, level in levels.items():
        data = [
            {
                "MetricName": name,
                "Dimensions": [{"Name": "Host", "Value": f"{job}/{node}"}],
                "Timestamp": datetime.fromtimestamp(start + 60 * minute, UTC),
                "Value": level + minute,
                "Unit": "Percent",
            }
            for minute in range(minutes)
        ]
        aws.cloudwatch.put_metric_data(Namespace=NAMESPACE, MetricData=data)


def test_what_cloudwatch_has_is_a_recording(aws):
    job = unique()
    put(aws, job, LEVELS, 3)
    put(aws, f"{job}-other", {"CPUUtilization": 1.0}, 3)
    found = read(job, aws.cloudwatch, START)
    assert list(found.system) == [
        Metric("algo-1", "cpu", "total", "CPUUtilization"),
        Metric("algo-1", "memory", "memory", "MemoryUsedPercent"),
        Metric("algo-1", "gpu", "total", "GPUUtilization"),
        Metric("algo-1", "gpu", "total", "GPUMemoryUtilization"),
        Metric("algo-1", "disk", "disk", "DiskUtilization"),
    ]
    for series, level in zip(found.system.values(), LEVELS.values(), strict=True):
        assert series.times.tolist() == [START, START + 60, START + 120]
        assert series.values.tolist() == [level, level + 1, level + 2]
    assert found.notes == [
        "CloudWatch has one value in 60 s: what is shorter than that cannot be seen.",
        "Single cores, I/O waits, disk and network traffic and steps are not in CloudWatch.",
        "CPUUtilization, GPUMemoryUtilization, GPUUtilization are sums over all cores or GPUs, "
        "not percent of one.",
    ]
    assert found.interval == 60
    assert job in found.source


def test_with_the_number_of_cores_and_gpus_the_sums_are_means(aws):
    job = unique()
    put(aws, job, LEVELS, 2)
    found = read(job, aws.cloudwatch, START, cores=4, gpus=2)
    assert found.select("cpu", "CPUUtilization")["mean"].values.tolist() == [45.0, 45.25]
    assert found.select("gpu", "GPUUtilization")["mean"].values.tolist() == [60.0, 60.5]
    assert found.select("gpu", "GPUMemoryUtilization")["mean"].values.tolist() == [30.0, 30.5]
    assert found.select("memory", "MemoryUsedPercent")["memory"].values.tolist() == [40.0, 41.0]
    assert len(found.notes) == 2
    notes = read(job, aws.cloudwatch, START, cores=4).notes
    assert notes[2].startswith("GPUMemoryUtilization, GPUUtilization are sums")


def test_a_job_without_gpus_has_none(aws):
    """And what is not given is looked for in the last fifteen days."""
    job = unique()
    put(aws, job, {"CPUUtilization": 50.0}, 1, start=START - 14 * 86400)
    found = read(job, aws.cloudwatch)
    assert found.gpus == []
    assert len(found.system) == 1


def test_all_nodes_of_a_job_are_read(aws):
    job = unique()
    put(aws, job, {"CPUUtilization": 50.0}, 2)
    put(aws, job, {"CPUUtilization": 70.0}, 2, node="algo-2")
    found = read(job, aws.cloudwatch, START)
    values = {name: s.values.tolist() for name, s in found.select("cpu", "CPUUtilization").items()}
    assert values == {"algo-1/total": [50, 51], "algo-2/total": [70, 71]}


def test_only_what_lies_between_start_and_end_is_read(aws):
    job = unique()
    put(aws, job, {"CPUUtilization": 0.0}, 10)
    found = read(job, aws.cloudwatch, START + 125, START + 300)
    (series,) = found.system.values()
    assert series.values.tolist() == [2.0, 3.0, 4.0]


def test_values_of_weeks_ago_come_in_coarser_periods(aws):
    """What is older than 15 days is kept by five minutes, then by the hour."""
    for days, period in ((14, 60), (20, 300), (90, 3600)):
        job, start = unique(), (NOW - days * 86400) // 3600 * 3600
        put(aws, job, {"CPUUtilization": 0.0}, 10, start=start)
        found = read(job, aws.cloudwatch, start, start + 3600)
        assert found.notes[0].startswith(f"CloudWatch has one value in {period} s")
        (series,) = found.system.values()
        assert len(series.times) == max(1, 600 // period)
        assert series.values[0] == pytest.approx(min(period // 60, 10) / 2 - 0.5)


@pytest.mark.usefixtures("reached")
def test_a_job_that_cloudwatch_does_not_know_is_an_error():
    with pytest.raises(
        RecordingError, match=r"no metrics of no-job in /aws/sage.* \d{4}-.* UTC and"
    ):
        read("no-job", start=NOW - 3600)
