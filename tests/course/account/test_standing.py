"""Prices of what stands, and what a caller may not see: against moto's AWS, which has it all."""

from datetime import UTC, datetime

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber
from moto import mock_aws

from course.account import standing
from course.account.standing import Standing, found, table

TAGS = [standing.TAG]
ROLE = "arn:aws:iam::123456789012:role/jobs"


@pytest.fixture
def sagemaker(monkeypatch):
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    with mock_aws():
        yield boto3.client(
            "sagemaker", "us-east-1", aws_access_key_id="k", aws_secret_access_key="s"
        )


def deploy(sagemaker, name, tags=TAGS, **variant):
    image = "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-inference:2.6.0"
    sagemaker.create_model(
        ModelName=name, PrimaryContainer={"Image": image}, ExecutionRoleArn=ROLE, Tags=tags
    )
    variant = {"VariantName": "AllTraffic", "ModelName": name, **variant}
    sagemaker.create_endpoint_config(
        EndpointConfigName=name, ProductionVariants=[variant], Tags=tags
    )
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name, Tags=tags)


def prices(sagemaker):
    return {each.name: each.hourly for each in found(sagemaker, ("endpoint", "notebook instance"))}


def test_an_endpoint_costs_all_its_instances(sagemaker):
    deploy(sagemaker, "two", InstanceType="ml.g4dn.xlarge", InitialInstanceCount=2)
    assert prices(sagemaker) == {"two": pytest.approx(2 * 0.736)}


def test_a_serverless_endpoint_costs_nothing_while_nobody_asks(sagemaker):
    deploy(sagemaker, "free", ServerlessConfig={"MemorySizeInMB": 2048, "MaxConcurrency": 1})
    assert prices(sagemaker) == {"free": 0}


def test_a_price_that_is_not_in_the_table(sagemaker):
    deploy(sagemaker, "large", InstanceType="ml.p2.16xlarge", InitialInstanceCount=1)
    assert prices(sagemaker) == {"large": None}
    assert "price not known" in table(found(sagemaker, ("endpoint",)))


def test_a_notebook_instance_is_listed_and_never_ours_to_remove(sagemaker):
    sagemaker.create_notebook_instance(
        NotebookInstanceName="desk", InstanceType="ml.t3.medium", RoleArn=ROLE, Tags=TAGS
    )
    (desk,) = found(sagemaker, ("notebook instance",))
    assert (desk.name, desk.hourly) == ("desk", 0.05)
    assert standing.remove(sagemaker, [desk]) == []
    assert [each.name for each in found(sagemaker, ("notebook instance",))] == ["desk"]


class Refusing:
    """A client whose caller may not do some operations."""

    def __init__(self, client, *denied):
        self.client, self.denied = client, denied

    def __getattr__(self, name):
        if name in self.denied:
            return self.refuse
        return getattr(self.client, name)

    def refuse(self, **_):
        told = {"Error": {"Code": "AccessDeniedException", "Message": "not authorized"}}
        raise ClientError(told, "DescribeEndpointConfig")

    def get_paginator(self, operation):
        if operation in self.denied:
            self.refuse()
        return self.client.get_paginator(operation)


def test_a_foreign_endpoint_that_one_may_not_look_at_is_listed_all_the_same(sagemaker):
    deploy(sagemaker, "theirs", [], InstanceType="ml.m5.large", InitialInstanceCount=1)
    limited = Refusing(sagemaker, "describe_endpoint_config", "list_tags")
    (theirs,) = found(limited, ("endpoint",))
    assert (theirs.ours, theirs.hourly) == (False, None)


def test_kinds_that_one_may_not_list_are_left_out_unless_that_is_all(sagemaker):
    deploy(sagemaker, "one", InstanceType="ml.m5.large", InitialInstanceCount=1)
    limited = Refusing(sagemaker, "list_notebook_instances")
    assert [each.name for each in found(limited, ("endpoint", "notebook instance"))] == ["one"]
    with pytest.raises(ClientError):
        found(limited, ("notebook instance",))


def test_the_most_expensive_comes_first_and_the_sum_last():
    def thing(name, hourly, ours=True):
        moment = datetime(2026, 11, 29, tzinfo=UTC)
        return Standing("endpoint", name, "arn", "InService", moment, ours, hourly)

    told = table([thing("cheap", 0.05), thing("dear", 0.736, ours=False), thing("who", None)])
    first, second, third, last = told.splitlines()
    assert "dear" in first and "cheap" in second and "who" in third
    assert first.startswith("other") and "537 USD a month" in first
    assert last == "together 0.786 USD an hour, 574 USD a month; the course's: 0.050 USD an hour"
    assert table([]) == "nothing stands here"


JOBS = {"features": [], "ours": TAGS}  # the tags of processing jobs that run


@pytest.fixture
def processing(sagemaker):
    """A stub that lists `JOBS`, two instances each: moto's end at once, and lack members."""
    arn = "arn:aws:sagemaker:us-east-1:123456789012:processing-job/"
    moment, status = datetime(2026, 11, 29, tzinfo=UTC), "InProgress"
    common = {name: {"ProcessingJobName": name, "ProcessingJobArn": arn + name} for name in JOBS}
    common = {n: c | {"CreationTime": moment, "ProcessingJobStatus": status}
              for n, c in common.items()}  # fmt: skip
    cluster = {"InstanceCount": 2, "InstanceType": "ml.m5.xlarge", "VolumeSizeInGB": 10}
    more = {"AppSpecification": {"ImageUri": "image"}}
    more["ProcessingResources"] = {"ClusterConfig": cluster}
    with Stubber(sagemaker) as stub:
        asked = {"SortBy": "CreationTime", "SortOrder": "Ascending", "StatusEquals": status}
        listed = {"ProcessingJobSummaries": list(common.values())}
        stub.add_response("list_processing_jobs", listed, asked)
        for name, tags in JOBS.items():
            stub.add_response("list_tags", {"Tags": tags}, {"ResourceArn": arn + name})
            named = {"ProcessingJobName": name}
            stub.add_response("describe_processing_job", common[name] | more, named)
        yield stub


def test_processing_jobs_that_run_are_listed_with_their_price(processing):
    listed = found(processing.client, ("processing job",))
    assert [(each.name, each.ours, each.hourly) for each in listed] == [
        ("features", False, 2 * 0.23),
        ("ours", True, 2 * 0.23),
    ]


def test_only_the_courses_own_processing_job_is_stopped(processing):
    listed, said = found(processing.client, ("processing job",)), []
    processing.add_response("list_tags", {"Tags": TAGS}, {"ResourceArn": listed[1].arn})
    processing.add_response("stop_processing_job", {}, {"ProcessingJobName": "ours"})
    assert standing.remove(processing.client, listed, said.append) == []
    processing.assert_no_pending_responses()
    assert said == ["processing job ours: stopping"]
