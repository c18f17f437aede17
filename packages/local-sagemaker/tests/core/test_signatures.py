"""Signatures, as every client makes them, and as none does."""

import io
import time
import urllib.error
import urllib.request
from urllib.parse import urlencode

import boto3
import pytest
import requests
from botocore.exceptions import ClientError

from engine_support.clients import BUCKET, unique
from engine_support.signing import ask, send, signed
from local_sagemaker.core.access_key import AccessKey

KINDS = ["s3", "s3v4"]  # how boto3 may presign for S3: by version 2, its default, and by version 4


def code_of(call, **members) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(**members)
    error = caught.value.response["Error"]
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    return error["Code"], error["Message"]


def of_key(aws, key: AccessKey, service: str, **config):
    """A client with another key."""
    right, aws.key = aws.key, key
    try:
        return aws.client(service, **config)
    finally:
        aws.key = right


# What each protocol is refused with: REST and XML, queries, JSON, CBOR, and REST and JSON.
CALLS = [
    ("s3", "list_buckets", {}, "InvalidAccessKeyId", "SignatureDoesNotMatch"),
    ("s3", "put_object", {"Bucket": BUCKET, "Key": "k", "Body": b"x"}, "InvalidAccessKeyId",
     "SignatureDoesNotMatch"),
    ("s3", "get_object", {"Bucket": BUCKET, "Key": "k"}, "InvalidAccessKeyId",
     "SignatureDoesNotMatch"),
    ("iam", "list_roles", {}, "InvalidClientTokenId", "SignatureDoesNotMatch"),
    ("sts", "get_caller_identity", {}, "InvalidClientTokenId", "SignatureDoesNotMatch"),
    ("sagemaker", "list_models", {}, "InvalidClientTokenId", "InvalidSignatureException"),
    ("logs", "describe_log_groups", {}, "InvalidClientTokenId", "InvalidSignatureException"),
    ("cloudwatch", "list_metrics", {}, "InvalidClientTokenId", "InvalidSignatureException"),
    ("sagemaker-runtime", "invoke_endpoint", {"EndpointName": "e", "Body": b"x"},
     "InvalidClientTokenId", "InvalidSignatureException"),
]  # fmt: skip


@pytest.mark.parametrize(("service", "call", "members", "unknown", "wrong"), CALLS)
def test_a_wrong_key_and_a_wrong_secret_get_awss_codes(aws, service, call, members, unknown, wrong):
    for key in (AccessKey("local", "local"), AccessKey("AKIAIOSFODNN7EXAMPLE", aws.key.secret)):
        code, text = code_of(getattr(of_key(aws, key, service), call), **members)
        assert code == unknown
        assert "`local-sagemaker env`" in text and key.id in text
    code, text = code_of(
        getattr(of_key(aws, AccessKey(aws.key.id, "guessed"), service), call), **members
    )
    assert code == wrong
    assert "`local-sagemaker env`" in text


def test_a_form_of_cloudwatch_is_refused_as_a_form(aws):
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    body = b"Action=ListMetrics&Version=2010-08-01"
    right, aws.key = aws.key, AccessKey("local", "local")
    try:
        status, said = ask(aws, "POST", "/", body, "monitoring", **headers)
    finally:
        aws.key = right
    assert status == 403 and b"<Code>InvalidClientTokenId</Code>" in said


CHANGES = {
    "method": lambda method, path, body, headers: ("PUT", path, body, headers),
    "path": lambda method, path, body, headers: (method, path + "x", body, headers),
    "query": lambda method, path, body, headers: (method, path + "&tagging", body, headers),
    "body": lambda method, path, body, headers: (method, path, body + b" ", headers),
    "digest": lambda method, path, body, headers: (
        method, path, body, {**headers, "x-amz-content-sha256": "UNSIGNED-PAYLOAD"}),
    "header": lambda method, path, body, headers: (
        method, path, body, {**headers, "x-amz-meta-a": "c"}),
    "host": lambda method, path, body, headers: (
        method, path, body, {**headers, "Host": "localhost:1"}),
    "date": lambda method, path, body, headers: (
        method, path, body, {**headers, "X-Amz-Date": "20260101T000000Z"}),
    "none": lambda method, path, body, headers: (
        method, path, body,
        {**headers, "Authorization": headers["Authorization"].partition(", Sig")[0]}),
    "no headers": lambda method, path, body, headers: (
        method, path, body,
        {**headers, "Authorization": headers["Authorization"].partition(", SignedH")[0]}),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_what_was_changed_after_it_was_signed_is_refused(aws, change):
    key = unique("signed")
    request = "POST", f"/{BUCKET}/{key}?uploads", b"", {"x-amz-meta-a": "b"}
    method, path, body, headers = request
    request = method, path, body, signed(aws, method, path, body, **headers)
    assert send(aws, *request[:3], **request[3])[0] == 200
    method, path, body, headers = CHANGES[change](*request)
    status, said = send(aws, method, path, body, **headers)
    assert status in {400, 403}
    assert b"SignatureDoesNotMatch" in said or b"XAmzContentSHA256Mismatch" in said
    listed = aws.s3.list_multipart_uploads(Bucket=BUCKET, Prefix=key)["Uploads"]
    assert [upload["Key"] for upload in listed] == [key]


@pytest.mark.parametrize("name", ["with space", "ü/ß 漢", "a+b&c=d?e#f", "100%", "a//b", "~*'()!@"])
def test_any_key_can_be_signed(aws, name):
    key = f"{unique('signed')}/{name}"
    for kind in KINDS:
        url = aws.client("s3", signature_version=kind).generate_presigned_url(
            "put_object", Params={"Bucket": BUCKET, "Key": key}
        )
        assert requests.put(url, data=kind).status_code == 200
        assert aws.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() == kind.encode()


def test_the_digest_of_an_upload_is_checked(aws):
    key = unique("digest")
    headers = signed(aws, "PUT", f"/{BUCKET}/{key}", b"body")
    status, said = send(aws, "PUT", f"/{BUCKET}/{key}", b"else", **headers)
    assert (status, b"XAmzContentSHA256Mismatch" in said) == (400, True)
    assert aws.keys(key) == []


@pytest.mark.parametrize("kind", KINDS)
class TestPresigned:
    """Addresses that are handed on to who has no key."""

    def made(self, aws, kind, call="get_object", key="k", expires=60, by=None, **members):
        client = of_key(aws, by or aws.key, "s3", signature_version=kind)
        members = {"Bucket": BUCKET, "Key": key, **members}
        return client.generate_presigned_url(call, Params=members, ExpiresIn=expires)

    def test_objects_come_and_go(self, aws, kind):
        key = unique("presigned")
        put = self.made(aws, kind, "put_object", key)
        urllib.request.urlopen(urllib.request.Request(put, b"body", method="PUT"))
        assert requests.get(self.made(aws, kind, key=key)).content == b"body"
        head = requests.head(self.made(aws, kind, "head_object", key))
        assert head.headers["Content-Length"] == "4"
        part = requests.get(self.made(aws, kind, key=key), headers={"Range": "bytes=1-2"})
        assert part.content == b"od"
        assert requests.delete(self.made(aws, kind, "delete_object", key)).status_code == 204
        assert aws.keys(key) == []

    def test_what_is_signed_with_it_counts(self, aws, kind):
        key = unique("presigned")
        url = self.made(aws, kind, "put_object", key, ContentType="image/png")
        sent = {"Content-Type": "image/png"}
        assert requests.put(url, data=b"x", headers=sent).status_code == 200
        assert aws.s3.head_object(Bucket=BUCKET, Key=key)["ContentType"] == "image/png"
        url = self.made(aws, kind, key=key, ResponseContentDisposition="attachment; filename=a b")
        assert requests.get(url).content == b"x"

    def test_a_large_one(self, aws, kind):
        key, content = unique("presigned"), bytes(9_000_000)
        put = self.made(aws, kind, "put_object", key)
        assert requests.put(put, data=io.BytesIO(content)).status_code == 200
        assert requests.get(self.made(aws, kind, key=key)).content == content

    def test_in_parts(self, aws, kind):
        key = unique("presigned")
        url = self.made(aws, kind, "create_multipart_upload", key)
        assert requests.post(url).status_code == 200
        (upload,) = aws.s3.list_multipart_uploads(Bucket=BUCKET, Prefix=key)["Uploads"]
        named = {"UploadId": upload["UploadId"], "PartNumber": 1}
        url = self.made(aws, kind, "upload_part", key, **named)
        assert requests.put(url, data=b"part").status_code == 200

    def test_for_a_bucket(self, aws, kind):
        client = aws.client("s3", signature_version=kind)
        url = client.generate_presigned_url("list_objects_v2", Params={"Bucket": BUCKET})
        assert b"<ListBucketResult" in requests.get(url).content

    def test_it_is_good_for_nothing_else(self, aws, kind):
        key = unique("presigned")
        aws.s3.put_object(Bucket=BUCKET, Key=key, Body=b"kept")
        url = self.made(aws, kind, key=key)
        answers = [
            requests.put(url, data=b"other"),
            requests.delete(url),
            requests.post(url.replace("?", "?uploads&")),
            requests.get(url.replace(key, "other")),
            requests.get(url.replace("127.0.0.1", "127.0.0.1") + "&versionId=null"),
            requests.get(url.partition("Signature=")[0] + "Signature="),
            requests.get(url.partition("Expires=")[0]),
        ]
        for answer in answers:
            assert answer.status_code == 403
            assert b"SignatureDoesNotMatch" in answer.content or b"expired" in answer.content
        assert aws.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() == b"kept"

    def test_its_time_and_its_key_count(self, aws, kind):
        late = self.made(aws, kind, expires=1)
        time.sleep(2.1)
        answer = requests.get(late)
        assert answer.status_code == 403 and b"Request has expired" in answer.content
        answer = requests.get(self.made(aws, kind, by=AccessKey("local", "local")))
        assert answer.status_code == 403 and b"InvalidAccessKeyId" in answer.content
        answer = requests.get(self.made(aws, kind, by=AccessKey(aws.key.id, "guessed")))
        assert answer.status_code == 403 and b"SignatureDoesNotMatch" in answer.content


def test_other_services_can_be_presigned(aws):
    url = aws.sts.generate_presigned_url("get_caller_identity", HttpMethod="GET")
    assert b":assumed-role/local-sagemaker/" in requests.get(url).content
    name = unique("presigned")
    members = {"RoleName": name, "AssumeRolePolicyDocument": "{}"}
    url = aws.iam.generate_presigned_url("create_role", Params=members, HttpMethod="GET")
    changed = url.replace(name, name + "x")
    assert b"<Code>SignatureDoesNotMatch" in requests.get(changed).content
    assert requests.get(url).status_code == 200
    assert aws.iam.get_role(RoleName=name)
    wrong = of_key(aws, AccessKey("local", "local"), "sts")
    answer = requests.get(wrong.generate_presigned_url("get_caller_identity", HttpMethod="GET"))
    assert answer.status_code == 403 and b"<Code>InvalidClientTokenId" in answer.content


@pytest.mark.parametrize(
    "authorization",
    [
        "Basic bG9jYWw6bG9jYWw=",
        "Bearer token",
        "AWS key:signature",
        "AWS4-HMAC-SHA256 Credential={key}",
        "AWS4-HMAC-SHA256 Credential={key}/20260101/us-east-1/s3",
        "AWS4-HMAC-SHA256 Credential=//////aws4_request",
        "AWS4-ECDSA-P256-SHA256 Credential={key}/20260101/s3/aws4_request",
        "Credential={key}/20260101/us-east-1/s3/aws4_request",
    ],
)
def test_what_is_no_signature_is_told_so(aws, authorization):
    said = {"Authorization": authorization.format(key=aws.key.id)}
    status, text = send(aws, "GET", f"/{BUCKET}/k", **said)
    assert status == 403 and b"not signed" in text and b"local-sagemaker env" in text


def test_a_key_without_a_signature_opens_nothing(aws):
    scope = f"{aws.key.id}/20260101/us-east-1/s3/aws4_request"
    key = unique("claimed")
    header = {"Authorization": f"AWS4-HMAC-SHA256 Credential={scope}"}
    header["x-amz-content-sha256"] = "UNSIGNED-PAYLOAD"
    assert send(aws, "PUT", f"/{BUCKET}/{key}", b"x", **header)[0] == 403
    for query in ({"X-Amz-Credential": scope}, {"AWSAccessKeyId": aws.key.id}):
        address = f"/{BUCKET}/{key}?{urlencode(query)}"
        assert send(aws, "PUT", address, b"x")[0] == 403
    assert aws.keys(key) == []


def test_a_session_of_boto3_signs_a_header_with_odd_characters(aws):
    key = unique("odd")
    session = boto3.Session(aws.key.id, aws.key.secret, region_name="eu-central-1")
    s3 = session.client("s3", endpoint_url=aws.url)
    metadata = {"a": "two  spaces", "b": "com,ma; semi", "c": "=?utf-8?b?w7w=?="}
    s3.put_object(Bucket=BUCKET, Key=key, Body=b"", Metadata=metadata, Tagging="a=b%20c")
    assert s3.head_object(Bucket=BUCKET, Key=key)["Metadata"] == metadata


def test_a_client_that_thinks_of_a_proxy_sends_a_whole_address(aws):
    """botocore does with ``Config(proxies={"http": ""})``, which keeps it from the proxy."""
    assert aws.client("s3", proxies={"http": ""}).list_buckets()["Buckets"]
    url = aws.s3.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": "none"})
    status, said = send(aws, "GET", url)
    assert (status, b"NoSuchKey" in said) == (404, True)
