"""What SageMaker's containers look like from inside: folders, configuration, environment."""

from __future__ import annotations

import json
import os
import platform
import re
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path

from isal import igzip_threaded

from local_sagemaker import environments, profiler_config, startup
from local_sagemaker.client_environment import aws_variables
from local_sagemaker.cluster import Host
from local_sagemaker.isolation import isolation

# AWS's PyTorch images, whatever the registry and tag, the oldest and Hugging Face's among them;
# they all run in the engine's environment.
PYTORCH_IMAGE = re.compile(
    r".+/(?P<name>sagemaker-pytorch"
    r"|(huggingface-)?pytorch(-trcomp)?(-training|-inference)?(-graviton|-arm64)?)"
    r"(:(?P<tag>[^@]+))?(@.+)?"
)
WHOLE_PICKLES = (2, 6)  # before this version torch.load takes whole pickled models by itself
NUMPY_2 = (2, 6)  # images before this version have NumPy 1, and other packages of that time
ML = "/opt/ml"
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
# Machine settings that may be handed on to a job; never the caller's credentials.
HANDED_ON = ("TZ", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "MPLCONFIGDIR", "TMPDIR")
PACK_LEVEL = 1  # of 0..3; level 0 makes trained weights larger, 3 takes three times as long
COPY = 16 * 1024 * 1024


def has_runtime(image: str) -> bool:
    """Whether containers of this image can be run here."""
    return PYTORCH_IMAGE.fullmatch(image) is not None


def pytorch_version(image: str) -> tuple[int, ...] | None:
    """The PyTorch version that an image's tag begins with; None where it names none."""
    match = PYTORCH_IMAGE.fullmatch(image)
    version = match and re.match(r"\d+(\.\d+)+", match["tag"] or "")
    return tuple(map(int, version[0].split("."))) if version else None


def banner(image: str) -> str:
    """The first line of a container's log: what was asked for, and what runs."""
    asked = pytorch_version(image)
    version = f"PyTorch {'.'.join(map(str, asked))}" if asked else "a PyTorch of no named version"
    here = f"PyTorch {metadata.version('torch')} on Python {platform.python_version()} runs here"
    if asked and asked < NUMPY_2:  # whose scripts may not get on with the packages of today
        here += f", with {', '.join(_packages())}"
    return f"local_sagemaker: {image.rpartition('/')[2]} asks for {version}; {here}"


def _packages() -> Iterator[str]:
    """What is here of the packages that have changed most, and in which versions."""
    for name in ("torchvision", "numpy", "pandas", "pillow"):
        with suppress(metadata.PackageNotFoundError):
            yield f"{name} {metadata.version(name)}"


def inside(ml: Path, path: str) -> str:
    """The place that a container knows as `path` (``/opt/ml/...``), as its command sees it."""
    return path if isolation().real_opt_ml else path.replace(ML, str(ml))


def environment(url: str, scratch: Path, ml: Path, image: str, shared: Path) -> dict[str, str]:
    """The variables of a container of `image`: tools, and dummy keys for the engine at `url`.

    Its home and its Python environment are made in `scratch`; `shared` is what all containers of
    the engine share of such environments.
    """
    (home := scratch / "home").mkdir(parents=True, exist_ok=True)
    variables = {name: os.environ[name] for name in HANDED_ON if name in os.environ}
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    variables |= {
        **environments.make(scratch / "environment", shared),
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        # Threads that wait must not spin: beside one busy process, a training epoch on two cores
        # took 37 to 75 s spinning, and 7 to 12 s so.
        "OMP_WAIT_POLICY": "PASSIVE",
        "GLOO_SOCKET_IFNAME": "lo",
        "TORCH_HOME": os.environ.get("TORCH_HOME", str(cache / "torch")),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_ROOT_USER_ACTION": "ignore",
        **_old_defaults(image),
        **aws_variables(url),
    }
    if not isolation().real_opt_ml:
        variables["SAGEMAKER_BASE_DIR"] = str(ml)
        config = ml / "input/config"
        variables["SMDEBUG_CONFIG_FILE_PATH"] = str(config / "debughookconfig.json")
        variables["SMPROFILER_CONFIG_PATH"] = str(config / "profilerconfig.json")
    return variables


def _old_defaults(image: str) -> dict[str, str]:
    """What an older PyTorch does by itself and the one here only when it is told.

    `startup` does the rest in each process, by the version that it is told.
    """
    if not (version := pytorch_version(image)):
        return {}
    pickles = {"TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1"} if version < WHOLE_PICKLES else {}
    return {startup.VERSION: ".".join(map(str, version)), **pickles}


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


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a ``tar.gz`` below `folder`; a member that points outside is refused.

    Raises:
        tarfile.TarError, OSError: no archive, or an unsafe one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with gzip(archive, "rb") as stream, tarfile.open(fileobj=stream, mode="r|") as source:
        source.extractall(folder, filter="data")


@contextmanager
def gzip(archive: Path, mode: str) -> Iterator:
    """A gzip file to read from or write to, many times as fast as Python's own."""
    level = {"compresslevel": PACK_LEVEL} if mode == "wb" else {}
    with igzip_threaded.open(archive, mode, threads=1, block_size=COPY, **level) as stream:
        yield stream
