"""What a container's folders and environment hold."""

import io
import json
import platform
import tarfile
from importlib import metadata

import pytest

from local_sagemaker import container, isolation
from local_sagemaker.cluster import Host

IMAGE = "1.dkr.ecr.us-east-1.amazonaws.com/pytorch-training:2.10.0-cpu"


def job(**members):
    return {
        "AlgorithmSpecification": {"TrainingInputMode": "File"},
        "ResourceConfig": {"InstanceType": "ml.m5.large"},
        **members,
    }


def alone():
    host = Host("algo-1", "127.0.0.1", "ml.m5.large")
    return host, [host]


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
        "http://127.0.0.1:1", tmp_path / "scratch", tmp_path, f"1.d/{image}", tmp_path
    )
    assert ("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD" in found) is whole


def configuration(folder, described):
    container.write_configuration(folder, described, *alone())
    return {f.stem: json.loads(f.read_text()) for f in (folder / "input/config").iterdir()}


def test_configuration_files(tmp_path, how):
    hook = {"S3OutputPath": "s3://b/p", "HookParameters": {"save_interval": "5"}}
    described = job(
        HyperParameters={"lr": "1"},
        DebugHookConfig=hook,
        ProfilerConfig={"S3OutputPath": "s3://b/p"},
        CheckpointConfig={"S3Uri": "s3://b/c", "LocalPath": "/opt/ml/kept"},
        TensorBoardOutputConfig={"S3OutputPath": "s3://b/t"},
    )
    files = configuration(tmp_path, described)
    assert files["hyperparameters"] == {"lr": "1"}
    root = "/opt/ml" if how == "real" else str(tmp_path)
    known = {**hook, "LocalPath": f"{root}/output/tensors", "CollectionConfigurations": None}
    assert files["debughookconfig"] == known
    assert files["profilerconfig"] == {
        "S3OutputPath": "s3://b/p",
        "LocalPath": f"{root}/output/profiler",
        "ProfilingIntervalInMilliseconds": 500,
        "ProfilingParameters": {},
    }
    assert files["checkpointconfig"]["LocalPath"] == f"{root}/kept"
    assert files["tensorboardoutputconfig"]["LocalPath"] == f"{root}/output/tensorboard"
    assert files["resourceconfig"] == {
        "current_host": "algo-1",
        "current_instance_type": "ml.m5.large",
        "current_group_name": "homogeneousCluster",
        "hosts": ["algo-1"],
        "instance_groups": [
            {
                "instance_group_name": "homogeneousCluster",
                "instance_type": "ml.m5.large",
                "hosts": ["algo-1"],
            }
        ],
        "network_interface_name": "lo",
    }


def test_what_every_job_finds_though_it_asked_for_nothing(tmp_path, how):
    files = configuration(tmp_path, job())
    named = {"hyperparameters", "resourceconfig", "inputdataconfig"}
    assert set(files) == {*named, "debughookconfig", "profilerconfig"}
    assert files["profilerconfig"] == {"DisableProfiler": True}


def test_a_hook_that_nobody_asked_for_neither_fails_nor_fills_the_disk(tmp_path, monkeypatch):
    import torch
    from smdebug.pytorch import Hook

    files = configuration(tmp_path, job())
    files["debughookconfig"]["LocalPath"] = str(tmp_path / "tensors")
    config = tmp_path / "input/config/debughookconfig.json"
    config.write_text(json.dumps(files["debughookconfig"]))
    monkeypatch.setenv("TRAINING_JOB_NAME", "job")
    hook = Hook.create_from_json_file(str(config))
    network, loss = torch.nn.Linear(100, 100), torch.nn.MSELoss()
    hook.register_module(network)
    hook.register_loss(loss)
    for _ in range(20):
        loss(network(torch.rand(4, 100)), torch.rand(4, 100)).backward()
    hook.close()
    size = sum(file.stat().st_size for file in (tmp_path / "tensors").rglob("*") if file.is_file())
    assert size < 100_000  # twenty times its weights and gradients alone were 1.6 MB


@pytest.mark.parametrize("parameters", [{}, {"DetailedProfilingConfig": '{"NumSteps": 2}'}])
def test_smdebug_profiles_a_script_only_if_somebody_asked_for_it(tmp_path, monkeypatch, parameters):
    from smdebug.core.utils import FRAMEWORK
    from smdebug.profiler.profiler_config_parser import ProfilerConfigParser

    place = {"S3OutputPath": "s3://b/p", "ProfilingIntervalInMilliseconds": 1000}
    configuration(tmp_path, job(ProfilerConfig={**place, "ProfilingParameters": parameters}))
    file = tmp_path / "input/config/profilerconfig.json"
    monkeypatch.setenv("SMPROFILER_CONFIG_PATH", str(file))
    parser = ProfilerConfigParser(FRAMEWORK.PYTORCH)
    assert parser.profiling_enabled is bool(parameters)
    if parameters:
        assert parser.config.local_path.endswith("/output/profiler")


def test_a_channel_says_how_its_data_come(tmp_path, how):
    source = {"S3DataSource": {"S3DataDistributionType": "ShardedByS3Key"}}
    channel = {"ChannelName": "train", "DataSource": source, "InputMode": "FastFile"}
    described = job(InputDataConfig=[{**channel, "ContentType": "text/csv"}])
    assert configuration(tmp_path, described)["inputdataconfig"]["train"] == {
        "TrainingInputMode": "FastFile",
        "S3DistributionType": "ShardedByS3Key",
        "RecordWrapperType": "None",
        "ContentType": "text/csv",
    }


def test_the_environment_is_the_containers_own(tmp_path, how, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN", "AWS_PROFILE", "MY_TOKEN"):
        monkeypatch.setenv(name, "the caller's")
    found = container.environment(
        "http://127.0.0.1:1", tmp_path / "scratch", tmp_path, IMAGE, tmp_path
    )
    assert "the caller's" not in found.values()
    assert found["AWS_ENDPOINT_URL"] == "http://127.0.0.1:1"
    assert ("SAGEMAKER_BASE_DIR" in found) is (how == "relocated")
    own = {key: value for key, value in found.items() if key.endswith("_CONFIG_PATH")}
    if how == "relocated":
        assert own == {"SMPROFILER_CONFIG_PATH": f"{tmp_path}/input/config/profilerconfig.json"}
    else:
        assert own == {}


def test_weights_are_found_where_the_caller_keeps_them(tmp_path, monkeypatch):
    arguments = "http://127.0.0.1:1", tmp_path, tmp_path, IMAGE, tmp_path
    monkeypatch.delenv("TORCH_HOME", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/mine")
    assert container.environment(*arguments)["TORCH_HOME"] == "/mine/torch"
    monkeypatch.setenv("TORCH_HOME", "/weights")
    assert container.environment(*arguments)["TORCH_HOME"] == "/weights"


def test_words_are_relocated(tmp_path, how):
    expected = "cat /opt/ml/a /opt/ml/b"
    if how == "relocated":
        expected = f"cat {tmp_path}/a {tmp_path}/b"
    assert container.inside(tmp_path, "cat /opt/ml/a /opt/ml/b") == expected


def archive(path, name, **members):
    with tarfile.open(path, "w:gz") as target:
        member = tarfile.TarInfo(name)
        member.size = 1
        for key, value in members.items():
            setattr(member, key, value)
        target.addfile(member, io.BytesIO(b"x"))


@pytest.mark.parametrize(
    ("name", "members"),
    [
        ("../escape", {}),
        ("a/../../escape", {}),
        ("link", {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd", "size": 0}),
        ("pipe", {"type": tarfile.FIFOTYPE, "size": 0}),
    ],
)
def test_archives_that_reach_outside_are_refused(tmp_path, name, members):
    archive(tmp_path / "a.tar.gz", name, **members)
    with pytest.raises(tarfile.TarError):
        container.unpack(tmp_path / "a.tar.gz", tmp_path / "in/back")
    assert not (tmp_path / "escape").exists() and not (tmp_path / "in/escape").exists()


def test_what_is_no_archive_is_refused(tmp_path):
    (tmp_path / "a.tar.gz").write_bytes(b"no archive")
    with pytest.raises((tarfile.TarError, OSError)):
        container.unpack(tmp_path / "a.tar.gz", tmp_path / "back")


def test_drivers_are_rewritten_and_nothing_else(tmp_path):
    drivers = tmp_path / "input/data/sm_drivers"
    drivers.mkdir(parents=True)
    (drivers / "sm_train.sh").write_text("python /opt/ml/input/data/code/x.py")
    (drivers / "data.bin").write_bytes(b"/opt/ml\xff")
    container.relocate_drivers(tmp_path)
    assert (drivers / "sm_train.sh").read_text() == f"python {tmp_path}/input/data/code/x.py"
    assert (drivers / "data.bin").read_bytes() == b"/opt/ml\xff"
