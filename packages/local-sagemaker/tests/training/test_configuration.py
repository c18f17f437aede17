"""What a container finds in ``/opt/ml/input/config``."""

import json

import pytest

from local_sagemaker.runtime import container, isolation
from local_sagemaker.training.cluster import Host
from local_sagemaker.training.configuration import relocate_drivers, write_configuration


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


def configuration(folder, described):
    write_configuration(folder, described, *alone())
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


def test_drivers_are_rewritten_and_nothing_else(tmp_path):
    drivers = tmp_path / "input/data/sm_drivers"
    drivers.mkdir(parents=True)
    (drivers / "sm_train.sh").write_text("python /opt/ml/input/data/code/x.py")
    (drivers / "data.bin").write_bytes(b"/opt/ml\xff")
    relocate_drivers(tmp_path)
    assert (drivers / "sm_train.sh").read_text() == f"python {tmp_path}/input/data/code/x.py"
    assert (drivers / "data.bin").read_bytes() == b"/opt/ml\xff"
