"""The SageMaker protocol: errors are AWS's, and garbage is the client's fault."""

import json
from io import BytesIO

import pytest
from botocore.exceptions import ClientError

from engine_support.clients import training_request, unique
from engine_support.signing import ask
from local_sagemaker.api import SageMakerApi
from local_sagemaker.core.errors import ApiError


def post(aws, body: bytes, target: str = "SageMaker.CreateTrainingJob", **headers):
    """One raw request; status and parsed answer."""
    headers = {"X-Amz-Target": target, **headers}
    status, content = ask(aws, "POST", "/", body, "sagemaker", **headers)
    return status, json.loads(content)


def job_names(aws):
    pages = aws.sagemaker.get_paginator("list_training_jobs").paginate(MaxResults=100)
    return {j["TrainingJobName"] for page in pages for j in page["TrainingJobSummaries"]}


@pytest.mark.parametrize(
    "body",
    [
        b"not json",
        b"\xff\xfe\x00",
        b"[1, 2]",
        b'"text"',
        b"[" * 100_000,
        b'{"TrainingJobName": {"a": 1}}',
        b'{"TrainingJobName": NaN}',
        b"",
        b"null",
    ],
)
def test_garbage_is_refused_not_an_internal_error(aws, body):
    before = job_names(aws)
    status, answer = post(aws, body)
    assert status == 400
    assert answer["__type"] in {"SerializationException", "ValidationException"}
    assert answer["message"]
    assert job_names(aws) == before


def test_what_no_json_of_aws_holds_is_refused(aws):
    status, answer = post(aws, b'{"CreationTimeAfter": NaN}', "SageMaker.ListTrainingJobs")
    assert (status, answer["__type"]) == (400, "SerializationException")
    request = training_request(HyperParameters={"lr": "\ud800"})
    status, answer = post(aws, json.dumps(request).encode())
    assert (status, answer["__type"]) == (400, "SerializationException")


@pytest.mark.parametrize("target", ["SageMaker.CreateUnicorn", "SageMaker.", "Nobody", ""])
def test_unknown_operations(aws, target):
    status, answer = post(aws, b"{}", target)
    assert (status, answer["__type"]) == (400, "UnknownOperationException")


def test_an_operation_of_aws_that_is_not_done_here_says_what_is(aws):
    with pytest.raises(ClientError, match=r"local_sagemaker does not do ListDomains.*AddTags"):
        aws.sagemaker.list_domains()


def test_null_members_are_members_left_out(aws):
    request = training_request("true", HyperParameters=None, Tags=None)
    status, _ = post(aws, json.dumps(request).encode())
    assert status == 200
    assert aws.job(request["TrainingJobName"])["TrainingJobStatus"] == "Completed"


def test_a_refused_request_changes_nothing(aws):
    before, name = job_names(aws), unique()
    request = training_request(TrainingJobName=name)
    request["ResourceConfig"]["InstanceCount"] = -1
    status, answer = post(aws, json.dumps(request).encode())
    assert (status, answer["__type"]) == (400, "ValidationException")
    assert "resourceConfig.instanceCount" in answer["message"]
    assert job_names(aws) == before


def answered(handlers, target="SageMaker.ListModels", body=b"{}"):
    said = {}
    environ = {"HTTP_X_AMZ_TARGET": target, "CONTENT_LENGTH": str(len(body))}
    environ["wsgi.input"] = BytesIO(body)
    content = SageMakerApi(handlers)(
        environ, lambda status, headers: said.update(status=status, headers=dict(headers))
    )
    return said["status"], said["headers"], json.loads(content[0])


def test_a_defect_of_ours_is_an_internal_failure():
    status, headers, answer = answered({"ListModels": lambda request: 1 / 0})
    assert status == "500 InternalFailure"
    assert headers["x-amzn-ErrorType"] == answer["__type"] == "InternalFailure"
    assert "ListModels" in answer["message"]


def test_a_handlers_error_is_told_with_its_code():
    def refuse(request):
        raise ApiError("ResourceInUse", "taken")

    status, headers, answer = answered({"ListModels": refuse})
    assert status == "400 ResourceInUse"
    assert answer == {"__type": "ResourceInUse", "message": "taken"}
    assert headers["x-amzn-ErrorType"] == "ResourceInUse"
