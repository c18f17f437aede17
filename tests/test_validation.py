"""Requests are refused by botocore's own model, in AWS's words."""

import copy
import datetime

import pytest
from conftest import training_request

from local_sagemaker.validation import ApiError, check, operation, shaped

CREATE = operation("CreateTrainingJob")


def changed(path: str, value) -> dict:
    """A good request with one member set (or, for None, removed)."""
    request = copy.deepcopy(training_request())
    *folders, last = path.split(".")
    place = request
    for folder in folders:
        place = place[folder]
    place[last] = value
    if value is None:
        del place[last]
    return request


def test_a_good_request_passes():
    check(training_request(), CREATE)


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("RoleArn", None, "'roleArn' failed to satisfy constraint: Member must not be null"),
        ("TrainingJobName", None, "'trainingJobName' failed"),
        ("OutputDataConfig.S3OutputPath", None, "'outputDataConfig.s3OutputPath' failed"),
        ("TrainingJobName", "under_score", r"regular expression pattern: \[a-zA-Z0-9\]"),
        ("TrainingJobName", "a\nb", "regular expression pattern"),
        ("TrainingJobName", "x" * 64, "length less than or equal to 63|regular expression"),
        ("RoleArn", "arn:aws:iam::1:role/r", "regular expression pattern|length greater"),
        ("ResourceConfig.VolumeSizeInGB", -1, "value greater than or equal to 0"),
        ("StoppingCondition.MaxRuntimeInSeconds", 0, "value greater than or equal to 1"),
        ("AlgorithmSpecification.TrainingInputMode", "Fast", "enum value set: .*Pipe, File"),
        ("ResourceConfig.InstanceType", "ml.laptop", "enum value set"),
        ("ResourceConfig.InstanceCount", "1", "Member must be of type integer"),
        ("ResourceConfig.InstanceCount", True, "Member must be of type integer"),
        ("HyperParameters", {"lr": 0.1}, "hyperParameters.lr.member.* type string"),
        ("HyperParameters", {"lr": "1" * 2501}, "length less than or equal to 2500"),
        ("HyperParameters", {f"p{n}": "1" for n in range(101)}, "length less than or equal to 100"),
        ("Tags", "none", "Member must be of type list"),
        ("InputDataConfig", [{}], r"inputDataConfig.1.member.channelName"),
        ("EnableManagedSpotTraining", "yes", "type boolean"),
    ],
)
def test_what_aws_would_refuse_is_refused_naming_the_member(path, value, words):
    with pytest.raises(ApiError, match=words) as caught:
        check(changed(path, value), CREATE)
    assert caught.value.code == "ValidationException"
    assert "validation error" in caught.value.message


def test_an_unknown_member_is_refused():
    with pytest.raises(ApiError, match="'Epochs' is not a member of CreateTrainingJobRequest"):
        check(changed("Epochs", 3), CREATE)


def test_all_problems_are_told_at_once():
    request = changed("RoleArn", None)
    request["ResourceConfig"]["InstanceCount"] = -1
    with pytest.raises(ApiError, match="2 validation errors detected"):
        check(request, CREATE)


def test_times_are_numbers():
    with pytest.raises(ApiError, match="type timestamp"):
        check({"CreationTimeAfter": "yesterday"}, operation("ListTrainingJobs"))


def test_answers_hold_the_models_members_and_nothing_empty():
    moment = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    answer = {"TrainingJobName": "j", "Ours": 1, "VpcConfig": None, "CreationTime": moment}
    expected = {"TrainingJobName": "j", "CreationTime": moment.timestamp()}
    assert shaped(answer, operation("DescribeTrainingJob")) == expected


def test_an_unknown_operation_has_no_model():
    assert operation("CreateUnicorn") is None
