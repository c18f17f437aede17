"""course.preflight(): each check's OK, each failure, and no exception whatever AWS answers."""

import json
import logging
import os
import shutil
from collections import namedtuple
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from dataclasses import replace
from functools import cache
from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import (
    CredentialRetrievalError,
    EndpointConnectionError,
    LoginRefreshRequired,
    NoCredentialsError,
    TokenRetrievalError,
    UnauthorizedSSOTokenError,
)
from botocore.stub import Stubber

import course
from course import workspace
from course.account import rights
from course.account.preflight import DENIED, SAGEMAKER, STALE, Line, Preflight, _trusts
from course.jobs import LOG_GROUP
from course.workspace import Workspace

ALL = ["identity", "region", "role", "logs", "bucket", "training quota", "endpoint quota", "disk"]
SERVICES = ("sts", "iam", "logs", "s3", "service-quotas")
Disk = namedtuple("Disk", "total used free")
WS = Workspace(
    mode="aws",
    session=None,
    role="arn:aws:iam::123456789012:role/service-role/trainer",
    bucket="photos",
    prefix="dog-breeds",
    region="us-east-1",
    training_instance="ml.g4dn.xlarge",
    endpoint_instance="ml.m5.large",
    training_image="",
    inference_image="",
    debugger="self",
    reports=Path("reports"),
    image_size=224,
)
IDENTITY = {"Account": "123456789012", "Arn": "arn:aws:iam::123456789012:user/me", "UserId": "x"}
SPOT = "ml.g4dn.xlarge for spot training job usage"
GPU, ENDPOINT = "ml.g4dn.xlarge for training job usage", "ml.m5.large for endpoint usage"


def trust(principal, action="sts:AssumeRole", effect="Allow"):
    statement = {"Effect": effect, "Action": action, "Principal": principal}
    return {"Version": "2012-10-17", "Statement": [statement]}


def role(document):
    return {
        "Role": {
            "Path": "/service-role/",
            "RoleName": "trainer",
            "RoleId": "AROA1234567890123456",
            "Arn": WS.role,
            "CreateDate": "2026-11-01T00:00:00Z",
            "AssumeRolePolicyDocument": json.dumps(document),
        }
    }


def quotas(**values):
    names = {"gpu": GPU, "endpoint": ENDPOINT, "spot": SPOT} | {
        f"{kind}{short}": f"ml.{kind}.xlarge for {way}training job usage"
        for kind in ("m5", "c5")
        for short, way in {"": "", "_spot": "spot "}.items()
    }
    return {"Quotas": [{"QuotaName": names[k], "Value": float(v)} for k, v in values.items()]}


def bucket(name):
    return [("get_bucket_location", {}, {"Bucket": name}), ("head_bucket", {}, {"Bucket": name})]


ANSWERS = {
    "sts": [("get_caller_identity", IDENTITY, {})],
    "iam": [
        ("get_role", role(trust({"Service": SAGEMAKER})), {"RoleName": "trainer"}),
        ("simulate_principal_policy", "AccessDenied", None),
    ],
    "logs": [
        ("describe_log_streams", "ResourceNotFoundException", None),
        ("get_log_events", "ResourceNotFoundException", None),
    ],
    "s3": bucket("photos"),
    "service-quotas": [
        ("list_service_quotas", quotas(gpu=2, endpoint=2), {"ServiceCode": "sagemaker"})
    ],
}


@pytest.fixture(autouse=True)
def machine(monkeypatch, tmp_path):
    """A laptop with a region, an empty disk and no credentials, whatever the real one has."""
    for name in os.environ:
        if name.startswith(("AWS_", "COURSE_")) and name != "AWS_CA_BUNDLE":
            monkeypatch.delenv(name)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setattr(workspace, "STUDIO", tmp_path / "no-studio.json")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Disk(30e9, 1e9, 29e9))
    return monkeypatch


@contextmanager
def stubbed(**changed):
    """Clients that give ANSWERS, but for the services in `changed` (quotas: service-quotas).

    A service's answers are a list of (operation, answer or the code of an error, expected
    parameters), or the code of the error that it answers everything with, or an exception that its
    requests end in.
    """
    answers = ANSWERS | {name.replace("quotas", "service-quotas"): a for name, a in changed.items()}
    with ExitStack() as stack:
        yield {service: client(stack, service, answers[service]) for service in SERVICES}


@cache  # a client takes a quarter of a second to make
def unstubbed(service):
    once = Config(retries={"total_max_attempts": 1})
    session = boto3.session.Session("key", "secret", region_name="us-east-1")
    return session.client(service, config=once)


def client(stack, service, answers):
    made = unstubbed(service)
    if isinstance(answers, Exception):
        fail = raiser(answers)
        made.meta.events.register("before-call", fail)
        stack.callback(made.meta.events.unregister, "before-call", fail)
        return made
    stub = stack.enter_context(Stubber(made))
    if isinstance(answers, str):
        stub.add_client_error(ANSWERS[service][0][0], answers, "as AWS puts it")
        if service == "iam" and answers in DENIED:  # then the role is looked for in the list
            stub.add_client_error("list_roles", answers, "as AWS puts it")
    else:
        for operation, answer, expected in answers:
            if isinstance(answer, str):
                stub.add_client_error(operation, answer, "as AWS puts it", expected_params=expected)
            else:  # a copy, because botocore decodes an answer in place
                stub.add_response(operation, deepcopy(answer), expected)
    return made


def raiser(error):
    def fail(**_):
        raise error

    return fail


def named(report):
    return {line.name: line for line in report.lines}


def checked(ws=WS, **changed):
    """The lines of a preflight, by name."""
    with stubbed(**changed) as clients:
        return named(course.preflight(ws, clients))


def test_all_is_well():
    lines = checked()
    assert list(lines) == ALL
    assert all(line.ok for line in lines.values()), lines
    assert lines["identity"].text == "user/me in account …9012"
    assert "photos in us-east-1" in lines["bucket"].text  # S3 answers nothing for that region


def test_local_mode_asks_nobody():
    report = course.preflight(replace(WS, mode="local"))
    assert report.ok and len(report.lines) == 1
    assert "nothing needs checking" in str(report)


def test_another_accounts_role():
    line = checked(replace(WS, role="arn:aws:iam::999999999999:role/trainer"))["identity"]
    assert not line.ok
    assert "…9012" in line.text and "…9999" in line.text and "AWS_PROFILE" in line.text


def test_a_region_without_images():
    with stubbed() as clients:
        report = course.preflight(replace(WS, region="mars-north-1"), clients)
    line = next(line for line in report.lines if line.name == "region")
    assert not line.ok and "'mars-north-1'" in line.text and "AWS_DEFAULT_REGION" in line.text


def test_a_missing_role():
    line = checked(iam="NoSuchEntity")["role"]
    assert not line.ok and "no role 'trainer'" in line.text and "COURSE_ROLE" in line.text


def test_a_role_under_another_path():
    """PassRole compares the whole ARN, and GetRole finds a role by its last part."""
    line = checked(replace(WS, role="arn:aws:iam::123456789012:role/trainer"))["role"]
    assert not line.ok and f"has the ARN {WS.role}" in line.text and "COURSE_ROLE" in line.text


def test_a_role_that_sagemaker_may_not_assume():
    lambdas = role(trust({"Service": "lambda.amazonaws.com"}))
    line = checked(iam=[("get_role", lambdas, {"RoleName": "trainer"})])["role"]
    assert not line.ok and SAGEMAKER in line.text and "Trust relationships" in line.text


TRUSTED = trust({"Service": SAGEMAKER})
GET_ROLE = ("get_role", role(TRUSTED), {"RoleName": "trainer"})


def simulated(decision="allowed", **others):
    """IAM's answers about what the role may do, in the order of the questions."""
    resources = rights.needed("123456789012", "us-east-1", "photos")
    for resource, actions in resources.items():
        results = [
            {"EvalActionName": a, "EvalDecision": others.get(a.partition(":")[2], decision)}
            for a in actions
        ]
        asked = {"PolicySourceArn": WS.role, "ActionNames": actions, "ResourceArns": [resource]}
        yield "simulate_principal_policy", {"EvaluationResults": results}, asked


def test_a_role_that_may_do_all_that_jobs_need():
    line = checked(iam=[GET_ROLE, *simulated()])["role"]
    assert line.ok and "may do all that jobs need" in line.text


def test_a_role_that_may_not_read_and_not_pull():
    answers = [GET_ROLE, *simulated(GetObject="implicitDeny", BatchGetImage="explicitDeny")]
    line = checked(iam=answers)["role"]
    assert not line.ok and "jobs need: s3:GetObject, ecr:BatchGetImage. " in line.text
    assert "AmazonSageMakerFullAccess" in line.text and "docs/policy.json" in line.text


def test_who_may_not_simulate_is_told_what_is_not_checked():
    line = checked()["role"]
    assert line.ok and "what it may do is not checked" in line.text


def test_what_jobs_need_is_what_the_policy_allows():
    """All of docs/policy.json's `role`, but what no job needs to run through."""
    statements = json.loads((workspace.ROOT / "docs/policy.json").read_text())["role"]["Statement"]
    allowed = {a for s in statements for a in rights_of(s)}
    wanted = {a for actions in rights.needed("1", "r", "b").values() for a in actions}
    assert allowed - wanted == {"s3:AbortMultipartUpload", "s3:GetBucketLocation"}
    assert wanted <= allowed


def rights_of(statement):
    found = statement["Action"]
    return [found] if isinstance(found, str) else found


def test_under_full_access_the_role_is_found_in_the_list():
    """AmazonSageMakerFullAccess allows ListRoles, and no GetRole."""
    other = role(TRUSTED)["Role"] | {"RoleName": "other"}
    pages = [
        ("list_roles", {"Roles": [other], "IsTruncated": True, "Marker": "m"}, {}),
        ("list_roles", {"Roles": [role(TRUSTED)["Role"]], "IsTruncated": False}, {"Marker": "m"}),
    ]
    denied = ("get_role", "AccessDenied", {"RoleName": "trainer"})
    line = checked(iam=[denied, *pages, ("simulate_principal_policy", "AccessDenied", None)])[
        "role"
    ]
    assert line.ok and "trainer, and SageMaker may assume it" in line.text
    alone = ("list_roles", {"Roles": [other], "IsTruncated": False}, {})
    line = checked(iam=[denied, alone])["role"]
    assert not line.ok and "no role 'trainer'" in line.text


def test_logs_that_are_there():
    streams = {"logStreams": [{"logStreamName": "someone-elses/algo-1"}]}
    answers = [
        (
            "describe_log_streams",
            streams,
            {"logGroupName": LOG_GROUP, "orderBy": "LogStreamName", "limit": 1},
        ),
        ("get_log_events", "ResourceNotFoundException", None),
    ]
    line = checked(logs=answers)["logs"]
    assert line.ok and LOG_GROUP in line.text


def test_logs_whose_streams_may_be_listed_and_not_read():
    answers = [ANSWERS["logs"][0], ("get_log_events", "AccessDeniedException", None)]
    line = checked(logs=answers)["logs"]
    assert not line.ok and "AccessDeniedException for GetLogEvents" in line.text


@pytest.mark.parametrize(
    "document, trusted",
    [
        (trust({"Service": ["ec2.amazonaws.com", SAGEMAKER]}), True),
        (trust({"Service": SAGEMAKER}, action=["sts:AssumeRole", "sts:TagSession"]), True),
        (trust({"Service": SAGEMAKER}, action="sts:TagSession"), False),
        (trust({"Service": SAGEMAKER}, effect="Deny"), False),
        (trust({"AWS": "arn:aws:iam::123456789012:root"}), False),
        (trust("*"), False),
        ({"Statement": trust({"Service": SAGEMAKER})["Statement"][0]}, True),  # no list
        ("%7B%22Statement%22%3A%5B%5D%7D", False),  # as IAM sends it
        ({}, False),
    ],
)
def test_trust_policies(document, trusted):
    assert _trusts(document, SAGEMAKER) is trusted


def test_a_missing_bucket_will_be_made():
    line = checked(s3="NoSuchBucket")["bucket"]
    assert line.ok and "connect() makes it, if your policy allows s3:CreateBucket" in line.text


@pytest.mark.parametrize("code", ["403", "AccessDenied"])
def test_a_bucket_that_may_not_be_listed(code):
    answers = [bucket("photos")[0], ("head_bucket", code, {"Bucket": "photos"})]
    line = checked(s3=answers)["bucket"]
    assert not line.ok and "s3:ListBucket" in line.text and "docs/policy.json" in line.text


@pytest.mark.parametrize("constraint, region", [("EU", "eu-west-1"), ("eu-west-3", "eu-west-3")])
def test_a_bucket_in_another_region(constraint, region):
    answer = bucket("photos")
    answer[0] = ("get_bucket_location", {"LocationConstraint": constraint}, {"Bucket": "photos"})
    line = checked(s3=answer[:1])["bucket"]
    assert not line.ok and f"AWS_DEFAULT_REGION={region}" in line.text
    assert checked(replace(WS, region=region), s3=answer)["bucket"].ok


def asked(*pages):
    """The quotas' pages, as a paginator asks for them."""
    expected = {"ServiceCode": "sagemaker"}
    for number, page in enumerate(pages, 1):
        more = {} if number == len(pages) else {"NextToken": str(number)}
        yield "list_service_quotas", page | more, dict(expected)
        expected["NextToken"] = str(number)


def test_quotas_are_read_from_all_pages():
    lines = checked(quotas=list(asked(quotas(m5=1), quotas(endpoint=1), quotas(gpu=2))))
    assert lines["training quota"].ok and lines["endpoint quota"].ok


CPU_LINE = "Until then on a CPU: %env COURSE_DEVICE=cpu above the first cell"


def test_no_gpu_quota_says_what_to_request_and_what_runs_meanwhile():
    line = checked(quotas=list(asked(quotas(gpu=0, endpoint=1, m5=2, c5=4))))["training quota"]
    assert not line.ok
    assert f"'{GPU}' is 0. Request 2: Service Quotas console" in line.text
    assert f"{CPU_LINE}, and fewer breeds" in line.text


def test_the_cpu_instance_offered_is_one_that_the_account_has():
    line = checked(quotas=list(asked(quotas(gpu=0, endpoint=1, m5=0, c5=4))))["training quota"]
    assert f"{CPU_LINE}, import dataclasses; ws = dataclasses.replace(" in line.text
    assert "training_instance='ml.c5.xlarge')" in line.text


def test_no_quota_at_all_asks_for_a_cpu_too_and_offers_none():
    line = checked(quotas=list(asked(quotas(gpu=0, endpoint=1, m5=0, c5=0))))["training quota"]
    assert "It has no 'ml.m5.xlarge for training job usage' and 'ml.c5.xlarge" in line.text
    assert "local mode" in line.text and "COURSE_DEVICE" not in line.text


def test_who_trains_on_a_cpu_already_is_not_offered_the_same_again():
    cpu = replace(WS, training_instance="ml.m5.xlarge")
    line = checked(cpu, quotas=list(asked(quotas(gpu=0, endpoint=1, m5=2))))["training quota"]
    assert line.ok
    line = checked(cpu, quotas=list(asked(quotas(endpoint=1, m5=0, c5=1))))["training quota"]
    assert "'ml.m5.xlarge for training job usage' is 0. Request 2" in line.text
    assert "COURSE_DEVICE" not in line.text and "training_instance='ml.c5.xlarge'" in line.text
    line = checked(cpu, quotas=list(asked(quotas(endpoint=1, m5=0))))["training quota"]
    assert "It has no 'ml.c5.xlarge for training job usage' either" in line.text


def test_a_quota_of_one_gpu_is_too_little_for_two_jobs():
    line = checked(quotas=list(asked(quotas(gpu=1, endpoint=1))))["training quota"]
    assert not line.ok and "Request 2" in line.text and "CPU" not in line.text
    # The search is not all: its repetitions, and the jobs of notebook 03, start two by two.
    assert "max_parallel_jobs=1 in notebook 02" in line.text
    assert "in 02 and 03 jobs.wait(trainer) after each trainer.train(...)" in line.text


ON_SPOT = replace(WS, spot=True)


def test_spot_instances_have_a_quota_of_their_own():
    line = checked(ON_SPOT, quotas=list(asked(quotas(gpu=0, endpoint=1, spot=2))))["training quota"]
    assert line.ok and line.text == f"'{SPOT}' is 2"
    line = checked(quotas=list(asked(quotas(gpu=0, endpoint=1, spot=2))))["training quota"]
    assert not line.ok and f"'{GPU}' is 0" in line.text


def test_without_the_spot_quota_the_other_one_may_do():
    line = checked(ON_SPOT, quotas=list(asked(quotas(gpu=2, endpoint=1, spot=0))))["training quota"]
    assert not line.ok and f"'{SPOT}' is 0. Request 2: Service Quotas console" in line.text
    assert "%env COURSE_SPOT=0 above the first cell" in line.text and "CPU" not in line.text


def test_with_neither_a_cpu_must_be_a_spot_instance_as_well():
    none = {"gpu": 0, "endpoint": 1, "spot": 0, "m5": 2}
    line = checked(ON_SPOT, quotas=list(asked(quotas(**none, m5_spot=2))))["training quota"]
    assert f"{CPU_LINE}, and fewer breeds" in line.text
    line = checked(ON_SPOT, quotas=list(asked(quotas(**none, c5_spot=0))))["training quota"]
    assert "It has no 'ml.m5.xlarge for spot training job usage' and" in line.text


def test_one_spot_instance_is_too_little_for_two_jobs():
    line = checked(ON_SPOT, quotas=list(asked(quotas(gpu=2, endpoint=1, spot=1))))["training quota"]
    assert not line.ok and "max_parallel_jobs=1" in line.text


def test_unlisted_quotas():
    lines = checked(quotas=list(asked(quotas())))
    assert not lines["training quota"].ok and "not listed" in lines["training quota"].text
    assert "use local mode" in lines["training quota"].text
    assert not lines["endpoint quota"].ok and f"'{ENDPOINT}'" in lines["endpoint quota"].text


def test_a_full_disk(monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Disk(30e9, 27e9, 3e9))
    line = checked()["disk"]
    assert not line.ok and "3.0 GB free" in line.text and "storage to 30 GB" in line.text


NAMES = {"sts": "identity", "iam": "role", "logs": "logs", "s3": "bucket", "quotas": "quotas"}
LOOK = {
    "iam": "IAM console, Roles",
    "logs": "CloudWatch console",
    "s3": "S3 console",
    "quotas": "Service Quotas console",
}


@pytest.mark.parametrize("service", NAMES)
@pytest.mark.parametrize("code", sorted(DENIED))
def test_a_refusal_is_a_line(service, code):
    lines = checked(**{service: code})
    line = lines[NAMES[service]]
    assert not line.ok and line.text.startswith(f"not checked: {code}")
    assert "docs/policy.json" in line.text and LOOK.get(service, "") in line.text
    assert sum(not line.ok for line in lines.values()) == 1


@pytest.mark.parametrize("service", NAMES)
@pytest.mark.parametrize(
    "error, words",
    [
        (NoCredentialsError(), "AWS_PROFILE"),
        (UnauthorizedSSOTokenError(), "restart the kernel"),
        (LoginRefreshRequired(), "restart the kernel"),
        (TokenRetrievalError(provider="sso", error_msg="stale"), "restart the kernel"),
        (CredentialRetrievalError(provider="sso", error_msg="stale"), "restart the kernel"),
        (EndpointConnectionError(endpoint_url="https://nowhere"), "cannot be reached"),
    ],
)
def test_nobody_to_ask_is_a_line(service, error, words):
    line = checked(**{service: error})[NAMES[service]]
    assert not line.ok and words in line.text


@pytest.mark.parametrize("code", sorted(STALE))
def test_credentials_that_no_longer_count_ask_to_sign_in_again(code):
    line = checked(sts=code)["identity"]
    assert not line.ok and code in line.text and "aws sso login" in line.text


def test_any_other_answer_is_a_line():
    line = checked(sts="RegionDisabledException")["identity"]
    assert not line.ok and "RegionDisabledException (as AWS puts it)" in line.text


def test_the_sessions_own_clients_are_the_default():
    class Session:
        boto_session = boto3.session.Session("key", "secret", region_name="us-east-1")

    made = []
    Session.boto_session.client = lambda name, **_: (
        made.append(name) or raiser(NoCredentialsError)()
    )
    report = course.preflight(replace(WS, session=Session))
    assert made == list(SERVICES)
    assert [line.ok for line in report.lines][:1] == [False]


def test_a_report_is_a_table():
    report = Preflight((Line("disk", True, "9 GB"), Line("role", False, "<none>")))
    assert not report.ok
    assert str(report).splitlines()[1].split() == ["TO", "DO", "role", "<none>"]
    html = report._repr_html_()
    assert html.count("<tr>") == 2 and "&lt;none&gt;" in html


# ---------------------------------------------------------------- without a workspace

DEFAULT_BUCKET = "sagemaker-us-east-1-123456789012"


@pytest.fixture
def aws(machine):
    """A laptop in AWS mode on which nothing is missing."""
    for name, value in (
        ("COURSE_MODE", "aws"),
        ("COURSE_ROLE", WS.role),
        ("AWS_ACCESS_KEY_ID", "key"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
    ):
        machine.setenv(name, value)
    return machine


def found(**changed):
    """The lines of a preflight that has no workspace, by name."""
    return checked(None, **{"s3": bucket(DEFAULT_BUCKET)} | changed)


def test_without_a_workspace_it_asks_for_what_connect_would_take(aws):
    lines = found()
    assert list(lines) == ALL
    assert all(line.ok for line in lines.values()), lines
    assert lines["bucket"].text == f"{DEFAULT_BUCKET} in us-east-1"


def test_the_device_of_the_environment_is_asked_for(aws):
    aws.setenv("COURSE_DEVICE", "cpu")
    lines = found(quotas=list(asked(quotas(gpu=0, endpoint=1, m5=2))))
    assert lines["training quota"].text == "'ml.m5.xlarge for training job usage' is 2"


def test_spot_instances_of_the_environment_are_asked_for(aws):
    aws.setenv("COURSE_SPOT", "1")
    lines = found(quotas=list(asked(quotas(gpu=0, endpoint=1, spot=2))))
    assert lines["training quota"].text == f"'{SPOT}' is 2"


def test_a_wrong_wish_for_spot_instances_is_a_line(aws):
    aws.setenv("COURSE_SPOT", "yes")
    lines = found()
    assert list(lines) == ["spot", *ALL]
    assert not lines["spot"].ok and "set it to '1'" in lines["spot"].text


def test_a_wrong_device_is_a_line(aws):
    aws.setenv("COURSE_DEVICE", "tpu")
    lines = found()
    assert list(lines) == ["device", *ALL]
    assert not lines["device"].ok and "COURSE_DEVICE is 'tpu'" in lines["device"].text


def test_no_credentials(aws):
    aws.delenv("AWS_ACCESS_KEY_ID")
    aws.delenv("AWS_SECRET_ACCESS_KEY")
    lines = named(course.preflight())
    for name in ("identity", "role", "logs", "bucket", "quotas"):
        assert not lines[name].ok and "no credentials: set AWS_PROFILE" in lines[name].text
    assert lines["region"].ok and lines["disk"].ok


def test_a_profile_that_does_not_exist(aws):
    aws.setenv("AWS_PROFILE", "dogs")
    lines = named(course.preflight())
    assert "(dogs) could not be found" in lines["identity"].text
    assert "aws configure list-profiles" in lines["identity"].text
    assert [name for name, line in lines.items() if line.ok] == ["disk"]


def test_a_profile_of_aws_login_needs_another_package(aws, tmp_path):
    config = tmp_path / "config"
    config.write_text("[profile dogs]\nregion = us-east-1\nlogin_session = arn:aws:iam::1:root\n")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        aws.delenv(name)
    aws.setenv("AWS_CONFIG_FILE", str(config))
    aws.setenv("AWS_PROFILE", "dogs")
    lines = named(course.preflight())
    assert not lines["identity"].ok and 'pip install "botocore[crt]"' in lines["identity"].text


def test_no_region(aws):
    aws.delenv("AWS_DEFAULT_REGION")
    aws.setenv("AWS_REGION", "us-east-1")  # boto3 does not read it
    lines = found()
    assert lines["identity"].ok and lines["role"].ok  # the same in every region
    assert not lines["region"].ok and "%env AWS_DEFAULT_REGION=us-east-1" in lines["region"].text
    for name in ("logs", "bucket", "quotas"):
        assert not lines[name].ok and "differs by region" in lines[name].text


def test_neither_region_nor_credentials(aws):
    """Who one is and which role there is are asked without a region, too."""
    for name in ("AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        aws.delenv(name)
    lines = named(course.preflight())
    for name in ("identity", "role"):
        assert "no credentials: set AWS_PROFILE" in lines[name].text


def test_no_role_named(aws):
    aws.delenv("COURSE_ROLE")
    lines = found()
    assert not lines["role"].ok and "set COURSE_ROLE to the ARN" in lines["role"].text
    assert "course.preflight" not in lines["role"].text  # that is where one is
    assert sum(not line.ok for line in lines.values()) == 1


def test_a_role_that_is_no_arn(aws):
    aws.setenv("COURSE_ROLE", "trainer")
    line = found()["role"]
    assert not line.ok and "'trainer', which is no role's ARN" in line.text


def test_a_default_bucket_that_is_not_there(aws):
    line = found(s3="NoSuchBucket")["bucket"]
    assert line.ok and line.text.startswith(f"{DEFAULT_BUCKET} is not there yet")


def test_an_address_left_over_from_local_mode_is_not_asked(aws):
    aws.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    (line,) = course.preflight().lines
    assert not line.ok and "http://127.0.0.1:1" in line.text and "restart the kernel" in line.text


def test_a_wrong_mode_is_a_line(aws):
    aws.setenv("COURSE_MODE", "azure")
    lines = found()
    assert list(lines) == ["mode", *ALL]
    assert not lines["mode"].ok and "'azure'" in lines["mode"].text


def test_outside_studio_the_mode_is_local_unless_set(machine):
    (line,) = course.preflight().lines
    assert line.ok and "COURSE_MODE=aws asks about AWS" in line.text


def test_local_mode_without_the_engine(machine):
    machine.setattr(workspace, "ENGINE", "no-such-engine")
    (line,) = course.preflight().lines
    assert not line.ok and "package no-such-engine," in line.text and "make install" in line.text


@pytest.fixture
def studio(aws, tmp_path):
    """Studio, where a file names the execution role."""
    from sagemaker.core.helper import session_helper

    file = tmp_path / "resource-metadata.json"
    file.write_text(json.dumps({"ExecutionRoleArn": WS.role}))
    aws.setattr(workspace, "STUDIO", file)
    aws.setattr(session_helper, "NOTEBOOK_METADATA_FILE", str(file))
    aws.delenv("COURSE_ROLE")
    yield aws
    logging.disable(logging.NOTSET)


def test_studio_brings_its_role(studio):
    lines = found()
    assert list(lines) == ALL and all(line.ok for line in lines.values()), lines
    assert lines["role"].text.startswith("trainer")


def test_studio_without_a_mode_asks_for_it_and_checks_the_rest(studio):
    studio.delenv("COURSE_MODE")
    lines = found()
    assert list(lines) == ["mode", *ALL]
    assert not lines["mode"].ok and "%env COURSE_MODE=aws" in lines["mode"].text
    assert sum(not line.ok for line in lines.values()) == 1


def test_studio_whose_role_cannot_be_found(studio):
    workspace.STUDIO.write_text(json.dumps({"DomainId": "d-1", "UserProfileName": "me"}))
    studio.delenv("AWS_ACCESS_KEY_ID")
    studio.delenv("AWS_SECRET_ACCESS_KEY")
    line = found()["role"]
    assert not line.ok and "set COURSE_ROLE to its ARN" in line.text


def test_studio_without_credentials_does_not_ask_for_a_profile(studio):
    line = found(sts=NoCredentialsError())["identity"]
    assert not line.ok and "Studio brings" in line.text and "AWS_PROFILE" not in line.text


def test_studio_without_a_region(studio):
    studio.delenv("AWS_DEFAULT_REGION")
    line = found()["role"]
    assert not line.ok and "asked for in a region" in line.text


def test_a_role_that_is_named_goes_before_studios_and_needs_no_region(studio):
    studio.setenv("COURSE_ROLE", WS.role)
    workspace.STUDIO.write_text(json.dumps({"ExecutionRoleArn": "arn:aws:iam::1:role/other"}))
    studio.delenv("AWS_DEFAULT_REGION")
    line = found()["role"]
    assert line.ok and line.text.startswith("trainer")
