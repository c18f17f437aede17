"""A body that is not what its checksums say is refused as S3 refuses it, and stored nowhere."""

import base64
import hashlib
import re
import zlib

import anycrc
import pytest

from engine_support.clients import BUCKET, unique
from engine_support.signing import ask
from local_sagemaker.aws.s3 import checksums


def in_base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def crc32c(body: bytes) -> str:
    return in_base64(anycrc.Model("CRC32-ISCSI").calc(body).to_bytes(4, "big"))


def crc64nvme(body: bytes) -> str:
    return in_base64(anycrc.Model("CRC64-NVME").calc(body).to_bytes(8, "big"))


OF = {
    "crc32": lambda body: in_base64(zlib.crc32(body).to_bytes(4, "big")),
    "crc32c": crc32c,
    "crc64nvme": crc64nvme,
    "md5": lambda body: in_base64(hashlib.md5(body).digest()),
    "sha1": lambda body: in_base64(hashlib.sha1(body).digest()),
    "sha256": lambda body: in_base64(hashlib.sha256(body).digest()),
    "sha512": lambda body: in_base64(hashlib.sha512(body).digest()),
}
CHUNKED = {"x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER"}


def put(aws, key, body=b"body", **headers):
    status, said = ask(aws, "PUT", f"/{BUCKET}/{key}", body, **headers)
    code = re.search(rb"<Code>(.*?)</Code>", said)
    return status, code[1].decode() if code else "", said.decode()


def chunked(body: bytes, trailer: str) -> bytes:
    return b"%x\r\n%b\r\n0\r\n%b\r\n\r\n" % (len(body), body, trailer.encode())


def test_the_algorithms_are_those_of_the_standards():
    """Their check values, as the catalogues of checksums have them."""
    found = {
        name: checksums.compute(b"123456789", name, False).hex() for name in ("CRC32C", "CRC64NVME")
    }
    assert found == {"CRC32C": "e3069283", "CRC64NVME": "ae8b14860a799888"}
    for name, of in OF.items():
        assert checksums.compute(b"", name.upper()).decode() == of(b""), name


@pytest.mark.parametrize("algorithm", OF)
class TestUploads:
    def test_the_right_one_is_taken_and_given_back(self, aws, algorithm):
        key, name = unique("sum"), f"x-amz-checksum-{algorithm}"
        right = OF[algorithm](b"body")
        asked = {"x-amz-sdk-checksum-algorithm": algorithm.upper()}
        assert put(aws, key, **{name: right}, **asked)[0] == 200
        said = chunked(b"body", f"{name}:{right}")
        assert put(aws, key, said, **CHUNKED, **{"x-amz-trailer": name})[0] == 200
        assert aws.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() == b"body"

    def test_a_wrong_one_is_refused(self, aws, algorithm):
        key, name = unique("sum"), f"x-amz-checksum-{algorithm}"
        aws.s3.put_object(Bucket=BUCKET, Key=key, Body=b"kept")
        wrong = OF[algorithm](b"other")
        told = f"The {algorithm.upper()} you specified did not match the calculated checksum."
        for body, headers in (
            (b"body", {name: wrong}),
            (chunked(b"body", f"{name}:{wrong}"), {**CHUNKED, "x-amz-trailer": name}),
        ):
            status, code, said = put(aws, key, body, **headers)
            assert (status, code) == (400, "BadDigest")
            assert told in said
        assert aws.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() == b"kept"

    def test_a_part_with_a_wrong_one_is_refused(self, aws, algorithm):
        key = unique("sum")
        upload = aws.s3.create_multipart_upload(Bucket=BUCKET, Key=key)["UploadId"]
        named = {f"x-amz-checksum-{algorithm}": OF[algorithm](b"other")}
        assert put(aws, f"{key}?partNumber=1&uploadId={upload}", **named)[1] == "BadDigest"
        assert "Parts" not in aws.s3.list_parts(Bucket=BUCKET, Key=key, UploadId=upload)

    @pytest.mark.parametrize("value", ["", "x", "AAAA", "AAAAAAAA=", "!!!!!!!!"])
    def test_what_is_no_checksum_is_refused(self, aws, algorithm, value):
        key = unique("sum")
        status, code, _ = put(aws, key, **{f"x-amz-checksum-{algorithm}": value})
        assert (status, code) == (400, "InvalidRequest")
        assert aws.keys(key) == []


def test_contradictions_are_refused(aws):
    key, right = unique("sum"), {n: of(b"body") for n, of in OF.items()}
    two = {f"x-amz-checksum-{name}": right[name] for name in ("crc32", "sha1")}
    assert put(aws, key, **two)[1] == "InvalidRequest"
    asked = {"x-amz-sdk-checksum-algorithm": "CRC32C"}
    assert put(aws, key, **asked)[1] == "InvalidRequest"
    assert put(aws, key, **asked, **{"x-amz-checksum-crc32": right["crc32"]})[1] == "InvalidRequest"
    missing = {**CHUNKED, "x-amz-trailer": "x-amz-checksum-crc32c"}
    assert put(aws, key, chunked(b"body", "x-other:1"), **missing)[1] == "MalformedTrailerError"
    unknown = {"x-amz-checksum-xxhash64": "AAAAAAAAAAA="}
    status, code, said = put(aws, key, **unknown)
    assert (status, code) == (501, "NotImplemented") and "XXHASH64" in said
    assert aws.keys(key) == []


@pytest.mark.parametrize(
    ("value", "code"), [("md5 of nothing", "InvalidDigest"), (OF["md5"](b"other"), "BadDigest")]
)
def test_a_wrong_content_md5_is_refused(aws, value, code):
    key = unique("sum")
    assert put(aws, key, **{"Content-MD5": value})[:2] == (400, code)
    assert aws.keys(key) == []


@pytest.mark.parametrize("name", ["Content-MD5", "x-amz-checksum-crc32c", "x-amz-checksum-sha256"])
def test_settings_and_deletions_are_checked_too(aws, name):
    """Small bodies, which are XML."""
    of = OF["md5" if name == "Content-MD5" else name.rpartition("-")[2]]
    key = unique("sum")
    aws.s3.put_object(Bucket=BUCKET, Key=key, Body=b"kept")
    delete = f"<Delete><Object><Key>{key}</Key></Object></Delete>".encode()
    tags = b"<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>"
    requests = [
        ("POST", f"/{BUCKET}?delete", delete),
        ("PUT", f"/{BUCKET}/{key}?tagging", tags),
        ("PUT", f"/{BUCKET}?tagging", tags),
    ]
    for method, path, body in requests:
        status, said = ask(aws, method, path, body, **{name: of(b"other")})
        assert (status, b"<Code>BadDigest</Code>" in said) == (400, True), path
    assert aws.s3.get_object_tagging(Bucket=BUCKET, Key=key)["TagSet"] == []
    for method, path, body in requests[::-1]:
        assert ask(aws, method, path, body, **{name: of(body)})[0] < 300, path
    assert aws.keys(key) == []
    aws.s3.delete_bucket_tagging(Bucket=BUCKET)


@pytest.mark.parametrize("algorithm", ["crc64nvme", "crc32c", "crc32"])
def test_the_whole_object_is_checked_when_its_parts_are_joined(aws, algorithm):
    key, bodies = unique("sum"), (bytes(5 * 1024 * 1024), b"end")
    upload = aws.s3.create_multipart_upload(Bucket=BUCKET, Key=key)["UploadId"]
    named = {"Bucket": BUCKET, "Key": key, "UploadId": upload}
    etags = [
        aws.s3.upload_part(**named, PartNumber=number, Body=body)["ETag"]
        for number, body in enumerate(bodies, 1)
    ]
    parts = "".join(
        f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"
        for number, etag in enumerate(etags, 1)
    )
    body = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
    path = f"/{BUCKET}/{key}?uploadId={upload}"
    kind = {"x-amz-checksum-type": "FULL_OBJECT"}
    wrong = {f"x-amz-checksum-{algorithm}": OF[algorithm](b"other"), **kind}
    status, said = ask(aws, "POST", path, body, **wrong)
    assert (status, b"<Code>BadDigest</Code>" in said) == (400, True)
    assert aws.keys(key) == []
    assert len(aws.s3.list_parts(**named)["Parts"]) == 2
    right = {f"x-amz-checksum-{algorithm}": OF[algorithm](b"".join(bodies)), **kind}
    assert ask(aws, "POST", path, body, **right)[0] == 200
    assert aws.s3.head_object(Bucket=BUCKET, Key=key)["ContentLength"] == sum(map(len, bodies))


@pytest.mark.parametrize("algorithm", ["CRC32C", "CRC64NVME", "SHA512"])
def test_a_copy_gets_the_checksum_that_is_asked_for(aws, algorithm):
    """moto alone would compute another one, and call it by this name."""
    key = unique("sum")
    aws.s3.put_object(Bucket=BUCKET, Key=key, Body=b"body")
    headers = {"x-amz-copy-source": f"/{BUCKET}/{key}", "x-amz-checksum-algorithm": algorithm}
    status, said = ask(aws, "PUT", f"/{BUCKET}/{key}-copy", b"", **headers)
    assert status == 200
    assert OF[algorithm.lower()](b"body") in said.decode()
    headers["x-amz-checksum-algorithm"] = "XXHASH3"
    status, said = ask(aws, "PUT", f"/{BUCKET}/{key}-copy", b"", **headers)
    assert status == 501 and b"XXHASH3" in said
