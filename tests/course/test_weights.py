"""The bucket's weights folder: what is uploaded, what is refused, and that a job gets it."""

import hashlib
import sys
from pathlib import Path
from types import SimpleNamespace

import boto3
import pytest
import torch

import pretrained
from course import weights
from engine_support.clients import unique
from local_sagemaker import REGION

NAME = "resnet18-f37072fd.pth"  # torchvision's own, known without a network


@pytest.fixture
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    return folder


@pytest.fixture
def workspace(aws):
    bucket = unique("weights")
    aws.s3.create_bucket(Bucket=bucket)
    session = boto3.Session(aws.key.id, aws.key.secret, region_name=REGION)
    client = SimpleNamespace(client=lambda name: session.client(name, endpoint_url=aws.url))
    return SimpleNamespace(
        bucket=bucket,
        prefix="dogs",
        session=SimpleNamespace(boto_session=client),
        uri=lambda *parts: "/".join([f"s3://{bucket}/dogs", *parts]),
    )


def test_a_bucket_without_weights_has_none(workspace):
    assert weights.stored(workspace) == []


def test_what_is_uploaded_keeps_its_name_and_is_listed(workspace, tmp_path):
    file = tmp_path / NAME
    file.write_bytes(b"weights")
    assert weights.upload(workspace, file) == f"s3://{workspace.bucket}/dogs/weights/{NAME}"
    assert weights.stored(workspace) == [NAME]


def test_the_hash_in_the_name_is_checked(tmp_path):
    file = tmp_path / f"net-{hashlib.sha256(b'weights').hexdigest()[:8]}.pth"
    file.write_bytes(b"weights")
    weights.check(file)
    file.write_bytes(b"weight")
    with pytest.raises(weights.WrongWeights, match="delete it and run this again"):
        weights.check(file)


def test_a_damaged_file_in_the_cache_is_never_uploaded(cache, monkeypatch, capsys):
    (cache / NAME).write_bytes(b"half a file")
    monkeypatch.setattr("course.workspace.connect", lambda: pytest.fail("asked for a workspace"))
    assert weights.main(["resnet18"]) == 1
    assert f"{NAME}: its SHA-256 begins with" in capsys.readouterr().err


def test_without_a_network_it_says_where_the_file_may_come_from(cache, monkeypatch):
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with pytest.raises(weights.WrongWeights, match=rf"{NAME} cannot be downloaded .*TORCH_HOME"):
        weights.local_file("resnet18")
    assert not list(cache.iterdir())


def test_a_network_that_torchvision_does_not_know_is_named(cache):
    with pytest.raises(weights.WrongWeights, match="no 'resnet51'"):
        weights.local_file("resnet51")


def test_an_environment_without_pytorch_says_which_has_it(cache, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torch", None)  # as if it were not installed
    assert weights.main(["resnet18"]) == 1
    said = capsys.readouterr().err
    assert "lacks PyTorch" in said and "`make install`" in said


def test_the_channel_hands_the_files_to_a_job_by_name(aws, workspace, tmp_path):
    file = tmp_path / NAME
    file.write_bytes(b"weights")
    uri = weights.upload(workspace, file).rpartition("/")[0]
    source = {"S3DataType": "S3Prefix", "S3Uri": uri, "S3DataDistributionType": "FullyReplicated"}
    channel = {"ChannelName": "weights", "DataSource": {"S3DataSource": source}}
    command = f"sha256sum /opt/ml/input/data/weights/{NAME} | cut -c1-8; exit 1"
    job = aws.trained(command, InputDataConfig=[channel])
    assert hashlib.sha256(b"weights").hexdigest()[:8] in job["FailureReason"]


# ---------------------------------------------------------------------------------- what is at hand


def where(workspace, mode="local"):
    workspace.mode = mode
    return weights.available(workspace)


def test_without_files_only_the_package_s_network_is_at_hand(cache, workspace):
    found = where(workspace)
    assert list(found.index) == ["resnet50", "efficientnet_lite0", "vgg16"]
    assert found.at_hand.to_dict() == {
        "resnet50": False, "efficientnet_lite0": True, "vgg16": False,
    }  # fmt: skip
    assert "python -m course.weights resnet50" in found.loc["resnet50", "where"]


def test_a_file_in_the_cache_or_in_the_bucket_is_at_hand(cache, workspace, tmp_path):
    (cache / "resnet50-11ad3fa6.pth").write_bytes(b"weights")
    file = tmp_path / "vgg16-397923af.pth"
    file.write_bytes(b"weights")
    weights.upload(workspace, file)
    found = where(workspace)
    assert found.at_hand.all()
    assert found.loc["resnet50", "where"] == "in PyTorch's cache: resnet50-11ad3fa6.pth"
    assert found.loc["vgg16", "where"] == "in the bucket: vgg16-397923af.pth"


def test_on_aws_a_job_fetches_them_itself_whatever_this_machine_has(cache, workspace):
    (cache / "resnet50-11ad3fa6.pth").write_bytes(b"weights")
    found = where(workspace, "aws")
    assert found.at_hand.all()
    assert found.loc["resnet50", "where"] == "each job downloads them from PyTorch's server"


def test_jobs_in_a_closed_network_have_only_the_bucket_s(cache, workspace, monkeypatch, tmp_path):
    monkeypatch.setenv("COURSE_DOWNLOADS", "no")
    file = tmp_path / "resnet50-11ad3fa6.pth"
    file.write_bytes(b"weights")
    assert where(workspace, "aws").at_hand.to_list() == [False, True, False]
    weights.upload(workspace, file)
    assert where(workspace, "aws").at_hand.to_list() == [True, True, False]


def test_weights_of_your_own_in_the_bucket_are_at_hand(cache, workspace, tmp_path):
    file = tmp_path / "resnet50.safetensors"
    file.write_bytes(b"weights")
    weights.upload(workspace, file)
    found = where(workspace, "aws")
    assert found.loc["resnet50", "where"] == "in the bucket: resnet50.safetensors"


def test_the_files_and_the_cache_are_those_that_train_py_looks_for(cache):
    assert weights.cache() == cache == Path(torch.hub.get_dir()) / "checkpoints"
    assert weights.FILES["efficientnet_lite0"] == (pretrained.LITE0_FILE,)
    assert weights.PACKAGE == pretrained.PACKAGE
    for network in ("resnet50", "vgg16"):
        names = [url.rpartition("/")[2] for url in pretrained._urls(network)]
        assert list(weights.FILES[network]) == [*names, f"{network}{pretrained.SAFE}"]
