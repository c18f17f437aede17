"""Studio's apps and disks, with their prices: answers as AWS's API models have them."""

from datetime import UTC, datetime

import boto3
import pytest
from botocore.stub import Stubber

from course.account import standing, studio

MOMENT = datetime(2026, 11, 29, tzinfo=UTC)
ASKED = {"SortBy": "CreationTime", "SortOrder": "Ascending"}
APPS = [
    ("dogs", "JupyterLab", "InService", "ml.t3.medium"),
    ("cats", "CodeEditor", "Pending", "ml.p2.16xlarge"),
    ("gone", "JupyterLab", "Deleted", "ml.t3.medium"),
    (None, "JupyterServer", "InService", "system"),
]


@pytest.fixture
def stub():
    client = boto3.client(
        "sagemaker", "us-east-1", aws_access_key_id="k", aws_secret_access_key="s"
    )
    with Stubber(client) as stub:
        yield stub


def app(space, kind, status, instance):
    owner = {"SpaceName": space} if space else {"UserProfileName": "me"}
    described = {"AppType": kind, "AppName": "default", "Status": status, "CreationTime": MOMENT}
    return described | owner | {"DomainId": "d-1", "ResourceSpec": {"InstanceType": instance}}


def space(name, **settings):
    return {"DomainId": "d-1", "SpaceName": name, "CreationTime": MOMENT, **settings}


def test_apps_that_run_and_disks_are_listed_and_never_ours(stub):
    storage = {"EbsStorageSettings": {"EbsVolumeSizeInGb": 30}}
    dogs = space("dogs", SpaceSettingsSummary={"SpaceStorageSettings": storage})
    pages = [{"Apps": [app(*APPS[0])], "NextToken": "more"}, {"Apps": [app(*a) for a in APPS[1:]]}]
    stub.add_response("list_apps", pages[0], ASKED)
    stub.add_response("list_apps", pages[1], ASKED | {"NextToken": "more"})
    stub.add_response("list_spaces", {"Spaces": [dogs, space("old")]}, ASKED)
    things = studio.found(stub.client)
    assert [(each.kind, each.name, each.hourly) for each in things] == [
        ("Studio app", "dogs/JupyterLab", 0.05),
        ("Studio app", "cats/CodeEditor", None),
        ("Studio app", "me/JupyterServer", 0),
        ("Studio space", "dogs", pytest.approx(30 * 0.112 / 730)),
    ]
    told = standing.table(things)
    (line,) = [line for line in told.splitlines() if "Studio space" in line]
    assert line.split()[:6] == ["other", "Studio", "space", "dogs", "30", "GB"]
    assert line.endswith("0.005 USD an hour, 3 USD a month")
    assert standing.remove(stub.client, things) == []  # nothing is asked


def test_what_one_may_not_list_is_left_out_and_other_errors_are_told(stub):
    stub.add_client_error("list_apps", "AccessDeniedException")
    stub.add_client_error("list_spaces", "UnknownOperationException")
    assert studio.found(stub.client) == []
    stub.add_client_error("list_apps", "ThrottlingException")
    with pytest.raises(stub.client.exceptions.ClientError, match="ThrottlingException"):
        studio.found(stub.client)
