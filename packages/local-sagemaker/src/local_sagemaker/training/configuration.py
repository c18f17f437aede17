"""What a job's description tells its container: ``/opt/ml/input/config``, command, variables."""

from __future__ import annotations

import json
from pathlib import Path

from local_sagemaker.runtime.container import ML, inside
from local_sagemaker.training import profiler_config
from local_sagemaker.training.cluster import Host

GROUP = "homogeneousCluster"  # the instance group that SageMaker names for a job without groups
# Where a job keeps what is stored while it runs, unless it says otherwise.
LOCAL_PATHS = {
    "CheckpointConfig": f"{ML}/checkpoints",
    "DebugHookConfig": f"{ML}/output/tensors",
    "TensorBoardOutputConfig": f"{ML}/output/tensorboard",
    "ProfilerConfig": f"{ML}/output/profiler",
}
OPTIONAL_FILES = {
    "CheckpointConfig": "checkpointconfig",
    "TensorBoardOutputConfig": "tensorboardoutputconfig",
}


def write_configuration(ml: Path, job: dict, host: Host, hosts: list[Host]) -> None:
    """Write ``/opt/ml/input/config`` for a training job's description, as `host` of `hosts`."""
    files = {
        "hyperparameters": job.get("HyperParameters", {}),
        "resourceconfig": {
            "current_host": host.name,
            "current_instance_type": host.instance_type,
            "current_group_name": GROUP,
            "hosts": sorted(each.name for each in hosts),
            "instance_groups": [
                {
                    "instance_group_name": GROUP,
                    "instance_type": host.instance_type,
                    "hosts": [each.name for each in hosts],
                }
            ],
            "network_interface_name": "lo",
        },
        "inputdataconfig": {
            channel["ChannelName"]: {
                "TrainingInputMode": input_mode(job, channel),
                "S3DistributionType": channel["DataSource"]
                .get("S3DataSource", {})
                .get("S3DataDistributionType", "FullyReplicated"),
                "RecordWrapperType": channel.get("RecordWrapperType", "None"),
                **{name: channel[name] for name in ("ContentType",) if name in channel},
            }
            for channel in job.get("InputDataConfig", [])
        },
    }
    files |= _debugger_configuration(ml, job)
    folder = ml / "input/config"
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content))


def command(job: dict, ml: Path) -> list[str]:
    """What the container runs: the job's own command, or else the training toolkit."""
    algorithm = job["AlgorithmSpecification"]
    if entrypoint := algorithm.get("ContainerEntrypoint"):
        words = [*entrypoint, *algorithm.get("ContainerArguments", [])]
        return [inside(ml, word) for word in words]
    return ["python", "-m", "local_sagemaker.runtime.inside.train"]


def variables(job: dict, threads: int) -> dict[str, str]:
    """The job's own environment variables, and those by which its container knows it."""
    return {
        "SAGEMAKER_TRAINING_MODULE": "sagemaker_pytorch_container.training:main",
        "TRAINING_JOB_NAME": job["TrainingJobName"],
        "TRAINING_JOB_ARN": job["TrainingJobArn"],
        "OMP_NUM_THREADS": str(threads),
        **job.get("Environment", {}),
    }


def _debugger_configuration(ml: Path, job: dict) -> dict[str, dict]:
    """The files that smdebug reads, by their names.

    ``create_from_json_file`` fails where there is no hook file. The one of a job that asked for no
    hook names neither collections nor parameters: such a hook keeps one loss in 500 steps, in a
    folder that is stored nowhere. The file for TensorBoard, by being there, turns its export on.
    """
    hook = {"S3OutputPath": "", "HookParameters": None, "CollectionConfigurations": None}
    hook |= job.get("DebugHookConfig", {})
    hook["LocalPath"] = inside(ml, local_path(job, "DebugHookConfig"))
    files = {"debughookconfig": hook, "profilerconfig": _profiler_configuration(ml, job)}
    for member, name in OPTIONAL_FILES.items():
        if member in job:
            files[name] = {**job[member], "LocalPath": inside(ml, local_path(job, member))}
    return files


def _profiler_configuration(ml: Path, job: dict) -> dict:
    """smdebug profiles the script if there is a parameter, so there is none that nobody gave."""
    if not profiler_config.is_enabled(job):
        return {"DisableProfiler": True}
    given, local = job["ProfilerConfig"], inside(ml, local_path(job, "ProfilerConfig"))
    parameters = given.get("ProfilingParameters", {})
    return {
        "S3OutputPath": given["S3OutputPath"],
        "LocalPath": local,
        "ProfilingIntervalInMilliseconds": profiler_config.interval_ms(job),
        "ProfilingParameters": {**parameters, "LocalPath": local} if parameters else {},
    }


def local_path(job: dict, member: str) -> str:
    """Where a job keeps what is stored while it runs, as the job sees it."""
    asked = job.get(member, {})
    if member == "ProfilerConfig":
        asked = asked.get("ProfilingParameters", {})
    return asked.get("LocalPath") or LOCAL_PATHS[member]


def input_mode(job: dict, channel: dict) -> str:
    return channel.get("InputMode") or job["AlgorithmSpecification"]["TrainingInputMode"]


def relocate_drivers(ml: Path) -> None:
    """Without a real /opt/ml: let the SDK's driver files name the job's folder instead."""
    for file in (ml / "input/data/sm_drivers").rglob("*"):
        if file.suffix in {".py", ".sh", ".json"}:
            file.write_text(file.read_text().replace(ML, str(ml)))
