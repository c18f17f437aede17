"""What SageMaker refuses in a training job though the API's model would let it pass.

The model knows each member by itself; these rules are about members together. Sentences that AWS is
known to use are AWS's; where it is not known what AWS says, the rule is told in our own words.
"""

from __future__ import annotations

from pathlib import PurePosixPath

from local_sagemaker.core.errors import ApiError, invalid
from local_sagemaker.core.validation import check_unique
from local_sagemaker.training import configuration, profiler_config

MAX_RUNTIME_S = 86400  # SageMaker's default MaxRuntimeInSeconds: a day
NAME_BYTES = 255  # of a folder's name, as file systems take it
NOT_HERE = {  # members that need a part of AWS which this engine has not
    "ServerlessJobConfig": "serverless jobs on AWS's own models",
    "ModelPackageConfig": "the model registry",
    "MlflowConfig": "MLflow tracking servers",
}


def check_training(request: dict) -> None:
    """Refuse a training job, or the definition of a tuning job's.

    Raises:
        ApiError: ValidationException that names the member.
    """
    for member, what in NOT_HERE.items():
        if member in request:
            raise invalid(f"{member}: local_sagemaker has no {what}; leave the member out")
    _check_presence(request)
    _check_resources(request["ResourceConfig"])
    _check_spot(request)
    _check_unique(request)
    _check_paths(request)
    _check_profiler(request)


def missing(path: str) -> ApiError:
    """A required member is not there."""
    text = f"Value null at '{path}' failed to satisfy constraint: Member must not be null"
    return invalid(f"1 validation error detected: {text}")


def _check_presence(request: dict) -> None:
    # The model requires neither, since serverless jobs have neither.
    for member in ("AlgorithmSpecification", "ResourceConfig"):
        if member not in request:
            raise missing(member[0].lower() + member[1:])
    algorithm = request["AlgorithmSpecification"]
    if "TrainingImage" in algorithm and "AlgorithmName" in algorithm:
        raise invalid(
            "AlgorithmSpecification: you must specify either an algorithm name in AlgorithmName or "
            "an image in TrainingImage, not both"
        )


def _check_resources(resources: dict) -> None:
    if "TrainingPlanArn" in resources:
        arn = resources["TrainingPlanArn"]
        raise invalid(f"ResourceConfig.TrainingPlanArn: there is no training plan {arn}")
    if "InstanceGroups" in resources:
        raise invalid(
            "ResourceConfig.InstanceGroups: local_sagemaker has no instance groups; name "
            "InstanceType and InstanceCount"
        )
    for member in ("InstanceType", "InstanceCount"):
        if not resources.get(member):
            raise missing(f"resourceConfig.{member[0].lower()}{member[1:]}")


def _check_spot(request: dict) -> None:
    stopping = request.get("StoppingCondition", {})
    wait, run = stopping.get("MaxWaitTimeInSeconds"), stopping.get("MaxRuntimeInSeconds")
    if not request.get("EnableManagedSpotTraining"):
        if wait is not None:
            raise invalid(
                "Invalid MaxWaitTimeInSeconds. It is only supported when "
                "EnableManagedSpotTraining is set to true"
            )
        return
    if wait is None or wait < (run or MAX_RUNTIME_S):
        raise invalid(
            "Invalid MaxWaitTimeInSeconds. It must be present and be greater than or equal to "
            "MaxRuntimeInSeconds"
        )
    if request["ResourceConfig"].get("KeepAlivePeriodInSeconds"):
        raise invalid(
            "ResourceConfig.KeepAlivePeriodInSeconds: warm pools are not for managed spot training"
        )


def _check_unique(request: dict) -> None:
    named = {
        "InputDataConfig": ("ChannelName", request.get("InputDataConfig", [])),
        "AlgorithmSpecification.MetricDefinitions": (
            "Name",
            request["AlgorithmSpecification"].get("MetricDefinitions", []),
        ),
        "DebugRuleConfigurations": (
            "RuleConfigurationName",
            request.get("DebugRuleConfigurations", []),
        ),
        "ProfilerRuleConfigurations": (
            "RuleConfigurationName",
            request.get("ProfilerRuleConfigurations", []),
        ),
    }
    for path, (member, items) in named.items():
        check_unique(f"{path}.{member}", [item[member] for item in items])


def _check_paths(request: dict) -> None:
    """No name may lead out of the folder it is for."""
    for channel in request.get("InputDataConfig", []):
        if channel["ChannelName"] in {".", ".."}:
            raise invalid(
                f"InputDataConfig.ChannelName: '{channel['ChannelName']}' cannot be a folder's name"
            )
    for member in ("DebugRuleConfigurations", "ProfilerRuleConfigurations"):
        for rule in request.get(member, []):
            _check_name(f"{member}.RuleConfigurationName", rule["RuleConfigurationName"])
    for member in configuration.LOCAL_PATHS:
        local = configuration.local_path(request, member)
        if not PurePosixPath(local).is_absolute() or ".." in PurePosixPath(local).parts:
            raise invalid(f"{member}.LocalPath: '{local}' is no absolute path without '..'")


def _check_name(path: str, name: str) -> None:
    if name in {".", ".."} or "/" in name or "\0" in name or len(name.encode()) > NAME_BYTES:
        raise invalid(f"{path}: '{name}' cannot be a folder's name")


def _check_profiler(request: dict) -> None:
    if not profiler_config.is_enabled(request):
        return
    if "S3OutputPath" not in request["ProfilerConfig"]:
        raise invalid(
            "ProfilerConfig.S3OutputPath is missing: a job that is profiled needs a place for what "
            "is recorded; DisableProfiler turns profiling off"
        )
    interval, allowed = profiler_config.interval_ms(request), profiler_config.INTERVALS_MS
    if interval not in allowed:
        raise invalid(
            f"ProfilerConfig.ProfilingIntervalInMilliseconds: {interval} is none of "
            f"{', '.join(map(str, allowed))}"
        )
