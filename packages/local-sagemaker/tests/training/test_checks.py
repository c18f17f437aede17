"""Rules about members together, which the API's model does not hold."""

import pytest

from engine_support.clients import channel, training_request
from local_sagemaker.core.errors import ApiError
from local_sagemaker.core.validation import check, operation
from local_sagemaker.training.checks import check_training

RULES = [{"RuleConfigurationName": name, "RuleEvaluatorImage": "i"} for name in ("a", "b", "a")]
OUT = {"S3OutputPath": "s3://b/k"}
SPOT = {"EnableManagedSpotTraining": True}
PLAN = "arn:aws:sagemaker:us-east-1:123456789012:training-plan/p"


def without(member):
    request = training_request()
    del request[member]
    return request


def resources(**members):
    default = {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1}
    merged = {**default, **members}
    return {"ResourceConfig": {name: value for name, value in merged.items() if value is not None}}


def algorithm(**members):
    return {"AlgorithmSpecification": {"TrainingInputMode": "File", **members}}


def stopping(run, wait, **members):
    condition = {"MaxRuntimeInSeconds": run, "MaxWaitTimeInSeconds": wait}
    return {
        "StoppingCondition": {name: value for name, value in condition.items() if value},
        **members,
    }


GROUPS = [{"InstanceType": "ml.m5.large", "InstanceCount": 1, "InstanceGroupName": "g"}]
ARN = "arn:aws:sagemaker:us-east-1:aws:hub-content/h/Model/m"


@pytest.mark.parametrize(
    "members",
    [
        {},
        stopping(60, 60, **SPOT),
        stopping(None, 86400, **SPOT),
        resources(KeepAlivePeriodInSeconds=60),
        {"InputDataConfig": [channel("a", "s3://b/k"), channel("..a", "s3://b/k")]},
        {"CheckpointConfig": {"S3Uri": "s3://b/k", "LocalPath": "/opt/ml/here/..there"}},
    ],
)
def test_what_is_allowed(members):
    request = training_request(**members)
    check(request, operation("CreateTrainingJob"))
    check_training(request)


@pytest.mark.parametrize(
    ("members", "words"),
    [
        (resources(InstanceType=None), "Value null at 'resourceConfig.instanceType'"),
        (resources(InstanceCount=0), "Value null at 'resourceConfig.instanceCount'"),
        (resources(TrainingPlanArn=PLAN), f"there is no training plan {PLAN}"),
        (
            resources(InstanceType=None, InstanceCount=None, InstanceGroups=GROUPS),
            "ResourceConfig.InstanceGroups: local_sagemaker has no instance groups",
        ),
        (algorithm(TrainingImage="i", AlgorithmName="a"), "not both"),
        (stopping(60, 60), "Invalid MaxWaitTimeInSeconds. It is only supported when"),
        (stopping(60, None, **SPOT), "Invalid MaxWaitTimeInSeconds. It must be present"),
        (stopping(60, 59, **SPOT), "Invalid MaxWaitTimeInSeconds. It must be present"),
        (stopping(None, 86399, **SPOT), "Invalid MaxWaitTimeInSeconds. It must be present"),
        (
            stopping(60, 60, **SPOT) | resources(KeepAlivePeriodInSeconds=60),
            "ResourceConfig.KeepAlivePeriodInSeconds",
        ),
        (
            {"InputDataConfig": [channel("a", "s3://b/1"), channel("a", "s3://b/2")]},
            "InputDataConfig.ChannelName: the names must be unique, and 'a' comes twice",
        ),
        (
            algorithm(TrainingImage="i", MetricDefinitions=[{"Name": "m", "Regex": "x"}] * 2),
            "MetricDefinitions.Name: .*'m' comes twice",
        ),
        ({"DebugRuleConfigurations": RULES}, "DebugRuleConfigurations.*'a' comes twice"),
        ({"ProfilerRuleConfigurations": RULES}, "ProfilerRuleConfigurations.*'a' comes twice"),
        ({"InputDataConfig": [channel("..", "s3://b/k")]}, "'..' cannot be a folder's name"),
        ({"InputDataConfig": [channel(".", "s3://b/k")]}, "'.' cannot be a folder's name"),
        ({"CheckpointConfig": {"S3Uri": "s3://b/k", "LocalPath": "x"}}, "CheckpointConfig.Local"),
        ({"DebugHookConfig": OUT | {"LocalPath": "/opt/ml/../etc"}}, "DebugHookConfig.LocalPath"),
        (
            {"ServerlessJobConfig": {"BaseModelArn": ARN, "JobType": "FineTuning"}},
            "ServerlessJobConfig: local_sagemaker has no",
        ),
    ],
)
def test_what_is_refused_naming_the_member(members, words):
    request = training_request(**members)
    check(request, operation("CreateTrainingJob"))  # the model has nothing against it
    with pytest.raises(ApiError, match=words) as caught:
        check_training(request)
    assert caught.value.code == "ValidationException"


@pytest.mark.parametrize("member", ["AlgorithmSpecification", "ResourceConfig"])
def test_members_that_only_serverless_jobs_lack(member):
    request = without(member)
    check(request, operation("CreateTrainingJob"))
    with pytest.raises(ApiError, match=f"at '{member[0].lower()}{member[1:]}' .*not be null"):
        check_training(request)
