"""Model data on its way into a container: archives, folders, code in S3, and what is refused."""

import io
import json
import tarfile

import pytest

from engine_support.clients import BUCKET, unique
from engine_support.endpoints import (
    deploy_config,
    invoke,
    make_config,
    make_model,
    store_archive,
)
from local_sagemaker.hosting import model_data

LISTING = """
import json, os, pathlib, sys

def model_fn(model_dir):
    return pathlib.Path(model_dir)

def transform_fn(model, body, content_type, accept):
    ml = model.parent
    files = [path.relative_to(ml) for path in ml.rglob("*") if path.is_file()]
    return sorted(str(f) for f in files if f.suffix in {".bin", ".txt"})
"""


def failure(aws, address, spoil=None):
    """Why an endpoint of the archive at `address` failed."""
    config = make_config(aws, a=make_model(aws, address))
    if spoil:
        spoil()
    return deploy_config(aws, config)["FailureReason"]


def stored(aws, body):
    key = f"{unique('model')}/model.tar.gz"
    aws.s3.put_object(Bucket=BUCKET, Key=key, Body=body)
    return f"s3://{BUCKET}/{key}"


def with_link(target):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        member = tarfile.TarInfo("link")
        member.type, member.linkname = tarfile.SYMTYPE, target
        archive.addfile(member)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "body", [b"no archive at all", b"", b"\x1f\x8b\x08\x00cut", with_link("/etc/passwd")]
)
def test_a_broken_or_unsafe_archive_fails_the_endpoint_in_awss_words(aws, body):
    address = stored(aws, body)
    reason = failure(aws, address)
    assert reason.startswith(
        f'Failed to extract model data archive for container "container_1" from URL "{address}". '
        "Please ensure that the object located at the URL is a valid tar.gz archive."
    )


@pytest.mark.parametrize("target", ["/etc/passwd", "../../outside", "weights.bin"])
def test_a_symbolic_link_in_an_archive_fails_the_endpoint_with_the_reason(aws, target):
    reason = failure(aws, stored(aws, with_link(target)))
    assert "'link' is a symbolic link, and SageMaker extracts none: pack the file" in reason


def test_an_object_is_one_object_whatever_lies_beside_it(aws):
    address = store_archive(aws, {"a": "b"})
    bucket, _, key = address.removeprefix("s3://").partition("/")
    aws.s3.put_object(Bucket=bucket, Key=f"{key}.sig/no//file", Body=b"x")
    assert "would be in a folder" not in failure(aws, address)


def test_a_key_with_an_empty_folder_name_fails_the_endpoint_with_the_reason(aws):
    prefix = unique("odd")
    aws.s3.put_object(Bucket=BUCKET, Key=f"{prefix}//weights.bin", Body=b"x")
    folder = {"S3Uri": f"s3://{BUCKET}/{prefix}/", "S3DataType": "S3Prefix"}
    source = {"S3DataSource": folder | {"CompressionType": "None"}}
    made = deploy_config(aws, make_config(aws, a=make_model(aws, None, ModelDataSource=source)))
    assert "//weights.bin would be in a folder with an empty name" in made["FailureReason"]


def test_model_data_that_has_gone_fails_the_endpoint(aws):
    address = store_archive(aws, {"a": "b"})
    bucket, _, key = address.removeprefix("s3://").partition("/")
    reason = failure(aws, address, lambda: aws.s3.delete_object(Bucket=bucket, Key=key))
    assert reason.startswith('Failed to download model data for container "container_1" from URL')
    assert address in reason


def test_every_kind_of_source_finds_its_place(aws):
    prefix = unique("folder")
    aws.s3.put_object(Bucket=BUCKET, Key=f"{prefix}/weights/part.bin", Body=b"x")
    aws.s3.put_object(Bucket=BUCKET, Key=f"{prefix}/card.txt", Body=b"x")
    folder = {"S3Uri": f"s3://{BUCKET}/{prefix}/", "S3DataType": "S3Prefix"}
    code = store_archive(aws, {"serve.py": LISTING, "beside.txt": "x"})
    model = make_model(
        aws,
        None,
        ModelDataSource={"S3DataSource": folder | {"CompressionType": "None"}},
        Environment={"SAGEMAKER_PROGRAM": "serve.py", "SAGEMAKER_SUBMIT_DIRECTORY": code},
    )
    made = deploy_config(aws, make_config(aws, a=model))
    assert made["EndpointStatus"] == "InService", made["FailureReason"]
    assert json.loads(invoke(aws, made["EndpointName"])["Body"].read()) == [
        "code/beside.txt",
        "model/card.txt",
        "model/weights/part.bin",
    ]
    aws.sagemaker.delete_endpoint(EndpointName=made["EndpointName"])


def test_a_download_that_takes_longer_than_the_variant_allows_fails(tmp_path, monkeypatch):
    moments = iter([0.0, 60.5])
    monkeypatch.setattr(model_data.time, "monotonic", lambda: next(moments))
    with pytest.raises(model_data.HostingFailed, match="not downloaded within 60 s"):
        model_data.fetch(None, {}, tmp_path / "ml", tmp_path, 60)


def test_a_model_of_no_data_is_an_empty_folder(tmp_path):
    model_data.fetch(None, {}, tmp_path / "ml", tmp_path, None)
    assert list((tmp_path / "ml").rglob("*")) == [tmp_path / "ml/model"]
