"""A forged pagination token is refused as AWS refuses it; those that were given out go on."""

import pytest
from botocore.exceptions import ClientError

from engine_support.clients import BUCKET, unique
from engine_support.signing import ask

FORGED = ["garbage", "0", "1", "-1", "e30=", "ü|<a>&", "x" * 1500]
OF_GROUP = {"logGroupName": "/tokens"}
QUERY = {
    "MetricDataQueries": [
        {
            "Id": "a",
            "MetricStat": {
                "Metric": {"Namespace": "n", "MetricName": "m"},
                "Period": 60,
                "Stat": "Sum",
            },
        }
    ],
    "StartTime": "2026-01-01",
    "EndTime": "2026-01-02",
}
ROLE = {"RoleName": "local-sagemaker"}
CALLS = [
    ("sagemaker", "list_training_jobs", {}, "NextToken", "ValidationException"),
    ("sagemaker", "list_models", {}, "NextToken", "ValidationException"),
    ("s3", "list_objects_v2", {"Bucket": BUCKET}, "ContinuationToken", "InvalidArgument"),
    ("s3", "list_buckets", {}, "ContinuationToken", "InvalidArgument"),
    ("logs", "describe_log_groups", {}, "nextToken", "InvalidParameterException"),
    ("logs", "describe_log_streams", OF_GROUP, "nextToken", "InvalidParameterException"),
    ("logs", "filter_log_events", OF_GROUP, "nextToken", "InvalidParameterException"),
    ("logs", "describe_queries", {}, "nextToken", "InvalidParameterException"),
    ("logs", "get_log_events", {**OF_GROUP, "logStreamName": "s"}, "nextToken",
     "InvalidParameterException"),
    ("cloudwatch", "list_metrics", {}, "NextToken", "InvalidNextToken"),
    ("cloudwatch", "describe_alarms", {}, "NextToken", "InvalidNextToken"),
    ("cloudwatch", "get_metric_data", QUERY, "NextToken", "InvalidNextToken"),
    ("iam", "list_roles", {}, "Marker", "ValidationError"),
    ("iam", "list_policies", {}, "Marker", "ValidationError"),
    ("iam", "list_attached_role_policies", ROLE, "Marker", "ValidationError"),
    ("iam", "list_users", {}, "Marker", "ValidationError"),
]  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def group(aws):
    aws.logs.create_log_group(logGroupName="/tokens")
    aws.logs.create_log_stream(logGroupName="/tokens", logStreamName="s")


@pytest.mark.parametrize(("service", "call", "members", "token", "code"), CALLS)
def test_a_forged_token_is_refused(aws, service, call, members, token, code):
    client = aws.client(service)
    for forged in FORGED:
        with pytest.raises(ClientError) as caught:
            getattr(client, call)(**members, **{token: forged})
        assert caught.value.response["Error"]["Code"] == code
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


@pytest.mark.parametrize("body", [b'{"nextToken": 5}', b'{"nextToken": ["x"]}'])
def test_a_token_that_is_no_text(aws, body):
    target = {"X-Amz-Target": "Logs_20140328.DescribeLogGroups"}
    assert ask(aws, "POST", "/", body, "logs", **target)[0] == 400


def test_forms_of_cloudwatch_are_looked_at_too(aws):
    body = b"Action=ListMetrics&Version=2010-08-01&NextToken=x"
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    status, said = ask(aws, "POST", "/", body, "monitoring", **form)
    assert (status, b"<Code>InvalidNextToken</Code>" in said) == (400, True)


def test_pages_go_on(aws):
    prefix = unique("pages")
    for number in range(5):
        aws.s3.put_object(Bucket=BUCKET, Key=f"{prefix}/{number} &<", Body=b"")
    pages = aws.s3.get_paginator("list_objects_v2").paginate(
        Bucket=BUCKET, Prefix=prefix, PaginationConfig={"PageSize": 2}
    )
    assert len([page for page in pages if page["Contents"]]) == 3
    for number in range(5):
        aws.logs.create_log_group(logGroupName=f"/{prefix}/{number}")
        aws.logs.create_log_stream(logGroupName=f"/{prefix}/0", logStreamName=f"s{number}")
    pages = aws.logs.get_paginator("describe_log_groups").paginate(
        logGroupNamePrefix=f"/{prefix}", PaginationConfig={"PageSize": 2}
    )
    assert sum(len(page["logGroups"]) for page in pages) == 5
    pages = aws.logs.get_paginator("describe_log_streams").paginate(
        logGroupName=f"/{prefix}/0", PaginationConfig={"PageSize": 2}
    )
    assert sum(len(page["logStreams"]) for page in pages) == 5
    for number in range(3):
        aws.iam.create_role(RoleName=f"{prefix}-{number}", AssumeRolePolicyDocument="{}")
    pages = aws.iam.get_paginator("list_roles").paginate(PaginationConfig={"PageSize": 1})
    assert prefix in {role["RoleName"][:-2] for page in pages for role in page["Roles"]}
    data = [{"MetricName": f"m{number}", "Value": 1} for number in range(600)]
    aws.cloudwatch.put_metric_data(Namespace=prefix, MetricData=data)
    pages = aws.cloudwatch.get_paginator("list_metrics").paginate(Namespace=prefix)
    assert sum(len(page["Metrics"]) for page in pages) == 600


def test_a_token_is_good_for_its_own_operation_only(aws):
    prefix = unique("own")
    for number in range(3):
        aws.iam.create_role(RoleName=f"{prefix}-{number}", AssumeRolePolicyDocument="{}")
    marker = aws.iam.list_roles(MaxItems=1)["Marker"]
    assert aws.iam.list_roles(MaxItems=1, Marker=marker)["Roles"]
    with pytest.raises(ClientError, match="ValidationError"):
        aws.iam.list_policies(Marker=marker)
