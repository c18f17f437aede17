"""S3: what clients rely on, and bodies that never live in memory."""

import base64
import hashlib
import os
import re
import sys
import urllib.request
import zlib
from pathlib import Path

import pytest
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError

from engine_support.clients import BUCKET, running_engine, unique
from engine_support.signing import ask
from local_sagemaker.aws.s3.service import split

MB = 1024 * 1024


@pytest.fixture
def key():
    return unique("s3") + "/object"


def put(aws, key, body=b"0123456789", **members):
    return aws.s3.put_object(Bucket=BUCKET, Key=key, Body=body, **members)


def got(aws, key, **members):
    return aws.s3.get_object(Bucket=BUCKET, Key=key, **members)["Body"].read()


def code_of(call, **members):
    with pytest.raises(ClientError) as caught:
        call(Bucket=BUCKET, **members)
    return caught.value.response["Error"]["Code"]


def test_an_object_comes_back_with_what_belongs_to_it(aws, key):
    put(aws, key, ContentType="image/jpeg", Metadata={"breed": "Beagle"})
    answer = aws.s3.get_object(Bucket=BUCKET, Key=key)
    assert answer["Body"].read() == b"0123456789"
    head = aws.s3.head_object(Bucket=BUCKET, Key=key)
    for found in (answer, head):
        assert found["ContentLength"] == 10
        assert found["ContentType"] == "image/jpeg"
        assert found["Metadata"] == {"breed": "Beagle"}
        assert found["ETag"] == f'"{hashlib.md5(b"0123456789").hexdigest()}"'


@pytest.mark.parametrize(
    ("wanted", "expected", "says"),
    [
        ("bytes=2-4", b"234", "bytes 2-4/10"),
        ("bytes=7-", b"789", "bytes 7-9/10"),
        ("bytes=-3", b"789", "bytes 7-9/10"),
        ("bytes=5-500", b"56789", "bytes 5-9/10"),
        ("bytes=0-0", b"0", "bytes 0-0/10"),
        ("bytes=-500", b"0123456789", "bytes 0-9/10"),
    ],
)
def test_ranges(aws, key, wanted, expected, says):
    put(aws, key)
    answer = aws.s3.get_object(Bucket=BUCKET, Key=key, Range=wanted)
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 206
    assert answer["ContentRange"] == says
    assert answer["Body"].read() == expected


def test_ranges_that_cannot_be_met(aws, key):
    put(aws, key)
    assert code_of(aws.s3.get_object, Key=key, Range="bytes=10-") == "InvalidRange"
    put(aws, key, b"")
    assert code_of(aws.s3.get_object, Key=key, Range="bytes=0-") == "InvalidRange"
    assert got(aws, key) == b""


def test_conditions(aws, key):
    etag = put(aws, key)["ETag"]
    assert code_of(aws.s3.get_object, Key=key, IfNoneMatch=etag) == "304"
    assert code_of(aws.s3.get_object, Key=key, IfMatch='"other"') == "PreconditionFailed"
    assert got(aws, key, IfMatch=etag) == b"0123456789"


def test_what_is_not_there(aws):
    assert code_of(aws.s3.get_object, Key="nobody") == "NoSuchKey"
    assert code_of(aws.s3.head_object, Key="nobody") == "404"
    with pytest.raises(ClientError, match="NoSuchBucket"):
        aws.s3.put_object(Bucket="nowhere", Key="k", Body=b"x")
    with pytest.raises(ClientError, match="NoSuchBucket"):
        aws.s3.list_objects_v2(Bucket="nowhere")


@pytest.mark.parametrize("name", ["with space", "ü/ß 漢", "a+b&c=d?e#f", "100%", "a//b", "dot/./x"])
def test_any_key_is_kept_as_it_is(aws, name):
    key = f"{unique('keys')}/{name}"
    put(aws, key, key.encode())
    assert got(aws, key) == key.encode()
    assert aws.keys(key.split("/")[0]) == [key]
    aws.s3.delete_object(Bucket=BUCKET, Key=key)
    assert aws.keys(key.split("/")[0]) == []


def test_an_object_of_no_bytes(aws, key):
    put(aws, key, b"")
    assert got(aws, key) == b""
    assert aws.s3.head_object(Bucket=BUCKET, Key=key)["ContentLength"] == 0


def test_copies_are_independent(aws, key):
    put(aws, key, b"first", Metadata={"a": "b"})
    aws.s3.copy_object(Bucket=BUCKET, Key=key + "2", CopySource={"Bucket": BUCKET, "Key": key})
    put(aws, key, b"second")
    assert got(aws, key + "2") == b"first"
    assert aws.s3.head_object(Bucket=BUCKET, Key=key + "2")["Metadata"] == {"a": "b"}
    put(aws, key, b"")
    aws.s3.copy_object(Bucket=BUCKET, Key=key + "3", CopySource={"Bucket": BUCKET, "Key": key})
    assert got(aws, key + "3") == b""


def test_deleting_one_and_many(aws, key):
    for number in range(4):
        put(aws, f"{key}{number}")
    aws.s3.delete_object(Bucket=BUCKET, Key=f"{key}0")
    listed = [{"Key": f"{key}{n}"} for n in (1, 2)]
    aws.s3.delete_objects(Bucket=BUCKET, Delete={"Objects": listed})
    assert aws.keys(key) == [f"{key}3"]


def test_listing_pages_prefixes_and_common_prefixes(aws):
    name = unique("list")
    for number in range(7):
        put(aws, f"{name}/{number % 2}/{number}")
    pages = aws.s3.get_paginator("list_objects_v2").paginate(
        Bucket=BUCKET, Prefix=f"{name}/", PaginationConfig={"PageSize": 2}
    )
    pages = list(pages)
    assert [len(page["Contents"]) for page in pages] == [2, 2, 2, 1]
    keys = [item["Key"] for page in pages for item in page["Contents"]]
    assert keys == sorted(f"{name}/{n % 2}/{n}" for n in range(7))
    answer = aws.s3.list_objects_v2(Bucket=BUCKET, Prefix=f"{name}/", Delimiter="/")
    assert [p["Prefix"] for p in answer["CommonPrefixes"]] == [f"{name}/0/", f"{name}/1/"]


def test_a_multipart_upload_is_one_object(aws, key, tmp_path):
    file = tmp_path / "big"
    file.write_bytes(os.urandom(13 * MB))
    config = TransferConfig(multipart_threshold=8 * MB, multipart_chunksize=5 * MB)
    extra = {"Metadata": {"a": "b"}}
    aws.s3.upload_file(str(file), BUCKET, key, ExtraArgs=extra, Config=config)
    head = aws.s3.head_object(Bucket=BUCKET, Key=key)
    assert head["ETag"].strip('"').endswith("-3")
    assert (head["ContentLength"], head["Metadata"]) == (13 * MB, {"a": "b"})
    aws.s3.copy({"Bucket": BUCKET, "Key": key}, BUCKET, key + "2", Config=config)
    for name in (key, key + "2"):
        aws.s3.download_file(BUCKET, name, str(tmp_path / "back"))
        assert (tmp_path / "back").read_bytes() == file.read_bytes()


def test_a_multipart_upload_can_be_abandoned_or_wrong(aws, key):
    upload = aws.s3.create_multipart_upload(Bucket=BUCKET, Key=key)["UploadId"]
    part = aws.s3.upload_part(Bucket=BUCKET, Key=key, UploadId=upload, PartNumber=1, Body=b"x")
    wrong = {"Parts": [{"PartNumber": 2, "ETag": part["ETag"]}]}
    refused = code_of(
        aws.s3.complete_multipart_upload, Key=key, UploadId=upload, MultipartUpload=wrong
    )
    assert refused == "InvalidPart"
    aws.s3.abort_multipart_upload(Bucket=BUCKET, Key=key, UploadId=upload)
    assert aws.keys(key) == []


@pytest.mark.parametrize("algorithm", ["CRC32", "SHA1", "SHA256"])
def test_chunked_uploads_with_a_trailing_checksum(aws, key, tmp_path, algorithm):
    file = tmp_path / "file"
    file.write_bytes(os.urandom(3 * MB + 1))
    with file.open("rb") as body:  # a stream: botocore sends it aws-chunked
        put(aws, key, body, ChecksumAlgorithm=algorithm)
    assert got(aws, key, ChecksumMode="ENABLED") == file.read_bytes()


def raw_put(aws, key, body, **headers):
    return ask(aws, "PUT", f"/{BUCKET}/{key}", body, **headers)


def test_a_body_that_is_not_what_its_checksum_says_is_refused(aws, key):
    wrong = {
        "Content-MD5": base64.b64encode(hashlib.md5(b"other").digest()).decode(),
        "x-amz-checksum-sha256": base64.b64encode(hashlib.sha256(b"other").digest()).decode(),
        "x-amz-checksum-crc32": base64.b64encode(zlib.crc32(b"other").to_bytes(4)).decode(),
    }
    for name, value in wrong.items():
        status, said = raw_put(aws, key, b"body", **{name: value})
        assert (status, b"BadDigest" in said) == (400, True), name
    assert aws.keys(key) == []
    trailer = b"4\r\nbody\r\n0\r\nx-amz-checksum-crc32:" + wrong["x-amz-checksum-crc32"].encode()
    chunked = {"x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER"}
    chunked["x-amz-trailer"] = "x-amz-checksum-crc32"
    assert raw_put(aws, key, trailer + b"\r\n\r\n", **chunked)[0] == 400
    assert aws.keys(key) == []


def test_garbage_in_a_chunked_body_is_refused(aws, key):
    chunked = {"x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER"}
    assert raw_put(aws, key, b"not a size\r\nbody", **chunked)[0] == 400
    assert raw_put(aws, key, b"ff\r\ntoo short", **chunked)[0] == 400
    assert aws.keys(key) == []


def test_versions(aws):
    bucket = unique("versioned")
    aws.s3.create_bucket(Bucket=bucket)
    status = {"Status": "Enabled"}
    aws.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration=status)
    first = aws.s3.put_object(Bucket=bucket, Key="k", Body=b"1")["VersionId"]
    second = aws.s3.put_object(Bucket=bucket, Key="k", Body=b"2")["VersionId"]
    for version, body in ((first, b"1"), (second, b"2")):
        answer = aws.s3.get_object(Bucket=bucket, Key="k", VersionId=version)
        assert answer["Body"].read() == body
    aws.s3.delete_object(Bucket=bucket, Key="k")
    with pytest.raises(ClientError, match="NoSuchKey"):
        aws.s3.get_object(Bucket=bucket, Key="k")
    assert len(aws.s3.list_object_versions(Bucket=bucket)["Versions"]) == 2


def test_object_tags(aws, key):
    put(aws, key, Tagging="a=b")
    tags = {"TagSet": [{"Key": "c", "Value": "d"}]}
    aws.s3.put_object_tagging(Bucket=BUCKET, Key=key, Tagging=tags)
    assert aws.s3.get_object_tagging(Bucket=BUCKET, Key=key)["TagSet"] == tags["TagSet"]


def test_presigned_addresses(aws, key):
    put(aws, key)
    url = aws.s3.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": key})
    assert urllib.request.urlopen(url).read() == b"0123456789"
    url = aws.s3.generate_presigned_url("put_object", Params={"Bucket": BUCKET, "Key": key})
    urllib.request.urlopen(urllib.request.Request(url, b"another", method="PUT"))
    assert got(aws, key) == b"another"
    assert got(aws, key, PartNumber=1) == b"another"


def peak_memory(pid: int) -> int:
    """The largest resident set that a process ever had, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_large_object_passes_through_without_filling_memory(tmp_path):
    file = tmp_path / "large"
    with file.open("wb") as target:
        for _ in range(75):
            target.write(os.urandom(MB))
    with running_engine(tmp_path / "state") as mine:
        mine.s3.create_bucket(Bucket=BUCKET)
        before = peak_memory(mine.process.pid)
        with file.open("rb") as body:
            put(mine, "large", body)
        digest = hashlib.md5()
        stream = mine.s3.get_object(Bucket=BUCKET, Key="large")["Body"]
        for chunk in stream.iter_chunks(8 * MB):
            digest.update(chunk)
        with file.open("rb") as source:
            assert digest.digest() == hashlib.file_digest(source, "md5").digest()
        assert peak_memory(mine.process.pid) - before < 60 * MB


@pytest.mark.parametrize(
    ("uri", "parts"),
    [
        ("s3://b/k", ("b", "k")),
        ("s3://b", ("b", "")),
        ("s3://b/", ("b", "")),
        ("s3://b/a b/ü", ("b", "a b/ü")),
    ],
)
def test_addresses(uri, parts):
    assert split(uri) == parts


@pytest.mark.parametrize("uri", ["", "b/k", "s3:/b/k", "s3://", "https://b/k"])
def test_malformed_addresses_are_told(uri):
    with pytest.raises(ValueError, match="write s3://bucket/key"):
        split(uri)


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        ("set", {"train/a", "train/b", "readme", "settle/x"}),  # each key that begins so
        ("set/", {"train/a", "train/b", "readme"}),
        ("set/train", {"a", "b"}),
        ("set/train/a", {"a"}),
        ("se", {"set/train/a", "set/train/b", "set/readme", "settle/x"}),
        ("absent", set()),
    ],
)
def test_channels_hold_what_lies_below_their_prefix(aws, prefix, expected):
    name = unique("prefix")
    for key in ("set/train/a", "set/train/b", "set/readme", "settle/x"):
        put(aws, f"{name}/{key}")
    job = aws.trained(
        "cd /opt/ml/input/data/c && find . -type f",
        channels={"c": f"s3://{BUCKET}/{name}/{prefix}"},
    )
    if not expected:
        assert "No S3 objects found under" in job["FailureReason"]
        return
    found = {line.removeprefix("./") for line in aws.log(job["TrainingJobName"])}
    assert found == expected


def test_a_key_that_points_outside_fails_the_job(aws):
    name = unique("outside")
    put(aws, f"{name}/../../../escape")
    job = aws.trained("true", channels={"c": f"s3://{BUCKET}/{name}"})
    assert "points outside" in job["FailureReason"]
