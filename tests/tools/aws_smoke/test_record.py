"""What a record holds of an answer, and what it leaves out."""

import json
from datetime import UTC, datetime

import pytest
from botocore.exceptions import ClientError

from tools.aws_smoke.record import Record, read

NAMES = {"bucket": "sagemaker-eu-west-1-210987654321", "run": "smoke-1", "region": "eu-west-1"}


class Client:
    """Answers as a client of boto3 does."""

    class meta:
        class service_model:
            service_name = "sagemaker"

    def __init__(self, answer):
        self.answer = answer

    def describe_model(self, **params):
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def plain(value):
    return Record(NAMES).plain(value)


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        ("arn:aws:sagemaker:eu-west-1:210987654321:model/smoke-1",
         "arn:aws:sagemaker:(region):(account):model/(run)"),
        ("s3://sagemaker-eu-west-1-210987654321/smoke-1/data", "s3://(bucket)/(run)/data"),
        ("key AKIAIOSFODNN7EXAMPLE and ASIAIOSFODNN7EXAMPLE.", "key (key) and (key)."),
        ("smoke-1-001-0a1b2c3d/algo-1-1764412345", "(run)-(tuned job)/algo-1-(time)"),
        ("4f0c3d52-5a0b-4b1c-9d3e-0123456789ab", "(id)"),
        ("ask jane.doe@example.com", "ask (address)"),
        ("ml.m5.large", "ml.m5.large"),
        ('"766431223580379def3427f24cf14163"', '"766431223580379def3427f24cf14163"'),
        ('"no\nTraceback (most recent call last):\n  File "/a/b.py"\nE: no\n". See the log',
         '"no\n(traceback)\n". See the log'),
        (datetime(2026, 11, 29, tzinfo=UTC), "(time)"),
        ([1, 2.5, True, None], [1, 2.5, True, None]),
        (b"body", "(bytes)"),
    ],
)  # fmt: skip
def test_what_is_the_accounts_own_is_replaced(told, kept):
    assert plain(told) == kept


def test_names_within_names_are_replaced_whole():
    assert plain({"smoke-1": ["smoke-1"]}) == {"(run)": ["(run)"]}


def test_no_header_and_no_token_is_recorded(tmp_path):
    record = Record(NAMES)
    answer = {"ModelName": "smoke-1", "ResponseMetadata": {"RequestId": "x"}, "NextToken": "y"}
    assert record.ask("model", Client(answer), "describe_model", ModelName="smoke-1") == answer
    record.write(tmp_path / "new" / "record.json", "AWS")
    assert read(tmp_path / "new" / "record.json")["answers"] == [
        {"step": "model", "operation": "sagemaker:describe_model", "answer": {"ModelName": "(run)"}}
    ]


def test_an_error_is_an_answer():
    told = {"Code": "ValidationException", "Message": "no model smoke-1 of 210987654321"}
    response = {"Error": told, "ResponseMetadata": {"HTTPStatusCode": 400, "RequestId": "x"}}
    record = Record(NAMES)
    client = Client(ClientError(response, "DescribeModel"))
    assert record.ask("refused", client, "describe_model") is None
    assert record.answers[0]["error"] == {
        "code": "ValidationException", "message": "no model (run) of (account)", "status": 400
    }  # fmt: skip


def test_another_file_is_no_record(tmp_path):
    (tmp_path / "other.json").write_text(json.dumps([]))
    with pytest.raises(ValueError, match="is no record of make aws-smoke"):
        read(tmp_path / "other.json")
