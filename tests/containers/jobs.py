"""Training jobs in a container's environment: SDK v3's driver, the toolkit, torchrun."""

import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import uploads
from venvs import BUILD, Venv

from local_sagemaker.runtime import container, isolation
from local_sagemaker.training import configuration
from local_sagemaker.training.cluster import Host

ENTRY_POINTS = Path(__file__).parents[2] / "entry_points"
PHOTOS = BUILD / "photos"
CHANNELS = ("train", "valid", "test")
LIMIT_S = 600
IGNORED = shutil.ignore_patterns(*uploads.IGNORED)


@dataclass(frozen=True)
class Result:
    """What a job left: its folder, its log, and how it ended."""

    ml: Path
    log: str
    code: int

    @property
    def losses(self) -> list[float]:
        """The training loss of each epoch, which is one step here, unrounded."""
        lines = (self.ml / "output/data/history.jsonl").read_text().splitlines()
        return [json.loads(line)["train_loss"] for line in lines]

    @property
    def weights(self) -> str:
        """A digest of the saved weights."""
        return hashlib.sha256((self.ml / "model/model.safetensors").read_bytes()).hexdigest()[:12]


def new_folder(name: str, hyperparameters: dict[str, str], **members: dict | None) -> Path:
    """Lay out a job's `/opt/ml`: configuration, channels, empty output.

    `members` are further ones of the job's description, like DebugHookConfig; None leaves one out.
    """
    ml = BUILD / "jobs" / name
    shutil.rmtree(ml, ignore_errors=True)
    for folder in ("input/data", "model", "output/data"):
        (ml / folder).mkdir(parents=True)
    for channel in CHANNELS:
        (ml / "input/data" / channel).symlink_to(PHOTOS / channel)
    source = {"S3DataSource": {"S3DataDistributionType": "FullyReplicated"}}
    job = {
        "HyperParameters": hyperparameters,
        "ResourceConfig": {"InstanceType": "ml.m5.large"},
        "AlgorithmSpecification": {"TrainingInputMode": "File"},
        "InputDataConfig": [{"ChannelName": name, "DataSource": source} for name in CHANNELS],
    }
    job |= {member: value for member, value in members.items() if value}
    host = Host(isolation.HOST, "127.0.0.1", "ml.m5.large")
    configuration.write_configuration(ml, job, host, [host])
    return ml


def run(
    venv: Venv, ml: Path, command: list[str], cwd: str = "/", variables: dict | None = None
) -> Result:
    """Run a command with `ml` as its `/opt/ml` and only the environment's programs before it."""
    scratch = ml.parent / f"{ml.name}.scratch"
    environment = {
        "PATH": f"{venv.folder}/bin:/usr/local/bin:/usr/bin:/bin",
        "HOME": str(scratch),
        "LANG": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        "AWS_REGION": "us-east-1",
        "TRAINING_JOB_NAME": ml.name,
        "OMP_NUM_THREADS": "1",  # sums in another order are other sums
        # uv has installed what the job's pip is then asked for: it only finds it there.
        "PIP_NO_INDEX": "1",
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        **(variables or {}),
    }
    if not isolation.isolation().real_opt_ml:
        configuration.relocate_drivers(ml)
        environment["SAGEMAKER_BASE_DIR"] = str(ml)
        hook = ml / "input/config/debughookconfig.json"
        environment["SMDEBUG_CONFIG_FILE_PATH"] = str(hook)
    words = [container.inside(ml, word) for word in command]
    process = isolation.start(ml, scratch, words, environment, container.inside(ml, cwd))
    try:
        log = process.communicate(timeout=LIMIT_S)[0].decode("utf-8", "replace")
    except subprocess.TimeoutExpired:
        isolation.kill(process)
        log = process.communicate()[0].decode("utf-8", "replace") + f"\nover {LIMIT_S} s"
    (ml.parent / f"{ml.name}.log").write_text(log)
    return Result(ml, log, process.returncode)


def install(venv: Venv, requirements: str | None, variables: dict) -> None:
    """Make the environment a new container's, with a requirements file of ours on top."""
    venv.reset()
    if requirements:
        venv.install(ENTRY_POINTS / requirements, no_deps="PIP_NO_DEPS" in variables)


def driver(
    venv: Venv,
    name: str,
    hyperparameters: dict,
    *,
    requirements: str | None = "requirements.txt",
    environment: dict | None = None,
    hook: dict | None = None,
    more: dict[str, dict] | None = None,
    processes: int | None = None,
) -> Result:
    """Run the job which `ModelTrainer` makes of these arguments; `processes` with torchrun.

    `hook` is its DebugHookConfig, `more` are further members of its description.
    """
    variables = environment or {}
    install(venv, requirements, variables)
    job = uploads.training_job(ENTRY_POINTS, requirements, hyperparameters, processes)
    ml = new_folder(name, job.hyperparameters, DebugHookConfig=hook, **(more or {}))
    job.lay_out(ml / "input/data")
    return run(venv, ml, job.command, variables=variables)


def toolkit(
    venv: Venv,
    name: str,
    hyperparameters: dict,
    *,
    requirements: str = "requirements.txt",
    environment: dict | None = None,
    files: dict[str, str] | None = None,
) -> Result:
    """Run the job as the v3 tuner and SDK v2 send it: the image's `train`, and an archive.

    The toolkit looks for requirements.txt by itself: it finds whatever `requirements` installed.
    `files` are added to the source folder.
    """
    install(venv, requirements, environment or {})
    place = f"{container.ML}/input/sourcedir.tar.gz"
    ml = new_folder(name, {})
    values = {
        **hyperparameters,
        "sagemaker_program": '"train.py"',
        "sagemaker_submit_directory": json.dumps(container.inside(ml, place)),
    }
    (ml / "input/config/hyperparameters.json").write_text(json.dumps(values))
    with tarfile.open(ml / "input/sourcedir.tar.gz", "w:gz") as archive:
        archive.add(ENTRY_POINTS, arcname=".", filter=_without(IGNORED))
        for file, text in (files or {}).items():
            member = tarfile.TarInfo(file)
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
    module = {"SAGEMAKER_TRAINING_MODULE": "sagemaker_pytorch_container.training:main"}
    return run(venv, ml, ["train"], variables=module | (environment or {}))


def torchrun(venv: Venv, name: str, hyperparameters: dict, processes: int) -> Result:
    """Run torchrun by hand, with every value as it is given: quotes reach the script."""
    install(venv, "requirements.txt", {})
    ml = new_folder(name, {})
    shutil.copytree(ENTRY_POINTS, ml / "code", ignore=IGNORED)
    command = ["torchrun", "--standalone", f"--nproc_per_node={processes}", "train.py"]
    command += [word for key, value in hyperparameters.items() for word in (f"--{key}", value)]
    return run(venv, ml, command, f"{container.ML}/code", _folders(ml))


def alone(python: Path, name: str, hyperparameters: dict) -> Result:
    """Run `train.py` in another environment, without a container around it."""
    ml = new_folder(name, {})
    command = [str(python), str(ENTRY_POINTS / "train.py")]
    command += [word for key, value in hyperparameters.items() for word in (f"--{key}", value)]
    return run(Venv(python.parents[1], Path()), ml, command, variables=_folders(ml))


def _folders(ml: Path) -> dict[str, str]:
    places = {"MODEL_DIR": "model", "OUTPUT_DATA_DIR": "output/data"}
    places |= {f"CHANNEL_{name.upper()}": f"input/data/{name}" for name in CHANNELS}
    return {
        f"SM_{name}": container.inside(ml, f"{container.ML}/{place}")
        for name, place in places.items()
    }


def _without(ignored: Callable) -> Callable[[tarfile.TarInfo], tarfile.TarInfo | None]:
    def keep(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
        name = Path(member.name).name
        return None if ignored("", [name]) else member

    return keep
