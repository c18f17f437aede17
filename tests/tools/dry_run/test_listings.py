"""A request for a list that names no order, or of whose pages only the first one is read."""

import pytest

from tools.dry_run.listings import problems
from tools.dry_run.record import Call

LAST = {"SortBy": "CreationTime", "SortOrder": "Descending"}


def call(name, more=False, status=200, **params):
    service, _, operation = name.partition(":")
    return Call(service, operation, region="us-east-1", params=params, more=more, status=status)


def events(**params):
    group = {"logGroupName": "/g", "logStreamName": "s"}
    return call("logs:GetLogEvents", **group | params)


def models(more=False, **params):
    return call("sagemaker:ListModels", more, **LAST | params)


def objects(more=False, **params):
    return call("s3:ListObjectsV2", more, Bucket="b", **params)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (call("sagemaker:ListTrainingJobs", SortBy="Name"), "default of SortOrder"),
        (call("sagemaker:ListEndpoints"), "default of SortBy and SortOrder"),
        (
            call("sagemaker:ListTrainingJobsForHyperParameterTuningJob", MaxResults=9, SortBy="x"),
            "default of SortOrder",
        ),
        (call("logs:DescribeLogStreams", logGroupName="/g"), "default of orderBy"),
    ],
)
def test_a_default_order(asked, words):
    (found,) = problems([asked])
    assert asked.name in found and words in found and "name the order" in found


def test_the_end_of_a_log_comes_first_unless_its_beginning_is_asked_for():
    found = list(problems([events(), events(nextToken="f/1")]))
    assert len(found) == 1 and "default of startFromHead" in found[0]
    assert not list(problems([events(startFromHead=True), events(nextToken="f/1")]))


def test_orders_that_are_named_or_do_not_exist():
    streams = call("logs:DescribeLogStreams", logGroupName="/g", orderBy="LogStreamName")
    tags = call("sagemaker:ListTags", ResourceArn="arn")
    assert not list(problems([models(), streams, tags, objects()]))


def test_the_order_that_the_sdk_leaves_open():
    name = "sagemaker:ListTrainingJobsForHyperParameterTuningJob"
    asked = {"HyperParameterTuningJobName": "t", "MaxResults": 100}
    assert not list(problems([call(name, True, **asked), call(name, NextToken="2", **asked)]))
    (found,) = problems([call(name, HyperParameterTuningJobName="t")])
    assert "name the order" in found


@pytest.mark.parametrize(
    "asked",
    [
        [models(more=True)],
        [models(more=True, NameContains="a"), models(NameContains="b", NextToken="2")],
        [objects(more=True), objects(more=True, ContinuationToken="2")],
        [objects(more=True, MaxKeys=50)],
        [call("s3:ListObjects", True, Bucket="b", Marker="k")],
        [events(startFromHead=True)],
    ],
)
def test_one_page_of_several(asked):
    (found,) = problems(asked)
    assert asked[0].name in found and "follow the pages to the end" in found


@pytest.mark.parametrize(
    "asked",
    [
        [models(more=True), models(NextToken="2")],
        [objects(more=True), objects(more=True), objects(ContinuationToken="2")],
        [objects(more=True, MaxKeys=1)],
        [models(more=True, StatusEquals="Completed")],
        [events(startFromHead=True), events(startFromHead=True, nextToken="f/1")],
        [call("sagemaker:ListModels", status=403)],
        [Call("?", "?", "pypi.org")],
    ],
)
def test_lists_that_are_read_as_far_as_needed(asked):
    assert not list(problems(asked))
