"""What CloudWatch keeps of every training job, profiled or not: one value a minute and metric.

SageMaker publishes them in the namespace /aws/sagemaker/TrainingJobs with the dimension Host =
``<job>/<node>``; CPUUtilization, GPUUtilization and GPUMemoryUtilization are sums over the cores
and the GPUs of an instance (four cores: 0 to 400%), MemoryUtilization and DiskUtilization are of
the whole instance ("Amazon SageMaker AI metrics in Amazon CloudWatch").
"""

from __future__ import annotations

import time
from collections import defaultdict

import boto3
import numpy as np

from open_debugger.profiler.recording import Metric, Recording, RecordingError, Series

NAMESPACE = "/aws/sagemaker/TrainingJobs"
METRICS = {  # CloudWatch's name -> ours
    "CPUUtilization": ("cpu", "total", "CPUUtilization"),
    "MemoryUtilization": ("memory", "memory", "MemoryUsedPercent"),
    "GPUUtilization": ("gpu", "total", "GPUUtilization"),
    "GPUMemoryUtilization": ("gpu", "total", "GPUMemoryUtilization"),
    "DiskUtilization": ("disk", "disk", "DiskUtilization"),
}
DAY = 86400
# How long values of a period are kept: days, seconds (GetMetricStatistics, "Data points").
KEPT = ((15, 60), (63, 300), (455, 3600))
NODES = 100  # more instances than a job may have without asking for them
Points = dict[str, list[tuple[float, float]]]


def read(
    job_name: str,
    client=None,
    start: float | None = None,
    end: float | None = None,
    cores: int | None = None,
    gpus: int | None = None,
) -> Recording:
    """A job's metrics in CloudWatch as a recording, which lacks most of what a profiler records.

    Args:
        client: of CloudWatch; by default boto3's.
        start, end: in seconds since the epoch; by default the last fifteen days.
        cores, gpus: of an instance. With them the sums become means, named ``mean``; without, they
            stay sums, named ``total``, to which no threshold in percent applies.

    Raises:
        RecordingError: CloudWatch has nothing of this job in that time.
    """
    client, now = client or boto3.client("cloudwatch"), time.time()
    start, end = now - KEPT[0][0] * DAY if start is None else start, now if end is None else end
    period = _period(now - start)
    start = start // period * period  # where periods begin
    recording = Recording(f"CloudWatch {NAMESPACE} {job_name}")
    for number in range(1, NODES + 1):
        node = f"algo-{number}"
        points = _points(client, f"{job_name}/{node}", start, end, period)
        if not points:
            break
        recording.system |= _series(node, points, {"cpu": cores, "gpu": gpus})
    if not recording.system:
        raise RecordingError(
            f"CloudWatch has no metrics of {job_name} in {NAMESPACE} between {_shown(start)} and "
            f"{_shown(end)}: they come a minute after the job has started; is the region right?"
        )
    recording.notes = _notes(recording, period)
    return recording


def _period(age: float) -> int:
    """The shortest period, in seconds, of which values of this age are still there."""
    return next((period for days, period in KEPT if age <= days * DAY + 60), KEPT[-1][1])


def _points(client, host: str, start: float, end: float, period: int) -> Points:
    """The averages of each metric of a host: times and values."""
    queries = [_query(name, host, period) for name in METRICS]
    pages = client.get_paginator("get_metric_data").paginate(
        MetricDataQueries=queries,
        StartTime=start,
        EndTime=end,
        ScanBy="TimestampAscending",
    )
    points: Points = defaultdict(list)
    for page in pages:
        for result in page["MetricDataResults"]:
            times = [moment.timestamp() for moment in result["Timestamps"]]
            if times:
                points[result["Id"]] += zip(times, result["Values"], strict=True)
    return points


def _query(name: str, host: str, period: int) -> dict:
    dimensions = [{"Name": "Host", "Value": host}]
    metric = {"Namespace": NAMESPACE, "MetricName": name, "Dimensions": dimensions}
    return {
        "Id": name.lower(),  # must not begin with a capital letter
        "MetricStat": {"Metric": metric, "Period": period, "Stat": "Average"},
    }


def _series(node: str, points: Points, counts: dict[str, int | None]) -> dict[Metric, Series]:
    series = {}
    for cloudwatch_name, (type_, name, dimension) in METRICS.items():
        if found := sorted(points.get(cloudwatch_name.lower(), [])):
            times, values = np.array(found).T
            if name == "total" and counts[type_]:
                name, values = "mean", values / counts[type_]
            series[Metric(node, type_, name, dimension)] = Series(times, values)
    return series


def _notes(recording: Recording, period: int) -> list[str]:
    notes = [
        f"CloudWatch has one value in {period} s: what is shorter than that cannot be seen.",
        "Single cores, I/O waits, disk and network traffic and steps are not in CloudWatch.",
    ]
    if sums := sorted({each.dimension for each in recording.system if each.name == "total"}):
        notes.append(f"{', '.join(sums)} are sums over all cores or GPUs, not percent of one.")
    return notes


def _shown(moment: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(moment))
