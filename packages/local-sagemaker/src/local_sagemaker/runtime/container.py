"""What SageMaker's containers look like from inside: folders and environment."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterator
from contextlib import suppress
from importlib import metadata
from pathlib import Path

from local_sagemaker.client.environment import aws_variables
from local_sagemaker.core.access_key import AccessKey
from local_sagemaker.core.shell_path import TEMPORARY_LENGTH, TMP
from local_sagemaker.runtime import environments
from local_sagemaker.runtime.inside import startup
from local_sagemaker.runtime.isolation import isolation

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
# Machine settings that may be handed on to a job; never the caller's credentials.
HANDED_ON = ("TZ", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "MPLCONFIGDIR", "TMPDIR")


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


def environment(
    url: str, key: AccessKey, scratch: Path, ml: Path, image: str, shared: Path
) -> dict[str, str]:
    """The variables of a container of `image`: tools, address and key of the engine.

    Its home and its Python environment are made in `scratch`; `shared` is what all containers of
    the engine share of such environments.
    """
    (home := scratch / "home").mkdir(parents=True, exist_ok=True)
    variables = {name: os.environ[name] for name in HANDED_ON if name in os.environ}
    if isolation().real_opt_ml:  # it has a /tmp of its own, too
        variables.pop("TMPDIR", None)
    if "TMPDIR" in variables and len(os.fsencode(variables["TMPDIR"])) > TEMPORARY_LENGTH:
        variables["TMPDIR"] = str(TMP)  # processes of a job find each other by sockets in it
    # Before its first figure Matplotlib looks for fonts: for seconds, so once for all containers.
    variables.setdefault("MPLCONFIGDIR", str(shared / "matplotlib"))
    variables |= {
        **environments.make(scratch / "environment", shared),
        "LOCAL_SAGEMAKER": "1",  # a script can tell that the instance type is only a name here
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        # Threads that wait must not spin: beside one busy process, a training epoch on two cores
        # took 37 to 75 s spinning, and 7 to 12 s so.
        "OMP_WAIT_POLICY": "PASSIVE",
        "GLOO_SOCKET_IFNAME": "lo",
        "TORCH_HOME": _torch_home(),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_ROOT_USER_ACTION": "ignore",
        **_old_defaults(image),
        **aws_variables(url, key),
    }
    if not isolation().real_opt_ml:
        variables["SAGEMAKER_BASE_DIR"] = str(ml)
        config = ml / "input/config"
        variables["SMDEBUG_CONFIG_FILE_PATH"] = str(config / "debughookconfig.json")
        variables["SMPROFILER_CONFIG_PATH"] = str(config / "profilerconfig.json")
    return variables


def kept(scratch: Path, shared: Path) -> list[str | Path]:
    """What a container needs of the machine's files, for `isolation.start`.

    Args:
        scratch: where its home and its Python environment are.
        shared: what all containers of the engine share of such environments.
    """
    named = [os.environ.get(name, "") for name in ("LD_LIBRARY_PATH", "MPLCONFIGDIR")]
    paths = [path for value in named for path in value.split(os.pathsep)]
    return [scratch, shared, _torch_home(), *environments.places(), *paths]


def _torch_home() -> str:
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    return os.environ.get("TORCH_HOME", str(cache / "torch"))


def _old_defaults(image: str) -> dict[str, str]:
    """What an older PyTorch does by itself and the one here only when it is told.

    `startup` does the rest in each process, by the version that it is told.
    """
    if not (version := pytorch_version(image)):
        return {}
    pickles = {"TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1"} if version < WHOLE_PICKLES else {}
    return {startup.VERSION: ".".join(map(str, version)), **pickles}
