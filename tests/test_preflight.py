"""course.preflight(): each check's OK, each failure, and no exception whatever AWS answers."""

import json
import shutil
from collections import namedtuple
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from dataclasses import replace
from functools import cache

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import EndpointConnectionError, NoCredentialsError
from botocore.stub import Stubber

import course
from course.preflight import DENIED, SAGEMAKER, Line, Preflight, _trusts
from course.workspace import Workspace

SERVICES = ("sts", "iam", "s3", "service-quotas")
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
)
IDENTITY = {"Account": "123456789012", "Arn": "arn:aws:iam::123456789012:user/me", "UserId": "x"}
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
    names = {"gpu": GPU, "endpoint": ENDPOINT} | {
        kind: f"ml.{kind}.xlarge for training job usage" for kind in ("m5", "c5")
    }
    return {"Quotas": [{"QuotaName": names[k], "Value": float(v)} for k, v in values.items()]}


ANSWERS = {
    "sts": [("get_caller_identity", IDENTITY, {})],
    "iam": [("get_role", role(trust({"Service": SAGEMAKER})), {"RoleName": "trainer"})],
    "s3": [("get_bucket_location", {}, {"Bucket": "photos"})],
    "service-quotas": [
        ("list_service_quotas", quotas(gpu=2, endpoint=2), {"ServiceCode": "sagemaker"})
    ],
}


@pytest.fixture(autouse=True)
def machine(monkeypatch):
    """A machine with a region and an empty disk, whatever the real one has."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Disk(30e9, 1e9, 29e9))


@contextmanager
def stubbed(**changed):
    """Clients that give ANSWERS, but for the services in `changed` (quotas: service-quotas).

    A service's answers are a list of (operation, answer, expected parameters), or the code of the
    error that it answers everything with, or an exception that its requests end in.
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
    else:
        for operation, answer, expected in answers:
            # A copy, because botocore decodes an answer in place.
            stub.add_response(operation, deepcopy(answer), expected)
    return made


def raiser(error):
    def fail(**_):
        raise error

    return fail


def checked(ws=WS, **changed):
    """The lines of a preflight, by name."""
    with stubbed(**changed) as clients:
        return {line.name: line for line in course.preflight(ws, clients).lines}


def test_all_is_well():
    lines = checked()
    wanted = ["identity", "region", "role", "bucket", "training quota", "endpoint quota", "disk"]
    assert list(lines) == wanted
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
    assert not line.ok and "'mars-north-1'" in line.text and "AWS_REGION" in line.text


def test_a_missing_role():
    line = checked(iam="NoSuchEntity")["role"]
    assert not line.ok and "no role 'trainer'" in line.text and "COURSE_ROLE" in line.text


def test_a_role_that_sagemaker_may_not_assume():
    lambdas = role(trust({"Service": "lambda.amazonaws.com"}))
    line = checked(iam=[("get_role", lambdas, {"RoleName": "trainer"})])["role"]
    assert not line.ok and SAGEMAKER in line.text and "Trust relationships" in line.text


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
    assert line.ok and "will be made" in line.text


@pytest.mark.parametrize("constraint, region", [("EU", "eu-west-1"), ("eu-west-3", "eu-west-3")])
def test_a_bucket_in_another_region(constraint, region):
    answer = [("get_bucket_location", {"LocationConstraint": constraint}, {"Bucket": "photos"})]
    line = checked(s3=answer)["bucket"]
    assert not line.ok and f"AWS_REGION={region}" in line.text
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


def test_no_gpu_quota_says_what_to_request_and_what_runs_meanwhile():
    line = checked(quotas=list(asked(quotas(gpu=0, endpoint=1, m5=0, c5=4))))["training quota"]
    assert not line.ok
    assert f"'{GPU}' is 0. Request 2: Service Quotas console" in line.text
    assert "training_instance='ml.c5.xlarge'" in line.text  # the one that the account has
    assert "fewer breeds" in line.text


def test_a_quota_of_one_gpu_is_too_little_for_two_jobs():
    line = checked(quotas=list(asked(quotas(gpu=1, endpoint=1))))["training quota"]
    assert not line.ok and "Request 2" in line.text and "max_parallel_jobs=1" in line.text
    assert "CPU" not in line.text


def test_unlisted_quotas():
    lines = checked(quotas=list(asked(quotas())))
    assert not lines["training quota"].ok and "not listed" in lines["training quota"].text
    assert "training_instance='ml.m5.xlarge'" in lines["training quota"].text
    assert not lines["endpoint quota"].ok and f"'{ENDPOINT}'" in lines["endpoint quota"].text


def test_a_full_disk(monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Disk(30e9, 27e9, 3e9))
    line = checked()["disk"]
    assert not line.ok and "3.0 GB free" in line.text and "30 GB" in line.text


NAMES = {"sts": "identity", "iam": "role", "s3": "bucket", "quotas": "quotas"}


@pytest.mark.parametrize("service", NAMES)
@pytest.mark.parametrize("code", sorted(DENIED))
def test_a_refusal_is_a_line(service, code):
    lines = checked(**{service: code})
    line = lines[NAMES[service]]
    assert not line.ok and line.text.startswith(f"not checked: {code}")
    assert "docs/policy.json" in line.text
    assert sum(not line.ok for line in lines.values()) == 1


@pytest.mark.parametrize("service", NAMES)
@pytest.mark.parametrize(
    "error, words",
    [
        (NoCredentialsError(), "AWS_PROFILE"),
        (EndpointConnectionError(endpoint_url="https://nowhere"), "cannot be reached"),
    ],
)
def test_nobody_to_ask_is_a_line(service, error, words):
    line = checked(**{service: error})[NAMES[service]]
    assert not line.ok and words in line.text


def test_any_other_answer_is_a_line():
    line = checked(sts="ExpiredToken")["identity"]
    assert not line.ok and "ExpiredToken (as AWS puts it)" in line.text


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
