"""Requests are refused by botocore's own model, in AWS's words."""

import copy
import datetime
import re

import pytest

from engine_support.clients import training_request
from local_sagemaker.core.errors import ApiError
from local_sagemaker.core.validation import check, operation, problems, service_model, shaped

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


def message(path: str, value) -> str:
    """What is said about a good request with one member changed."""
    with pytest.raises(ApiError) as caught:
        check(changed(path, value), CREATE)
    assert caught.value.code == "ValidationException"
    return caught.value.message


# The sentences were met on the real service; botocore's model has lost the patterns' anchors.
@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        ("RoleArn", None, "Value null at 'roleArn' {}: Member must not be null"),
        (
            "OutputDataConfig.S3OutputPath",
            None,
            "Value null at 'outputDataConfig.s3OutputPath' {}: Member must not be null",
        ),
        (
            "TrainingJobName",
            "under_score",
            "Value 'under_score' at 'trainingJobName' {}: Member must satisfy regular expression "
            "pattern: [a-zA-Z0-9](-*[a-zA-Z0-9]){{0,62}}",
        ),
        (
            "StoppingCondition.MaxRuntimeInSeconds",
            0,
            "Value '0' at 'stoppingCondition.maxRuntimeInSeconds' {}: "
            "Member must have value greater than or equal to 1",
        ),
        (
            "AlgorithmSpecification.TrainingInputMode",
            "Fast",
            "Value 'Fast' at 'algorithmSpecification.trainingInputMode' {}: "
            "Member must satisfy enum value set: [Pipe, File, FastFile]",
        ),
        (
            "HyperParameters",
            {"lr": "1", "names": "x" * 2501},
            "Value '{{lr=1, names=" + "x" * 2501 + "}}' at 'hyperParameters' {}: "
            "Map value must satisfy constraint: [Member must have length less than or equal to "
            "2500, Member must have length greater than or equal to 0, "
            "Member must satisfy regular expression pattern: .*]",
        ),
        (
            "Environment",
            {"1st": "x"},
            "Value '{{1st=x}}' at 'environment' {}: "
            "Map keys must satisfy constraint: [Member must have length less than or equal to 512, "
            "Member must have length greater than or equal to 0, "
            "Member must satisfy regular expression pattern: [a-zA-Z_][a-zA-Z0-9_]*]",
        ),
        (
            "VpcConfig",
            {"SecurityGroupIds": ["sg-1", "s g"], "Subnets": ["net"]},
            "Value '[sg-1, s g]' at 'vpcConfig.securityGroupIds' {}: "
            "Member must satisfy constraint: [Member must have length less than or equal to 32, "
            "Member must have length greater than or equal to 0, "
            "Member must satisfy regular expression pattern: [-0-9a-zA-Z]+]",
        ),
        ("Tags", [{"Key": "a"}], "Value null at 'tags.1.member.value' {}: Member must not be null"),
        (
            "HyperParameters",
            {"lr": None},
            "Value null at 'hyperParameters.lr.member' {}: Member must not be null",
        ),
    ],
)
def test_what_aws_would_refuse_is_refused_in_its_words(path, value, sentence):
    sentence = sentence.format("failed to satisfy constraint")
    assert message(path, value) == f"1 validation error detected: {sentence}"


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("TrainingJobName", None, "'trainingJobName' failed"),
        ("TrainingJobName", "a\nb", "regular expression pattern"),
        ("TrainingJobName", "x" * 64, "2 validation errors.*length less than or equal to 63"),
        ("RoleArn", "arn:aws:iam::1:role/r", "regular expression pattern"),
        ("ResourceConfig.VolumeSizeInGB", -1, "value greater than or equal to 0"),
        ("ResourceConfig.InstanceType", "ml.laptop", r"enum value set: \[.*ml.m5.large"),
        ("HyperParameters", {f"p{n}": "1" for n in range(101)}, "length less than or equal to 100"),
        ("InputDataConfig", [], "length greater than or equal to 1"),
        ("InputDataConfig", [{}], r"inputDataConfig.1.member.channelName"),
    ],
)
def test_each_kind_of_constraint_is_held(path, value, words):
    assert re.search(words, message(path, value))


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("ResourceConfig.InstanceCount", "1", "STRING_VALUE can not be converted to an Integer"),
        ("ResourceConfig.InstanceCount", True, "TRUE_VALUE can not be converted to an Integer"),
        ("ResourceConfig.InstanceCount", 1.5, "DECIMAL_VALUE can not be converted to an Integer"),
        ("ResourceConfig.InstanceCount", 2**31, "NUMBER_VALUE can not be converted to an Integer"),
        ("HyperParameters", {"lr": 0.1}, "DECIMAL_VALUE can not be converted to a String"),
        ("EnableManagedSpotTraining", "yes", "STRING_VALUE can not be converted to a Boolean"),
        ("EnableManagedSpotTraining", 1, "NUMBER_VALUE can not be converted to a Boolean"),
        ("TrainingJobName", ["a"], "Start of list found where not expected"),
        ("TrainingJobName", {"a": 1}, "Start of structure or map found where not expected"),
        ("Tags", "none", "Expected list or null"),
        ("HyperParameters", ["lr"], "Expected map or null"),
        ("ResourceConfig", "large", "Expected map or null"),
        ("Epochs", 3, "'Epochs' is not a member of CreateTrainingJobRequest"),
    ],
)
def test_another_type_cannot_be_read_and_the_member_is_named(path, value, words):
    with pytest.raises(ApiError) as caught:
        check(changed(path, value), CREATE)
    assert caught.value.code == "SerializationException"
    assert words in caught.value.message
    name = path[:1].lower() + path[1:].replace(".I", ".i")
    assert f"(at '{name}" in caught.value.message or path == "Epochs"


def test_a_huge_value_is_cut_in_the_message():
    assert len(message("TrainingJobName", "x" * 1_000_000)) < 10_000


def test_a_secret_is_not_repeated():
    shape = service_model("cognito-idp").operation_model("SignUp").input_shape
    found = problems({"ClientId": "c", "Username": "u", "Password": "a b"}, shape)
    assert any(problem.startswith("Value at 'password' failed") for problem in found)
    assert not any("a b" in problem for problem in found)


def test_all_problems_are_told_at_once():
    request = changed("RoleArn", None)
    request["ResourceConfig"]["InstanceCount"] = -1
    with pytest.raises(ApiError, match="2 validation errors detected"):
        check(request, CREATE)


def test_times_are_numbers():
    with pytest.raises(ApiError, match="STRING_VALUE can not be converted to milliseconds"):
        check({"CreationTimeAfter": "yesterday"}, operation("ListTrainingJobs"))


def test_answers_hold_the_models_members_and_nothing_empty():
    moment = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    answer = {"TrainingJobName": "j", "Ours": 1, "VpcConfig": None, "CreationTime": moment}
    expected = {"TrainingJobName": "j", "CreationTime": moment.timestamp()}
    assert shaped(answer, operation("DescribeTrainingJob")) == expected


def test_an_unknown_operation_has_no_model():
    assert operation("CreateUnicorn") is None
