"""Filters, orders and pages."""

import pytest

from local_sagemaker.listing import cut, page
from local_sagemaker.validation import ApiError

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


def names(**request):
    return [
        j["TrainingJobName"] for j in page(JOBS, request, "TrainingJob")["TrainingJobSummaries"]
    ]


def test_the_newest_comes_first_unless_asked_otherwise():
    assert names() == ["dog-a", "cat", "dog-b"]
    assert names(SortOrder="Ascending") == ["dog-b", "cat", "dog-a"]
    assert names(SortBy="Name", SortOrder="Ascending") == ["cat", "dog-a", "dog-b"]
    assert names(SortBy="Status", SortOrder="Descending")[0] == "cat"


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ({"NameContains": "dog"}, {"dog-a", "dog-b"}),
        ({"StatusEquals": "Failed"}, {"cat"}),
        ({"CreationTimeAfter": 1.5}, {"cat", "dog-a"}),
        ({"CreationTimeBefore": 1.5}, {"dog-b"}),
        ({"LastModifiedTimeAfter": 12.5}, {"dog-a"}),
        ({"LastModifiedTimeBefore": 11.5, "NameContains": "dog"}, {"dog-b"}),
    ],
)
def test_filters(request_, expected):
    assert set(names(**request_)) == expected


def test_pages_join_to_the_whole():
    found, token = [], {}
    while True:
        answer = cut(list(range(25)), {"MaxResults": 10, **token}, "Items")
        found += answer["Items"]
        if "NextToken" not in answer:
            break
        token = {"NextToken": answer["NextToken"]}
    assert found == list(range(25))


def test_a_page_holds_ten_unless_asked_otherwise():
    assert len(cut(list(range(25)), {}, "Items")["Items"]) == 10


def test_a_token_of_nobodys_is_refused():
    with pytest.raises(ApiError, match="Invalid NextToken 'x'"):
        cut([], {"NextToken": "x"}, "Items")


def test_models_come_in_the_member_that_aws_uses():
    model = {"ModelName": "m", "CreationTime": 1.0, "LastModifiedTime": 1.0}
    assert page([model], {}, "Model") == {"Models": [model]}
