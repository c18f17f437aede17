"""What the ProfilerConfig of a training job asks for."""

from __future__ import annotations

INTERVALS_MS = (100, 200, 500, 1000, 5000, 60000)  # that SageMaker offers
INTERVAL_MS = 500  # its default


def is_enabled(job: dict) -> bool:
    """Whether a job is profiled. As on AWS's API, one that asks for nothing is not."""
    return "ProfilerConfig" in job and not job["ProfilerConfig"].get("DisableProfiler")


def status(job: dict) -> str:
    """DescribeTrainingJob's ProfilingStatus."""
    return "Enabled" if is_enabled(job) else "Disabled"


def interval_ms(job: dict) -> int:
    """The time between two samples of the system's metrics."""
    return job["ProfilerConfig"].get("ProfilingIntervalInMilliseconds", INTERVAL_MS)


def recording(job: dict) -> str:
    """The S3 address below which what is recorded of a profiled job is kept."""
    base = job["ProfilerConfig"]["S3OutputPath"].rstrip("/")
    return f"{base}/{job['TrainingJobName']}/profiler-output"
