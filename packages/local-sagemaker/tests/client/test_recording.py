"""Requests are recognised by AWS's models, checked by them, and recorded without their secrets."""

import base64
import json

import pytest

from local_sagemaker.client.recording import SECRET, Journal, body_member, recognise, with_length

FORM = "application/x-www-form-urlencoded; charset=utf-8"


def signed(service: str, **headers: str) -> dict[str, str]:
    scope = f"Credential=AKIATHEKEY/20260101/us-west-2/{service}/aws4_request"
    return {"Authorization": f"AWS4-HMAC-SHA256 {scope}, Signature=abcdef", **headers}


def asked(service, method, target, body=b"", **headers):
    return recognise("host", method, target, signed(service, **headers), body)


@pytest.mark.parametrize(
    ("method", "target", "operation", "params"),
    [
        ("GET", "/", "ListBuckets", {}),
        ("HEAD", "/dogs", "HeadBucket", {"Bucket": "dogs"}),
        ("PUT", "/dogs", "CreateBucket", {"Bucket": "dogs"}),
        ("GET", "/dogs?list-type=2&max-keys=1", "ListObjectsV2", {"Bucket": "dogs", "MaxKeys": 1}),
        ("GET", "/dogs?location", "GetBucketLocation", {"Bucket": "dogs"}),
        ("GET", "/dogs/a%20b/c+d%2541", "GetObject", {"Bucket": "dogs", "Key": "a b/c+d%41"}),
        ("PUT", "/dogs/key", "PutObject", {"Bucket": "dogs", "Key": "key", "Body": 0}),
        ("POST", "/dogs/key?uploads", "CreateMultipartUpload", {"Bucket": "dogs", "Key": "key"}),
        ("DELETE", "/dogs/key", "DeleteObject", {"Bucket": "dogs", "Key": "key"}),
    ],
)
def test_s3_is_told_by_method_path_and_query(method, target, operation, params):
    call = asked("s3", method, target)
    assert (call.service, call.operation, call.params) == ("s3", operation, params)
    assert (call.problems, call.region) == ([], "us-west-2")


def test_the_rest_of_an_upload():
    call = asked("s3", "PUT", "/dogs/key?partNumber=2&uploadId=x", b"12345")
    assert (call.operation, call.params["PartNumber"], call.params["Body"]) == ("UploadPart", 2, 5)
    body = b"<Delete><Object><Key>a</Key></Object><Object><Key>b</Key></Object></Delete>"
    call = asked("s3", "POST", "/dogs?delete", body)
    assert call.params["Delete"]["Objects"] == [{"Key": "a"}, {"Key": "b"}]
    call = asked("s3", "PUT", "/dogs?policy", b'{"Version": 1}')  # all of the body, and no blob
    assert (call.params["Policy"], call.problems) == ('{"Version": 1}', [])


def test_json_query_and_rest_json():
    target = {"X-Amz-Target": "SageMaker.DescribeTrainingJob"}
    call = asked("sagemaker", "POST", "/", b'{"TrainingJobName": "dog"}', **target)
    assert (call.service, call.operation) == ("sagemaker", "DescribeTrainingJob")
    assert call.params == {"TrainingJobName": "dog"}

    body = (
        b"Action=SimulatePrincipalPolicy&Version=2010-05-08&PolicySourceArn=arn:aws:iam::1:role/r"
    )
    body += b"&ActionNames.member.1=s3%3AGet&ActionNames.member.2=s3%3APut"
    call = asked("iam", "POST", "/", body, **{"Content-Type": FORM})
    assert (call.operation, call.problems) == ("SimulatePrincipalPolicy", [])
    assert call.params["ActionNames"] == ["s3:Get", "s3:Put"]

    call = asked("sagemaker", "POST", "/endpoints/dog/invocations", b"JPEG", Accept="text/csv")
    assert (call.service, call.operation) == ("sagemaker-runtime", "InvokeEndpoint")
    assert call.params == {"EndpointName": "dog", "Accept": "text/csv", "Body": 4}

    body = json.dumps({"Namespace": "n", "MetricName": "m", "StartTime": 1, "EndTime": 2.5})
    target = {"X-Amz-Target": "GraniteServiceVersion20100801.GetMetricStatistics"}
    target["Content-Type"] = "application/x-amz-json-1.0"
    call = asked("monitoring", "POST", "/", body.encode(), **target)
    assert (call.service, call.params["EndTime"]) == ("cloudwatch", 2.5)
    assert "'period' failed" in call.problems[0]  # this one is required


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({}, "'trainingJobName' failed.*Member must not be null"),
        ({"TrainingJobName": "x" * 64}, "length less than or equal to 63|regular expression"),
        ({"TrainingJobName": "under_score"}, "regular expression"),
        ({"TrainingJobName": "dog", "Breed": "x"}, "'Breed' is not a member"),
        ({"TrainingJobName": ["dog"]}, "Start of list found where not expected"),
    ],
)
def test_what_the_model_has_against_a_request(params, words):
    target = {"X-Amz-Target": "SageMaker.StopTrainingJob"}
    call = asked("sagemaker", "POST", "/", json.dumps(params).encode(), **target)
    assert len(call.problems) == 1
    with pytest.raises(AssertionError, match=words):
        raise AssertionError(call.problems[0])


def test_a_value_that_is_not_of_the_enumeration():
    target = {"X-Amz-Target": "SageMaker.ListTrainingJobs"}
    call = asked("sagemaker", "POST", "/", b'{"StatusEquals": "Done"}', **target)
    assert "enum value set: [InProgress" in call.problems[0]


def test_a_body_that_is_too_long_for_its_operation():
    call = asked("sagemaker", "POST", "/endpoints/dog/invocations")
    assert body_member(call) == "Body"
    assert with_length(call, 6291456).problems == []
    assert "6291456" in with_length(call, 6291457).problems[0]


@pytest.mark.parametrize(
    ("service", "method", "target", "headers"),
    [
        ("sagemaker", "POST", "/", {"X-Amz-Target": "SageMaker.CreateDog"}),
        ("dogs", "GET", "/", {}),
        ("sagemaker", "GET", "/nothing/here", {}),
    ],
)
def test_what_no_model_has_is_a_problem(service, method, target, headers):
    call = asked(service, method, target, **headers)
    assert call.operation == "?"
    assert "no operation of" in call.problems[0]


def test_what_cannot_be_read_is_a_problem():
    target = {"X-Amz-Target": "SageMaker.ListTrainingJobs"}
    assert "cannot be read" in asked("sagemaker", "POST", "/", b"{no json", **target).problems[0]


def test_a_request_without_a_signature_has_no_region():
    call = recognise("bucket.s3.amazonaws.com", "GET", "/bucket/key?x=1", {})
    assert (call.service, call.operation, call.region) == ("s3", "GetObject", None)


def test_the_record_holds_no_key_no_signature_no_body_and_nothing_sensitive(tmp_path):
    key = base64.b64encode(b"k" * 32).decode()
    customer = {"x-amz-server-side-encryption-customer-key": key}
    call = asked("s3", "PUT", "/dogs/key", b"the photo", **customer)
    assert call.params["SSECustomerKey"] == SECRET
    Journal(tmp_path / "r.jsonl").write(call)
    text = (tmp_path / "r.jsonl").read_text()
    for secret in ("AKIATHEKEY", "abcdef", key, "the photo"):
        assert secret not in text
    assert json.loads(text)["params"]["Body"] == 9
