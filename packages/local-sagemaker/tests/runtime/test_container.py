"""What a container's folders and environment hold."""

import os
import platform
import sys
from importlib import metadata

import pytest

from local_sagemaker.core.access_key import AccessKey
from local_sagemaker.runtime import container, isolation

KEY = AccessKey("LOCALKEY", "a-secret")
IMAGE = "1.dkr.ecr.us-east-1.amazonaws.com/pytorch-training:2.10.0-cpu"


@pytest.fixture(params=["real", "relocated"])
def how(request, monkeypatch):
    kind = (
        isolation.RELOCATED if request.param == "relocated" else isolation.Isolation("full", True)
    )
    monkeypatch.setattr(container, "isolation", lambda: kind)
    return request.param


@pytest.mark.parametrize(
    ("image", "runs"),
    [
        ("763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-training:2.10.0-cpu", True),
        ("763104351884.dkr.ecr.eu-west-1.amazonaws.com/pytorch-inference:2.6.0-cpu", True),
        ("763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch:2.13-cpu-amzn2023", True),
        ("1.dkr.ecr.us-east-1.amazonaws.com/huggingface-pytorch-training:2@sha256:x", True),
        ("520713654638.dkr.ecr.us-west-2.amazonaws.com/sagemaker-pytorch:1.1.0-gpu-py3", True),
        ("1.dkr.ecr.us-east-1.amazonaws.com/pytorch-inference-graviton:1.12.1-cpu-py38", True),
        ("1.dkr.ecr.us-east-1.amazonaws.com/pytorch-training@sha256:0f", True),
        ("1.dkr.ecr.us-east-1.amazonaws.com/pytorch-training", True),
        ("763104351884.dkr.ecr.us-east-1.amazonaws.com/tensorflow-training:2.19", False),
        ("1.dkr.ecr.us-east-1.amazonaws.com/pytorch-training-neuronx:2.1.2-neuronx-py310", False),
        ("1.dkr.ecr.us-east-1.amazonaws.com/huggingface-tensorflow-training:2.6.3", False),
        ("1.dkr.ecr.us-east-1.amazonaws.com/my-pytorch-training:1", False),
        ("", False),
    ],
)
def test_images_that_run_here(image, runs):
    assert container.has_runtime(image) is runs


@pytest.mark.parametrize(
    ("tag", "version"),
    [
        (":1.4.0-gpu-py3", (1, 4, 0)),
        (":2.13-cpu-amzn2023-sagemaker", (2, 13)),
        ("-trcomp-training:1.9.0-transformers4.11.0-gpu-py38", (1, 9, 0)),
        (":2.6.0-cpu@sha256:0f", (2, 6, 0)),
        (":latest", None),
        ("@sha256:0f", None),
    ],
)
def test_the_version_that_an_image_names(tag, version):
    assert container.pytorch_version(f"1.dkr/pytorch{tag}") == version


def test_the_first_line_says_what_was_asked_for_and_what_runs():
    here = f"PyTorch {metadata.version('torch')} on Python {platform.python_version()} runs here"
    line = container.banner("1.dkr/pytorch-training:2.6.0-cpu")
    assert line == f"local_sagemaker: pytorch-training:2.6.0-cpu asks for PyTorch 2.6.0; {here}"
    assert "no named version" in container.banner("1.dkr/pytorch-training@sha256:0f")


def test_the_first_line_of_an_old_image_names_the_packages_that_have_changed():
    line = container.banner("1.dkr/pytorch-training:1.4.0-gpu-py3")
    assert line.startswith("local_sagemaker: pytorch-training:1.4.0-gpu-py3 asks for PyTorch 1.4.0")
    here = [f"{name} {metadata.version(name)}" for name in ("torchvision", "numpy", "pandas")]
    assert f" runs here, with {', '.join(here)}" in line


@pytest.mark.parametrize(
    ("image", "whole"),
    [
        ("pytorch:1.13.1-cpu", True),
        ("pytorch:2.5.1", True),
        ("pytorch:2.6.0", False),
        ("pytorch:2.13-cpu", False),
        ("pytorch:latest", False),
    ],
)
def test_old_images_load_whole_pickled_models(tmp_path, image, whole):
    found = container.environment(
        "http://127.0.0.1:1", KEY, tmp_path / "scratch", tmp_path, f"1.d/{image}", tmp_path
    )
    assert ("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD" in found) is whole


def test_the_environment_is_the_containers_own(tmp_path, how, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN", "AWS_PROFILE", "MY_TOKEN"):
        monkeypatch.setenv(name, "the caller's")
    found = container.environment(
        "http://127.0.0.1:1", KEY, tmp_path / "scratch", tmp_path, IMAGE, tmp_path
    )
    assert "the caller's" not in found.values()
    assert found["LOCAL_SAGEMAKER"] == "1"  # an instance type is only a name here
    assert found["AWS_ENDPOINT_URL"] == "http://127.0.0.1:1"
    assert (found["AWS_ACCESS_KEY_ID"], found["AWS_SECRET_ACCESS_KEY"]) == (KEY.id, KEY.secret)
    assert ("SAGEMAKER_BASE_DIR" in found) is (how == "relocated")
    own = {key: value for key, value in found.items() if key.endswith("_CONFIG_PATH")}
    if how == "relocated":
        assert own == {"SMPROFILER_CONFIG_PATH": f"{tmp_path}/input/config/profilerconfig.json"}
    else:
        assert own == {}


def test_the_callers_temporary_folder_is_for_containers_without_a_tmp_of_their_own(
    tmp_path, how, monkeypatch
):
    monkeypatch.setenv("TMPDIR", "/scratch/tmp")
    found = container.environment(
        "http://127.0.0.1:1", KEY, tmp_path / "scratch", tmp_path, IMAGE, tmp_path
    )
    assert found.get("TMPDIR") == (None if how == "real" else "/scratch/tmp")


def test_what_a_container_needs_of_the_machine(tmp_path, monkeypatch):
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_FIND_LINKS", f"file://{tmp_path}/wheels {tmp_path}/more")
    monkeypatch.setenv("TORCH_HOME", f"{tmp_path}/weights")
    monkeypatch.setenv("LD_LIBRARY_PATH", f"/usr/lib:{tmp_path}/lib")
    found = set(map(str, container.kept(tmp_path / "scratch", tmp_path / "shared")))
    named = ("scratch", "shared", "wheels", "more", "weights", "lib")
    assert found >= {sys.prefix, sys.base_prefix, *(f"{tmp_path}/{name}" for name in named)}


def test_weights_are_found_where_the_caller_keeps_them(tmp_path, monkeypatch):
    arguments = "http://127.0.0.1:1", KEY, tmp_path, tmp_path, IMAGE, tmp_path
    monkeypatch.delenv("TORCH_HOME", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/mine")
    assert container.environment(*arguments)["TORCH_HOME"] == "/mine/torch"
    monkeypatch.setenv("TORCH_HOME", "/weights")
    assert container.environment(*arguments)["TORCH_HOME"] == "/weights"


def test_containers_share_what_matplotlib_finds_out_about_fonts(tmp_path, monkeypatch):
    monkeypatch.delenv("MPLCONFIGDIR", raising=False)
    shared = tmp_path / "shared"
    first, second = (
        container.environment("http://127.0.0.1:1", KEY, tmp_path / name, tmp_path, IMAGE, shared)
        for name in ("first", "second")
    )
    assert first["MPLCONFIGDIR"] == second["MPLCONFIGDIR"] == f"{shared}/matplotlib"
    monkeypatch.setenv("MPLCONFIGDIR", "/mine")
    third = container.environment(
        "http://127.0.0.1:1", KEY, tmp_path / "third", tmp_path, IMAGE, shared
    )
    assert third["MPLCONFIGDIR"] == "/mine"


def test_words_are_relocated(tmp_path, how):
    expected = "cat /opt/ml/a /opt/ml/b"
    if how == "relocated":
        expected = f"cat {tmp_path}/a {tmp_path}/b"
    assert container.inside(tmp_path, "cat /opt/ml/a /opt/ml/b") == expected
