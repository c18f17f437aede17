"""What a request needs, by AWS's rules, and what a policy says to it."""

import pytest

from tools.dry_run.permissions import (
    Need,
    Policy,
    full_access,
    listed,
    of_caller,
    of_role,
    roles,
)
from tools.dry_run.record import Call

ACCOUNT, REGION = "111122223333", "eu-west-1"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/jobs"
SAGEMAKER = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}"
LOGS = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group"
IMAGE = f"763104351884.dkr.ecr.{REGION}.amazonaws.com/pytorch:2.13-cpu"
TRAINING = {
    "TrainingJobName": "dog",
    "RoleArn": ROLE,
    "AlgorithmSpecification": {"TrainingImage": IMAGE, "TrainingInputMode": "File"},
    "InputDataConfig": [
        {"ChannelName": "train", "DataSource": {"S3DataSource": {"S3Uri": "s3://photos/train"}}}
    ],
    "OutputDataConfig": {"S3OutputPath": "s3://models/out"},
    "DebugHookConfig": {"S3OutputPath": "s3://tensors"},
    "CheckpointConfig": {"S3Uri": "s3://checkpoints/dog"},
}


def call(service, operation, **params):
    return Call(service, operation, region=REGION, params=params)


def needs(service, operation, **params):
    return [str(need) for need in of_caller(call(service, operation, **params), ROLE)]


@pytest.mark.parametrize(
    ("operation", "params", "wanted"),
    [
        ("ListBuckets", {}, ["s3:ListAllMyBuckets on *"]),
        ("HeadBucket", {"Bucket": "b"}, ["s3:ListBucket on arn:aws:s3:::b"]),
        ("ListObjectsV2", {"Bucket": "b", "Prefix": "p"}, ["s3:ListBucket on arn:aws:s3:::b"]),
        ("CreateBucket", {"Bucket": "b"}, ["s3:CreateBucket on arn:aws:s3:::b"]),
        ("HeadObject", {"Bucket": "b", "Key": "k"}, ["s3:GetObject on arn:aws:s3:::b/k"]),
        (
            "CreateMultipartUpload",
            {"Bucket": "b", "Key": "k"},
            ["s3:PutObject on arn:aws:s3:::b/k"],
        ),
        ("UploadPart", {"Bucket": "b", "Key": "k"}, ["s3:PutObject on arn:aws:s3:::b/k"]),
        (
            "CompleteMultipartUpload",
            {"Bucket": "b", "Key": "k"},
            ["s3:PutObject on arn:aws:s3:::b/k"],
        ),
        (
            "DeleteObjects",
            {"Bucket": "b", "Delete": {"Objects": [{"Key": "x"}, {"Key": "y"}]}},
            ["s3:DeleteObject on arn:aws:s3:::b/x", "s3:DeleteObject on arn:aws:s3:::b/y"],
        ),
        (
            "CopyObject",
            {"Bucket": "b", "Key": "k", "CopySource": "from/key"},
            ["s3:PutObject on arn:aws:s3:::b/k", "s3:GetObject on arn:aws:s3:::from/key"],
        ),
        (
            "PutObject",
            {"Bucket": "b", "Key": "k", "ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "key"},
            ["s3:PutObject on arn:aws:s3:::b/k", "kms:GenerateDataKey on key"],
        ),
    ],
)
def test_s3(operation, params, wanted):
    assert needs("s3", operation, **params) == wanted


@pytest.mark.parametrize(
    ("service", "operation", "params", "wanted"),
    [
        ("sts", "GetCallerIdentity", {}, []),
        ("iam", "GetRole", {"RoleName": "r"}, [f"iam:GetRole on arn:aws:iam::{ACCOUNT}:role/r"]),
        ("cloudwatch", "GetMetricStatistics", {}, ["cloudwatch:GetMetricStatistics on *"]),
        ("service-quotas", "ListServiceQuotas", {}, ["servicequotas:ListServiceQuotas on *"]),
        ("logs", "FilterLogEvents", {"logGroupName": "/g"}, [f"logs:FilterLogEvents on {LOGS}:/g"]),
        ("sagemaker", "ListModels", {"NameContains": "dog"}, ["sagemaker:ListModels on *"]),
        (
            "sagemaker",
            "ListTags",
            {"ResourceArn": f"{SAGEMAKER}:model/m"},
            [f"sagemaker:ListTags on {SAGEMAKER}:model/m"],
        ),
        (
            "sagemaker-runtime",
            "InvokeEndpoint",
            {"EndpointName": "e"},
            [f"sagemaker:InvokeEndpoint on {SAGEMAKER}:endpoint/e"],
        ),
        (
            "sagemaker",
            "ListTrainingJobsForHyperParameterTuningJob",
            {"HyperParameterTuningJobName": "t"},
            [
                "sagemaker:ListTrainingJobsForHyperParameterTuningJob on "
                f"{SAGEMAKER}:hyper-parameter-tuning-job/t"
            ],
        ),
        (
            "sagemaker",
            "CreateEndpoint",
            {"EndpointName": "e", "EndpointConfigName": "c", "Tags": [{"Key": "k"}]},
            [
                f"sagemaker:CreateEndpoint on {SAGEMAKER}:endpoint-config/c",
                f"sagemaker:CreateEndpoint on {SAGEMAKER}:endpoint/e",
                f"sagemaker:AddTags on {SAGEMAKER}:endpoint/e",
            ],
        ),
        (
            "sagemaker",
            "CreateModel",
            {"ModelName": "m", "ExecutionRoleArn": ROLE},
            [f"sagemaker:CreateModel on {SAGEMAKER}:model/m", f"iam:PassRole on {ROLE}"],
        ),
    ],
)
def test_the_other_services(service, operation, params, wanted):
    assert needs(service, operation, **params) == wanted


def test_a_request_without_a_signature_needs_nothing_of_the_caller():
    asked = Call("s3", "GetObject", params={"Bucket": "b", "Key": "k"})
    assert of_caller(asked, ROLE) == []


def test_a_role_is_found_however_deep():
    nested = {"TrainingJobDefinitions": [{"RoleArn": ROLE}, {"RoleArn": ROLE + "2"}]}
    assert roles(call("sagemaker", "CreateHyperParameterTuningJob", **nested)) == {ROLE, ROLE + "2"}


def test_a_role_with_a_path_is_checked_with_it():
    role = f"arn:aws:iam::{ACCOUNT}:role/service-role/jobs"
    asked = call("iam", "GetRole", RoleName="jobs")
    assert of_caller(asked, role) == [Need("iam:GetRole", role)]


def test_what_sagemaker_does_as_the_role_of_a_job():
    wanted = {
        "s3:ListBucket on arn:aws:s3:::photos",
        "s3:GetObject on arn:aws:s3:::photos/train/any",
        "s3:PutObject on arn:aws:s3:::models/out/any",
        "s3:PutObject on arn:aws:s3:::tensors/any",
        "s3:GetObject on arn:aws:s3:::checkpoints/dog/any",
        "s3:PutObject on arn:aws:s3:::checkpoints/dog/any",
        f"ecr:BatchGetImage on arn:aws:ecr:{REGION}:763104351884:repository/pytorch",
        f"logs:PutLogEvents on {LOGS}:/aws/sagemaker/TrainingJobs:log-stream:any",
        "ecr:GetAuthorizationToken on *",
    }
    found = {str(n) for n in of_role(call("sagemaker", "CreateTrainingJob", **TRAINING), ROLE)}
    assert wanted <= found
    assert not any("PutObject" in text and "photos" in text for text in found)
    assert of_role(call("sagemaker", "DescribeModel", ModelName="m"), ROLE) == []


def policy(**statement):
    return Policy([{"Sid": "One", "Effect": "Allow", **statement}])


@pytest.mark.parametrize(
    ("action", "resource", "allowed"),
    [
        ("s3:GetObject", "arn:aws:s3:::b/dogs/1.jpg", True),
        ("S3:getobject", "arn:aws:s3:::b/dogs/1.jpg", True),  # actions know no case
        ("s3:GetObject", "arn:aws:s3:::b/cats/1.jpg", False),
        ("s3:GetObject", "arn:aws:s3:::B/dogs/1.jpg", False),
        ("s3:GetObjectAcl", "arn:aws:s3:::b/dogs/1.jpg", False),
        ("s3:PutObject", "arn:aws:s3:::b/dogs/1.jpg", False),
        ("s3:GetObject", "arnXaws:s3:::b/dogs/1.jpg", False),
    ],
)
def test_actions_and_resources_match_by_iams_wildcards(action, resource, allowed):
    found = policy(Action=["s3:GetObject", "s3:ListBucket"], Resource="arn:aws:s3:::b/dogs*")
    assert found.allows(Need(action, resource)) is allowed
    assert ("One", "s3:ListBucket") in found.unused()
    assert (("One", "s3:GetObject") in found.unused()) is not allowed


def test_a_condition_must_hold():
    wanted = {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}
    found = policy(Action="iam:PassRole", Resource=ROLE, Condition=wanted)
    passed = "iam:PassedToService"
    assert found.allows(Need("iam:PassRole", ROLE, ((passed, "sagemaker.amazonaws.com"),)))
    assert not found.allows(Need("iam:PassRole", ROLE, ((passed, "ec2.amazonaws.com"),)))
    assert not found.allows(Need("iam:PassRole", ROLE))


def test_a_denial_wins():
    found = policy(Action="s3:*", Resource="*")
    found.statements.append(
        {"Sid": "No", "Effect": "Deny", "Action": "s3:DeleteObject", "Resource": "*"}
    )
    assert found.allows(Need("s3:GetObject", "arn:aws:s3:::b/k"))
    assert not found.allows(Need("s3:DeleteObject", "arn:aws:s3:::b/k"))


@pytest.mark.parametrize(
    ("resource", "allowed"),
    [
        (f"{SAGEMAKER}:training-job/dog", True),
        (f"{SAGEMAKER}:domain/d-1", False),
        ("*", True),  # what no resource stands for, such as a list
    ],
)
def test_all_resources_but_some(resource, allowed):
    found = Policy([{"Sid": "One", "Effect": "Allow", "Action": "sagemaker:*"}])
    found.statements[0]["NotResource"] = ["arn:aws:sagemaker:*:*:domain/*"]
    assert found.allows(Need("sagemaker:CreateThing", resource)) is allowed


@pytest.mark.parametrize(
    ("condition", "value", "holds"),
    [
        ({"StringEqualsIgnoreCase": {"k": "TRUE"}}, "true", True),
        ({"StringEqualsIgnoreCase": {"k": "TRUE"}}, None, False),
        ({"StringLike": {"k": ["a*", "b*"]}}, "bee", True),
        ({"StringLike": {"k": "a*"}}, "bee", False),
        ({"ArnLike": {"k": "arn:aws:iam::*:role/x"}}, "arn:aws:iam::1:role/x", True),
        ({"Null": {"k": "true"}}, None, True),
        ({"Null": {"k": "true"}}, "there", False),
        ({"Null": {"k": "false"}}, None, False),
        ({"StringEqualsIfExists": {"k": "a"}}, None, True),
        ({"StringEqualsIfExists": {"k": "a"}}, "b", False),
        ({"StringEquals": {"k": "a"}, "Null": {"other": "true"}}, "a", True),
    ],
)
def test_conditions_by_iams_operators(condition, value, holds):
    found = policy(Action="s3:GetObject", Resource="*", Condition=condition)
    context = () if value is None else (("k", value),)
    assert found.allows(Need("s3:GetObject", "x", context)) is holds


@pytest.mark.parametrize(
    "statement", [{"NotAction": "x"}, {"Condition": {"Bool": {"aws:SecureTransport": "true"}}}]
)
def test_what_it_does_not_understand_it_says(statement):
    found = policy(**{"Action": "s3:GetObject", "Resource": "*", **statement})
    with pytest.raises(ValueError, match="not understood"):
        found.allows(Need("s3:GetObject", "x"))


PASSED = (("iam:PassedToService", "sagemaker.amazonaws.com"),)


@pytest.mark.parametrize(
    ("need", "allowed"),
    [
        (Need("sagemaker:CreateTrainingJob", f"{SAGEMAKER}:training-job/any"), True),
        (Need("sagemaker:ListTags", f"{SAGEMAKER}:endpoint/any"), True),
        (Need("sagemaker:CreateSpace", f"{SAGEMAKER}:space/d/s"), False),
        (Need("logs:DescribeLogStreams", f"{LOGS}:/aws/sagemaker/TrainingJobs"), True),
        (Need("logs:GetLogEvents", f"{LOGS}:/aws/sagemaker/TrainingJobs:log-stream:s"), True),
        (Need("logs:FilterLogEvents", f"{LOGS}:/aws/sagemaker/TrainingJobs"), False),
        (Need("iam:GetRole", ROLE), False),
        (Need("iam:ListRoles", "*"), True),
        (Need("iam:SimulatePrincipalPolicy", ROLE), False),
        (Need("iam:PassRole", ROLE, PASSED), True),
        (Need("iam:PassRole", ROLE, (("iam:PassedToService", "ec2.amazonaws.com"),)), False),
        (Need("servicequotas:ListServiceQuotas", "*"), False),
        (Need("budgets:CreateBudget", "*"), False),
        (Need("s3:GetObject", "arn:aws:s3:::sagemaker-us-east-1-1/dog-breeds/x"), True),
        (Need("s3:GetObject", "arn:aws:s3:::mine/dog-breeds/x"), False),
        (Need("s3:ListBucket", "arn:aws:s3:::mine"), True),
    ],
)
def test_what_awss_managed_policy_allows(need, allowed):
    assert full_access().allows(need) is allowed


def test_the_managed_policy_is_judged_whole():
    """No statement uses what is not understood here: each is compared with something."""
    found = full_access()
    for statement in found.statements:
        for action in listed(statement["Action"]):
            found.allows(Need(action.replace("*", "Any"), "*", PASSED))
