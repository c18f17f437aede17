"""Filters, orders and pages."""

import base64
import re

import botocore.session
import pytest

from local_sagemaker.core.errors import ApiError
from local_sagemaker.core.kinds import ENDPOINT, ENDPOINT_CONFIG, MODEL, TRAINING_JOB
from local_sagemaker.core.listing import cut, page

JOBS = [
    {
        "TrainingJobName": name,
        "CreationTime": created,
        "LastModifiedTime": created + 10,
        "TrainingJobStatus": status,
    }
    for name, created, status in [
        ("dog-b", 1.0, "Completed"),
        ("cat", 2.0, "Failed"),
        ("dog-a", 3.0, "Completed"),
    ]
]
JOBS[1]["ResourceConfig"] = {"TrainingPlanArn": "arn:plan"}


def names(**request):
    return [j["TrainingJobName"] for j in page(JOBS, request, TRAINING_JOB)["TrainingJobSummaries"]]


def test_training_jobs_begin_with_the_oldest_unless_asked_otherwise():
    assert names() == ["dog-b", "cat", "dog-a"]
    assert names(SortOrder="Descending") == ["dog-a", "cat", "dog-b"]
    assert names(SortBy="Name") == ["cat", "dog-a", "dog-b"]
    assert names(SortBy="Status", SortOrder="Descending")[0] == "cat"


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ({"NameContains": "dog"}, {"dog-a", "dog-b"}),
        ({"StatusEquals": "Failed"}, {"cat"}),
        ({"CreationTimeAfter": 1.5}, {"cat", "dog-a"}),
        ({"CreationTimeBefore": 1.5}, {"dog-b"}),
        ({"LastModifiedTimeAfter": 12.5}, {"dog-a"}),
        ({"WarmPoolStatusEquals": "InUse"}, set()),
        ({"TrainingPlanArnEquals": "arn:plan"}, {"cat"}),
        ({"LastModifiedTimeBefore": 11.5, "NameContains": "dog"}, {"dog-b"}),
    ],
)
def test_filters(request_, expected):
    assert set(names(**request_)) == expected


def pages(found, request, change=lambda found: None, **options):
    """Items of all pages, `found` being changed after each of them."""
    shown, token = [], {}
    while True:
        answer = cut(list(found), {**request, **token}, "Items", key=lambda i: [i], **options)
        shown += answer["Items"]
        if "NextToken" not in answer:
            return shown
        token = {"NextToken": answer["NextToken"]}
        change(found)


@pytest.mark.parametrize("descending", [False, True])
def test_pages_join_to_the_whole(descending):
    shown = pages(list(range(25)), {"MaxResults": 4}, descending=descending)
    assert shown == sorted(range(25), reverse=descending)


@pytest.mark.parametrize("descending", [False, True])
def test_what_comes_or_goes_between_pages_moves_nothing_else(descending):
    found, new = list(range(10, 30)), iter([1, 99, 2, 98, 3, 97, 4, 96, 5, 95])

    def change(found):
        found.append(next(new))
        found.remove(10 if descending else 29)
        found.append(10 if descending else 29)

    shown = pages(found, {"MaxResults": 3}, change, descending=descending)
    assert [item for item in shown if 10 <= item < 30] == sorted(range(10, 30), reverse=descending)


def test_equal_orders_are_told_apart_by_the_name():
    jobs = [{**JOBS[0], "TrainingJobName": f"job-{n}"} for n in range(7)]
    first = page(jobs, {"MaxResults": 4}, TRAINING_JOB)
    token = {"MaxResults": 4, "NextToken": first["NextToken"]}
    second = page(jobs, token, TRAINING_JOB)
    shown = [j["TrainingJobName"] for a in (first, second) for j in a["TrainingJobSummaries"]]
    assert sorted(shown) == [f"job-{n}" for n in range(7)]


LISTS = {
    TRAINING_JOB: "ListTrainingJobs",
    MODEL: "ListModels",
    ENDPOINT_CONFIG: "ListEndpointConfigs",
    ENDPOINT: "ListEndpoints",
}


@pytest.mark.parametrize("kind", LISTS, ids=LISTS.get)
def test_the_order_is_that_of_botocores_text(kind):
    shape = botocore.session.get_session().get_service_model("sagemaker")
    members = shape.operation_model(LISTS[kind]).input_shape.members
    assert "The default is <code>CreationTime</code>" in members["SortBy"].documentation
    (order,) = re.findall("The default is <code>(.*?)</code>", members["SortOrder"].documentation)
    found = [
        {kind.name_member: name, "CreationTime": at} for name, at in [("old", 1.0), ("new", 2.0)]
    ]
    (shown,) = page(found, {}, kind).values()
    expected = ["old", "new"] if order == "Ascending" else ["new", "old"]
    assert [item[kind.name_member] for item in shown] == expected


def test_a_page_holds_ten_unless_asked_otherwise():
    assert len(cut(list(range(25)), {}, "Items", key=lambda i: [i])["Items"]) == 10


def deep():
    return base64.urlsafe_b64encode(b"[" * 5000).decode()


@pytest.mark.parametrize("token", ["x", "10", "", "!", "WzEsIDJd", deep()])
def test_a_token_of_nobodys_is_refused(token):
    with pytest.raises(ApiError, match="Invalid NextToken") as caught:
        cut([1], {"NextToken": token}, "Items", key=lambda i: [i])
    assert caught.value.code == "ValidationException"


def test_a_token_belongs_to_one_listing():
    request = {"MaxResults": 1, "NameContains": "dog"}
    token = page(JOBS, request, TRAINING_JOB)["NextToken"]
    for other in ({"NameContains": "cat"}, {"SortBy": "Name"}, {"StatusEquals": "Failed"}):
        with pytest.raises(ApiError, match="Invalid NextToken"):
            page(JOBS, {**request, **other, "NextToken": token}, TRAINING_JOB)
    again = page(JOBS, {**request, "MaxResults": 5, "NextToken": token}, TRAINING_JOB)
    assert [j["TrainingJobName"] for j in again["TrainingJobSummaries"]] == ["dog-a"]


@pytest.mark.parametrize(("kind", "found"), [(TRAINING_JOB, []), (MODEL, ["m"])])
def test_whether_after_takes_the_moment_itself(kind, found):
    item = {kind.name_member: "m", "CreationTime": 1.0, "LastModifiedTime": 1.0}
    (shown,) = page([item], {"CreationTimeAfter": 1.0}, kind).values()
    assert [one[kind.name_member] for one in shown] == found


def test_models_come_in_the_member_that_aws_uses():
    model = {"ModelName": "m", "CreationTime": 1.0, "LastModifiedTime": 1.0}
    assert page([model], {}, MODEL) == {"Models": [model]}
