"""Forms for S3: what boto3 presigns works as it says, and for nothing else."""

import pytest
import requests

from engine_support.clients import BUCKET, unique
from local_sagemaker.core.access_key import AccessKey

KINDS = ["s3", "s3v4"]


def made(aws, key, kind="s3v4", by=None, **options):
    """Address and fields of a form."""
    right, aws.key = aws.key, by or aws.key
    try:
        client = aws.client("s3", signature_version=kind)
    finally:
        aws.key = right
    form = client.generate_presigned_post(BUCKET, key, **options)
    return form["url"], form["fields"]


def sent(url, fields, content=b"body"):
    answer = requests.post(url, data=fields, files={"file": ("name", content)})
    return answer.status_code, answer.text


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [4, 3_000_000])
def test_a_form_stores_its_file(aws, kind, size):
    key = unique("form")
    url, fields = made(aws, key, kind)
    assert sent(url, fields, bytes(size))[0] == 204
    assert aws.s3.head_object(Bucket=BUCKET, Key=key)["ContentLength"] == size


@pytest.mark.parametrize("kind", KINDS)
def test_conditions_are_met(aws, kind):
    key = unique("form")
    url, fields = made(
        aws,
        key + "/${filename}",
        kind,
        Fields={"acl": "private", "x-amz-meta-a": "b"},
        Conditions=[
            {"acl": "private"},
            ["starts-with", "$x-amz-meta-a", ""],
            ["starts-with", "$key", key],
            ["content-length-range", 1, 10],
        ],
    )
    assert sent(url, fields)[0] == 204
    code = "EntityTooLarge"
    for content, code in ((bytes(11), "EntityTooLarge"), (b"", "EntityTooSmall")):
        status, said = sent(url, fields, content)
        assert (status, code in said) == (400, True)
    status, said = sent(url, {**fields, "acl": "public-read"})
    assert (status, "Policy Condition failed" in said) == (403, True)


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_good_for_nothing_else(aws, kind):
    key = unique("form")
    url, fields = made(aws, key, kind)
    other = url.replace(BUCKET, "elsewhere")
    tries = [
        (url, {**fields, "key": key + "x"}, "Policy Condition failed"),
        (url, {**fields, "acl": "public-read"}, "Extra input fields: acl"),
        (other, fields, "Policy Condition failed"),
        (url, {**fields, "policy": "e30="}, "SignatureDoesNotMatch"),
        (url, {n: v for n, v in fields.items() if "ignature" not in n}, "SignatureDoesNotMatch"),
        (url, {"key": key}, "not signed"),
        (url, [*fields.items(), ("key", key + "x")], "exactly one value"),
        (url, [*fields.items(), ("KEY", key + "x")], "exactly one value"),
        (url + f"?key={key}x&acl=public-read", {**fields, "acl": "x"}, "Extra input"),
    ]
    for address, changed, reason in tries:
        status, said = sent(address, changed)
        assert status in {400, 403}
        assert reason in said
    assert aws.keys(key) == []
    assert sent(url + f"?key={key}x", fields)[0] == 204  # the form counts, not the query
    assert aws.keys(key) == [key]


@pytest.mark.parametrize("kind", KINDS)
def test_its_time_and_its_key_count(aws, kind):
    key = unique("form")
    status, said = sent(*made(aws, key, kind, ExpiresIn=-1))
    assert (status, "Policy expired" in said) == (403, True)
    status, said = sent(*made(aws, key, kind, by=AccessKey("local", "local")))
    assert (status, "InvalidAccessKeyId" in said, "`local-sagemaker env`" in said) == (
        403,
        True,
        True,
    )
    status, said = sent(*made(aws, key, kind, by=AccessKey(aws.key.id, "guessed")))
    assert (status, "SignatureDoesNotMatch" in said) == (403, True)
    assert aws.keys(key) == []


@pytest.mark.parametrize(
    "body", [b"", b"no parts", b"--x\r\n\r\n", b"--x\r\nContent-Disposition: form-data\r\n\r\na"]
)
def test_what_is_no_form_is_refused(aws, body):
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    answer = requests.post(f"{aws.url}/{BUCKET}", data=body, headers=headers)
    assert answer.status_code in {400, 403}
    assert b"<Error>" in answer.content
