"""Objects as files: copies without a second body, parts, and nothing left behind."""

import hashlib
import json
import sqlite3

import pytest
from botocore.exceptions import ClientError

from engine_support.clients import BUCKET, running_engine

MB = 1024 * 1024


@pytest.fixture(scope="module")
def mine(tmp_path_factory):
    with running_engine(tmp_path_factory.mktemp("objects")) as aws:
        aws.s3.create_bucket(Bucket=BUCKET)
        yield aws


def bodies(aws) -> int:
    return len(list((aws.state / "objects").iterdir()))


def copy(aws, source, key, **members):
    named = {"Bucket": BUCKET, "Key": source}
    return aws.s3.copy_object(Bucket=BUCKET, Key=key, CopySource=named, **members)


def etag(aws, key) -> str:
    return aws.s3.head_object(Bucket=BUCKET, Key=key)["ETag"].strip('"')


def upload(aws, key, *parts) -> str:
    """Upload `parts`; a part that is a string is a range of the object ``source``."""
    number = aws.s3.create_multipart_upload(Bucket=BUCKET, Key=key)["UploadId"]
    named, done = {"Bucket": BUCKET, "Key": key, "UploadId": number}, []
    for n, part in enumerate(parts, 1):
        if isinstance(part, str):
            source = {"Bucket": BUCKET, "Key": "source"}
            answer = aws.s3.upload_part_copy(
                **named, PartNumber=n, CopySource=source, CopySourceRange=part
            )["CopyPartResult"]
        else:
            answer = aws.s3.upload_part(**named, PartNumber=n, Body=part)
        done.append({"PartNumber": n, "ETag": answer["ETag"]})
    aws.s3.complete_multipart_upload(**named, MultipartUpload={"Parts": done})
    return aws.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()


def test_a_copy_shares_the_body_until_one_of_both_changes(mine):
    mine.s3.put_object(Bucket=BUCKET, Key="a", Body=b"first")
    copy(mine, "a", "b")
    with sqlite3.connect(mine.state / "state.db") as database:
        rows = database.execute("SELECT file FROM objects WHERE key IN ('a', 'b')").fetchall()
    first, second = (mine.state / "objects" / row[0] for row in rows)
    assert first != second and first.samefile(second)
    mine.s3.delete_object(Bucket=BUCKET, Key="a")
    assert mine.s3.get_object(Bucket=BUCKET, Key="b")["Body"].read() == b"first"
    assert etag(mine, "b") == hashlib.md5(b"first").hexdigest()


def test_replaced_refused_and_deleted_bodies_leave_the_disk(mine):
    before = bodies(mine)
    for body in (b"one", b"two"):
        mine.s3.put_object(Bucket=BUCKET, Key="replaced", Body=body)
    with pytest.raises(ClientError):
        mine.s3.put_object(Bucket="nowhere", Key="k", Body=b"lost")
    assert bodies(mine) == before + 1
    assert mine.s3.get_object(Bucket=BUCKET, Key="replaced")["Body"].read() == b"two"
    mine.s3.delete_object(Bucket=BUCKET, Key="replaced")
    assert bodies(mine) == before


def tags_of(aws, key):
    return aws.s3.get_object_tagging(Bucket=BUCKET, Key=key)["TagSet"]


@pytest.mark.parametrize("was", ["replaced", "deleted before"])
def test_a_copy_has_the_tags_of_its_source_and_no_others(mine, was):
    old, new = [{"Key": "old", "Value": "1"}], [{"Key": "new", "Value": "2"}]
    for key in ("plain", "tagged", "target"):
        mine.s3.put_object(Bucket=BUCKET, Key=key, Body=key.encode())
    mine.s3.put_object_tagging(Bucket=BUCKET, Key="tagged", Tagging={"TagSet": new})
    for source, expected in (("plain", []), ("tagged", new)):
        mine.s3.put_object_tagging(Bucket=BUCKET, Key="target", Tagging={"TagSet": old})
        if was == "deleted before":
            mine.s3.delete_object(Bucket=BUCKET, Key="target")
        copy(mine, source, "target")
        assert tags_of(mine, "target") == expected
    copy(mine, "tagged", "tagged", MetadataDirective="REPLACE", Metadata={"note": "itself"})
    assert tags_of(mine, "tagged") == new


def test_parts_can_be_ranges_of_other_objects(mine):
    mine.s3.put_object(Bucket=BUCKET, Key="source", Body=b"a" * 5 * MB + b"bcd")
    whole = upload(
        mine, "joined", b"x" * 5 * MB, f"bytes=0-{5 * MB - 1}", f"bytes={5 * MB}-{5 * MB + 2}"
    )
    assert whole == b"x" * 5 * MB + b"a" * 5 * MB + b"bcd"


def test_a_copy_of_an_object_in_parts_has_the_digest_of_the_whole(mine):
    whole = upload(mine, "parts", b"1" * 5 * MB, b"2")
    copy(mine, "parts", "whole")
    assert etag(mine, "parts").endswith("-2")
    assert etag(mine, "whole") == hashlib.md5(whole).hexdigest()


def test_uploads_leave_no_bodies_behind(mine):
    before = bodies(mine)
    upload(mine, "one", b"1" * 5 * MB, b"2")
    assert bodies(mine) == before + 1
    number = mine.s3.create_multipart_upload(Bucket=BUCKET, Key="two")["UploadId"]
    named = {"Bucket": BUCKET, "Key": "two", "UploadId": number}
    for body in (b"first", b"second"):
        mine.s3.upload_part(**named, PartNumber=1, Body=body)
        assert bodies(mine) == before + 2
    mine.s3.abort_multipart_upload(**named)
    assert bodies(mine) == before + 1
    mine.s3.create_bucket(Bucket="brief")
    number = mine.s3.create_multipart_upload(Bucket="brief", Key="k")["UploadId"]
    mine.s3.upload_part(Bucket="brief", Key="k", UploadId=number, PartNumber=1, Body=b"x")
    mine.s3.delete_bucket(Bucket="brief")
    assert bodies(mine) == before + 1


def test_locks_and_retention_are_in_the_index(mine):
    mine.s3.create_bucket(Bucket="locked", ObjectLockEnabledForBucket=True)
    mine.s3.put_object(Bucket="locked", Key="k", Body=b"")
    mine.s3.put_object_legal_hold(Bucket="locked", Key="k", LegalHold={"Status": "ON"})
    with sqlite3.connect(mine.state / "state.db") as database:
        sql = "SELECT meta FROM objects WHERE bucket = 'locked'"
        meta = json.loads(database.execute(sql).fetchone()[0])
    assert "ON" in json.dumps(meta["lock_legal_status"])
