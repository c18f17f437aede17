"""docs/policy.json: IAM's grammar, no more than needed, and every call that the notebooks make."""

import json
import re
from functools import cache

import botocore.session
import pytest
from botocore import xform_name

from course.account import images
from course.workspace import PREFIX, ROOT

POLICIES = json.loads((ROOT / "docs" / "policy.json").read_text())
STATEMENTS = [(who, s) for who, policy in POLICIES.items() for s in policy["Statement"]]
KEYS = {"Sid", "Effect", "Action", "Resource", "Condition"}
PLACEHOLDERS = {"AccountId", "Bucket", "Role"}
# IAM's service prefix where it is not botocore's name of the service.
SERVICES = {"servicequotas": "service-quotas"}
# IAM's action where it is not the operation's name.
OPERATIONS = {
    "s3:ListAllMyBuckets": ("s3", "ListBuckets"),
    "s3:ListBucket": ("s3", "ListObjectsV2"),
    "sagemaker:InvokeEndpoint": ("sagemaker-runtime", "InvokeEndpoint"),
}
PERMISSION_ONLY = {"iam:PassRole"}  # no operation: it is checked when another one names a role
# The only actions that know no resource, or are asked about what is not there yet.
ANYWHERE = {
    "cloudwatch:GetMetricStatistics",
    "cloudwatch:PutMetricData",
    "ecr:GetAuthorizationToken",
    "s3:ListAllMyBuckets",
    "servicequotas:ListServiceQuotas",
}


def listed(value):
    return [value] if isinstance(value, str) else value


def actions(who=None):
    wanted = [s for owner, s in STATEMENTS if who in (None, owner)]
    return sorted({action for s in wanted for action in listed(s["Action"])})


@cache
def operations(service):
    """The operations of a service, as boto3's methods spell them and as the API does."""
    names = botocore.session.get_session().get_service_model(service).operation_names
    return {xform_name(name): name for name in names}


def test_there_is_one_policy_for_the_user_and_one_for_the_role():
    assert set(POLICIES) == {"user", "role"}
    for policy in POLICIES.values():
        assert set(policy) == {"Version", "Statement"}
        assert policy["Version"] == "2012-10-17"
        names = [s["Sid"] for s in policy["Statement"]]
        assert len(names) == len(set(names)) and all(name.isalnum() for name in names)


@pytest.mark.parametrize(
    "who, statement", STATEMENTS, ids=lambda x: x if isinstance(x, str) else x["Sid"]
)
def test_each_statement_follows_the_grammar(who, statement):
    assert KEYS - {"Condition"} <= set(statement) <= KEYS
    assert statement["Effect"] == "Allow"
    for action in listed(statement["Action"]):
        assert re.fullmatch(r"[a-z0-9-]+:[A-Za-z0-9]+", action), action  # so no "*" either
    for resource in listed(statement["Resource"]):
        assert resource == "*" or re.fullmatch(r"arn:aws:[a-z0-9]+:\*?:[^:]*:.+", resource), (
            resource
        )


@pytest.mark.parametrize(
    "who, statement", STATEMENTS, ids=lambda x: x if isinstance(x, str) else x["Sid"]
)
def test_only_what_knows_no_resource_is_allowed_anywhere(who, statement):
    if statement["Resource"] == "*":
        for action in listed(statement["Action"]):
            assert action in ANYWHERE or re.match(r"sagemaker:List\w+s$", action), action


@pytest.mark.parametrize("action", actions())
def test_each_action_is_one_of_aws(action):
    if action in PERMISSION_ONLY:
        return
    prefix, _, name = action.partition(":")
    service, operation = OPERATIONS.get(action, (SERVICES.get(prefix, prefix), name))
    assert operation in operations(service).values()


def test_the_role_is_passed_to_sagemaker_only():
    passing = [s for _, s in STATEMENTS if "iam:PassRole" in listed(s["Action"])]
    assert len(passing) == 1
    assert listed(passing[0]["Action"]) == ["iam:PassRole"]
    assert passing[0]["Resource"].endswith(":role/${Role}")
    wanted = {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}
    assert passing[0]["Condition"] == wanted


def test_placeholders_stand_in_for_everything_of_an_account():
    text = json.dumps(POLICIES)
    assert set(re.findall(r"\$\{(\w+)\}", text)) == PLACEHOLDERS
    assert not re.search(r"\d{12}", text)


def test_the_names_are_the_courses_own():
    named = [r for _, s in STATEMENTS for r in listed(s["Resource"]) if ":sagemaker:" in r]
    assert named and all(r.endswith(f"/{PREFIX}*") for r in named)
    pulled = [r for _, s in STATEMENTS for r in listed(s["Resource"]) if ":ecr:" in r]
    used = {name.partition(":")[0] for name in images.PATCHED_UNTIL}
    assert {r.rpartition("/")[2] for r in pulled} == used


def calls():
    """What the notebooks' code calls on boto3's clients: (service, operation)."""
    clients = {
        "sagemaker": "sagemaker",
        "runtime": "sagemaker-runtime",
        "logs": "logs",
        "s3": "s3",
        "cloudwatch": "cloudwatch",
    }
    for notebook in sorted((ROOT / "notebooks").glob("[0-9]*.ipynb")):
        cells = json.loads(notebook.read_text())["cells"]
        code = "\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "code")
        # boto3.client("logs").method( and the variables that hold clients
        for name, method in re.findall(r"(\w+)\"?\)?\.(\w+)\(", code):
            service = clients.get(name)
            if service and method in operations(service):
                yield service, operations(service)[method]


def test_the_user_may_make_every_call_of_the_notebooks():
    spelled = {pair: action for action, pair in OPERATIONS.items()}
    needed = {spelled.get((s, o), f"{s}:{o}") for s, o in calls()}
    assert "s3:ListBucket" in needed
    needed |= {"logs:DescribeLogStreams", "logs:GetLogEvents"}  # what course.jobs asks
    assert needed <= set(actions("user"))


def test_each_fits_into_a_managed_policy():
    for policy in POLICIES.values():  # IAM's limit; white space does not count
        assert len("".join(json.dumps(policy).split())) <= 6144
