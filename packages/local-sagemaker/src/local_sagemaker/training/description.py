"""A training job as DescribeTrainingJob tells it: what AWS fills in, without what it leaves out."""

from __future__ import annotations

from local_sagemaker.training import profiler_config

ALWAYS = {
    "InputDataConfig": [],
    "EnableNetworkIsolation": False,
    "EnableInterContainerTrafficEncryption": False,
    "EnableManagedSpotTraining": False,
}
MEMBERS = {
    "AlgorithmSpecification": {"EnableSageMakerMetricsTimeSeries": False},
    "OutputDataConfig": {"KmsKeyId": "", "CompressionType": "GZIP"},
    "DebugHookConfig": {"CollectionConfigurations": []},
}
PROFILED = {
    "ProfilingIntervalInMilliseconds": profiler_config.INTERVAL_MS,
    "DisableProfiler": False,
}
ITEMS = {
    "InputDataConfig": {"CompressionType": "None", "RecordWrapperType": "None"},
    "DebugRuleConfigurations": {"VolumeSizeInGB": 0},
    "ProfilerRuleConfigurations": {"VolumeSizeInGB": 0},
}
NEVER_EMPTY = ("FinalMetricDataList",)


def completed(job: dict) -> dict:
    """The stored description `job` with AWS's defaults in the members that the request left out."""
    told = {**ALWAYS, **job}
    members = MEMBERS | ({"ProfilerConfig": PROFILED} if profiler_config.is_enabled(job) else {})
    for name, defaults in members.items():
        if name in told:
            told[name] = {**defaults, **told[name]}
    for name, defaults in ITEMS.items():
        if name in told:
            told[name] = [{**defaults, **item} for item in told[name]]
    return {name: value for name, value in told.items() if value or name not in NEVER_EMPTY}
