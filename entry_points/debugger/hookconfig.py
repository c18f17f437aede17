"""What a job's Debugger hook saves: the file that SageMaker writes, or `--debug-config`.

Both have the same members, and string values throughout, as in the API's DebugHookConfig:

    {"CollectionConfigurations": [{"CollectionName": "gradients",
                                   "CollectionParameters": {"train.save_interval": "100"}}],
     "HookParameters": {"save_interval": "10"}}
"""

import contextlib
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

from options import ConfigError, job_checkpoints, job_file, read_config

MAX_COLLECTIONS = 20  # the API's limit
FILE, TENSORS = "debughookconfig.json", "debug-output"
# What smdebug reads (smdebug/core/json_config.py). It ignores other names without a word, and
# save_raw_tensor and save_shape are booleans to it, which a string cannot be.
STEPS = {
    "save_interval": (r"0*[1-9]\d*", "a whole number of at least 1"),
    "save_steps": (r"\d+( *, *\d+)*", "whole numbers with commas between them"),
    "start_step": (r"\d+", "a whole number"),
    "end_step": (r"\d+", "a whole number"),
}
END_OF_JOB = "training_job_end.ts"  # smdebug/core/access_layer/utils.py
MARKS = (END_OF_JOB, "claim.smd")  # the latter: smdebug/core/utils.py
MODES = ("train", "eval", "predict", "global")
BY_MODE = {*STEPS, *(f"{mode}.{name}" for mode in MODES for name in STEPS)}
COLLECTION_PARAMETERS = BY_MODE | {"include_regex", "reductions", "save_histogram"}
HOOK_PARAMETERS = BY_MODE | {"include_regex", "reductions", "save_all", "include_workers"}


def parse(text: str) -> dict[str, Any]:
    """Return the configuration that `--debug-config` gives: JSON text, or the name of a file.

    A name is relative to the working directory, or else to the folder of `train.py`. The training
    toolkit passes arguments to a shell unquoted, so its jobs can only give a name. Raises
    ConfigError, naming the member and its value, if any of it cannot be followed.
    """
    text = text.strip()
    if text.startswith('"'):  # as a tuner quotes a text
        text = _json(text)
    config = _json(text if text.startswith("{") else _read(text))
    _check_members(config, "it", ("CollectionConfigurations", "HookParameters", "LocalPath"))
    collections = config.get("CollectionConfigurations") or []
    if not isinstance(collections, list) or len(collections) > MAX_COLLECTIONS:
        raise ConfigError(f"CollectionConfigurations is no list of up to {MAX_COLLECTIONS}")
    for position, collection in enumerate(collections):
        _check_collection(collection, f"CollectionConfigurations[{position}]")
    _check_parameters(config.get("HookParameters") or {}, "HookParameters", HOOK_PARAMETERS)
    _check_text(config.get("LocalPath", "-"), "LocalPath")
    if not asks(config):
        raise ConfigError("it asks for nothing: name CollectionConfigurations or HookParameters")
    return config


def asks(config: dict[str, Any]) -> bool:
    """Whether a configuration asks for tensors: SageMaker writes one into every job."""
    return bool(config.get("CollectionConfigurations") or config.get("HookParameters"))


def _read(name: str) -> str:
    for place in (Path(name), Path(__file__).parents[1] / name):
        with contextlib.suppress(OSError):  # a text too long for a name, among others
            return place.read_text()
    raise ConfigError(
        f"{name[:60]!r} is neither a JSON object nor a file in the source folder; as a "
        "hyperparameter, it must be one text: json.dumps(...)"
    )


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigError(
            f"it is no JSON: {error} (SageMaker's training toolkit, which starts tuning jobs and "
            "those of SDK v2, loses quotes: there, name a file in the source folder)"
        ) from error


def _check_collection(collection: Any, place: str) -> None:
    _check_members(collection, place, ("CollectionName", "CollectionParameters"))
    if "CollectionName" not in collection:
        raise ConfigError(f"{place} has no CollectionName")
    _check_text(collection["CollectionName"], f"{place}.CollectionName")
    parameters = collection.get("CollectionParameters") or {}
    _check_parameters(parameters, f"{place}.CollectionParameters", COLLECTION_PARAMETERS)


def _check_members(value: Any, place: str, known: tuple[str, ...]) -> None:
    if not isinstance(value, dict):
        raise ConfigError(f"{place} is no JSON object")
    if "S3OutputPath" in value and "S3OutputPath" not in known:
        raise ConfigError(
            f"{place} has S3OutputPath, where only SageMaker Debugger stores: leave it out, and "
            "give the job a CheckpointConfig with this path as its S3Uri"
        )
    if unknown := sorted(set(value) - set(known)):
        raise ConfigError(f"{place} has {unknown[0]!r}, and may have {', '.join(known)}")


def _check_parameters(parameters: Any, place: str, known: set[str]) -> None:
    if not isinstance(parameters, dict):
        raise ConfigError(f"{place} is no JSON object")
    for name, value in parameters.items():
        if name not in known:
            raise ConfigError(f"{place} has {name!r}, which is none of {', '.join(sorted(known))}")
        _check_text(value, f"{place}[{name!r}]")
        pattern, expected = STEPS.get(name.rpartition(".")[2], ("(?s:.*)", ""))
        if not re.fullmatch(pattern, value):
            raise ConfigError(f"{place}[{name!r}] is {value!r}, not {expected}")


def _check_text(value: Any, place: str) -> None:
    if not isinstance(value, str) or not value:
        raise ConfigError(f"{place} is {value!r}: as in SageMaker's API, values are strings")


def from_sagemaker() -> Path | None:
    """Return the file that SageMaker wrote into the job if it asks for tensors, else None.

    Raises ConfigError if it is not JSON.
    """
    given = os.environ.get("SMDEBUG_CONFIG_FILE_PATH")
    path = Path(given) if given else job_file(FILE)
    return path if asks(read_config(path)) else None


def write(config: dict[str, Any], output_data_dir: Path | None, resumes: bool = False) -> Path:
    """Write a `--debug-config` as SageMaker would have written it; return the file.

    The tensors' folder is its LocalPath, or else `debug-output` where the job's results go:

    - into the job's checkpoints, if it has a CheckpointConfig, below the job's name: SageMaker
      stores them in S3 while the job runs, as `<S3Uri>/<job>/debug-output`;
    - else into the output folder, of which SageMaker makes `output.tar.gz` when the job ends.

    What an earlier attempt at the same job left in that folder is removed, unless the run `resumes`
    where that one ended: then only the marks go by which smdebug refuses the folder as that of an
    ended training, or leaves it to another process. Raises ConfigError if there is no such folder.
    """
    folder = Path(config.get("LocalPath") or _results(output_data_dir) / TENSORS).absolute()
    if folder.is_dir():
        if not (folder / "events").is_dir() and any(folder.iterdir()):
            raise ConfigError(f"{folder}, for the tensors, holds other files: name a new folder")
        if not resumes:
            shutil.rmtree(folder)
        for mark in MARKS:
            (folder / mark).unlink(missing_ok=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    file = folder.parent / FILE
    file.write_text(json.dumps({**config, "LocalPath": str(folder)}, indent=2) + "\n")
    return file


def _results(output_data_dir: Path | None) -> Path:
    folder = job_checkpoints() or output_data_dir
    if folder is None:
        raise ConfigError(
            "there is no folder for the tensors: add a LocalPath to --debug-config, or give "
            "--output-data-dir"
        )
    return folder
