"""Jobs that save tensors, by SageMaker's configuration and by `--debug-config`, in a container.

The hook must not change what is learnt, each collection must hold what its name says, and the
training toolkit must still start a job after smdebug's installation.
"""

import json
import sys
from functools import partial
from pathlib import Path

import jobs
from jobs import Result
from rows import Row, ask, reason, timed
from venvs import Venv

HERE = Path(__file__).parent
REQUIREMENTS = {
    "requirements": "requirements-debugger.txt",
    "environment": {"PIP_NO_DEPS": "1"},
}
RELUS = "layer4.*relu_(in|out)put"
CONFIG = {
    "CollectionConfigurations": [
        {"CollectionName": "losses", "CollectionParameters": {"save_interval": "1"}},
        {"CollectionName": "weights", "CollectionParameters": {"train.save_interval": "3"}},
        {"CollectionName": "gradients", "CollectionParameters": {"train.save_interval": "2"}},
        {"CollectionName": "biases", "CollectionParameters": {"train.save_interval": "3"}},
        {
            "CollectionName": "relus",
            "CollectionParameters": {"include_regex": RELUS, "train.save_interval": "3"},
        },
    ],
}
PLACES = {
    "debug-file": "output/tensors",
    "debug-driver": "checkpoints/debug-driver/debug-output",  # it has a CheckpointConfig
    "debug-toolkit": "output/data/debug-output",
}
# Of ResNet18: its weights (of convolutions, normalisation and head), its biases, a gradient for
# each; two blocks, each with a ReLU called twice, seen before and after. Steps of training.
EXPECTED = {
    "losses": (1, [0, 1, 2, 3]),
    "weights": (41, [0, 3]),
    "gradients": (62, [0, 2]),
    "biases": (21, [0, 3]),
    "relus": (8, [0, 3]),
}


def check(venv: Venv, values: dict[str, str], expected: Result) -> list[Row]:
    """Run the jobs with these hyperparameters; `expected` is the same job without a hook."""
    hook = {"S3OutputPath": "s3://nowhere/debug", **CONFIG}
    option = {**values, "precision": "bf16", "debug-config": json.dumps(CONFIG)}
    named = {**option, "debug-config": "tensors.json"}
    quoted = {name: json.dumps(value) for name, value in named.items()}
    more = {
        "CheckpointConfig": {"S3Uri": "s3://nowhere/debug"},
        "TensorBoardOutputConfig": {"S3OutputPath": "s3://nowhere/board"},
    }
    ways = {
        "SageMaker's file, driver": partial(
            jobs.driver, venv, "debug-file", values, hook=hook, **REQUIREMENTS
        ),
        "--debug-config, driver, bf16": partial(
            jobs.driver, venv, "debug-driver", option, more=more, **REQUIREMENTS
        ),
        "--debug-config, toolkit, bf16": partial(
            jobs.toolkit,
            venv,
            "debug-toolkit",
            quoted,
            files={"tensors.json": json.dumps(CONFIG)},
            **REQUIREMENTS,
        ),
    }
    rows, results = [], {}
    for way, start in ways.items():
        results[way] = result = timed(way, start)
        bf16 = results.get("--debug-config, driver, bf16", result)
        rows += _check_job(venv, way, result, bf16 if "bf16" in way else expected)
    return [*rows, _check_board(results["--debug-config, driver, bf16"])]


def _check_job(venv: Venv, way: str, result: Result, expected: Result) -> list[Row]:
    if result.code != 0:
        return [Row(way, "", "-", f"exit code {result.code}: {reason(result.log)}")]
    wrong = [] if result.weights == expected.weights else ["the hook changed what was learnt"]
    own = "debug-config" in way
    tensors = result.ml / PLACES[result.ml.name]
    if own and not (tensors / "training_job_end.ts").exists():
        wrong.append("no mark of the job's end")
    first = f"{result.losses[0]:.9f}"
    rows = [Row(way, f"weights {result.weights}", first, "; ".join(wrong) or "OK")]
    for where, python in (("container", venv.python), ("course's .venv", Path(sys.executable))):
        found = ask(python, "TENSORS", HERE / "tensors.py", tensors, result.ml / "model")
        by = f"read in the {where}"
        if isinstance(found, str):
            rows.append(Row(way, by, "-", found))
        else:
            by += f", protobuf {found['protobuf']}, numpy {found['numpy']}"
            rows.append(Row(way, by, _first(found), "; ".join(_wrong(found)) or "OK"))
    return rows


def _first(found: dict) -> str:
    return f"{found['losses']['TRAIN']['0']:.9f}" if found["losses"]["TRAIN"] else "-"


def _wrong(found: dict) -> list[str]:
    wrong = []
    for name, (count, steps) in EXPECTED.items():
        saved = found["collections"].get(name, {"names": 0, "steps": []})
        if (saved["names"], saved["steps"]) != (count, steps):
            wrong.append(f"{name}: {saved}, not {count} at {steps}")
    if found["apart"]:
        wrong.append(f"the weights are the saved model's, but for {found['apart'][:3]}")
    if not found["relus"]:
        wrong.append("no inputs of ReLUs as they were before")
    return wrong


def _check_board(result: Result) -> Row:
    files = list((result.ml / "output/tensorboard/GLOBAL").glob("*tfevents*"))
    epochs = len(result.losses) if result.code == 0 else 0
    # One an epoch, and one for the test.
    verdict = "OK" if len(files) == epochs + 1 else f"not {epochs + 1}"
    return Row("TensorBoardOutputConfig", "event files of scalars", str(len(files)), verdict)
