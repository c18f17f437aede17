"""Read what a debugged job saved: `python tensors.py FOLDER [MODEL_DIR]` prints JSON.

With the job's model, the weights that were saved as the test began are compared with it. A program
of its own, so that it can run in any environment that has smdebug.
"""

import json
import os
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

if int(version("protobuf").partition(".")[0]) >= 4:  # smdebug's descriptors are older
    os.environ["PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION"] = "python"

import numpy as np
from safetensors.numpy import load_file
from smdebug.core.modes import ModeKeys
from smdebug.trials import create_trial


def losses(trial: Any) -> dict[str, dict[int, float]]:
    """The saved losses, by mode and step."""
    loss = trial.tensor("CrossEntropyLoss_output_0")
    return {
        mode.name: {step: float(loss.value(step, mode=mode)) for step in loss.steps(mode=mode)}
        for mode in (ModeKeys.TRAIN, ModeKeys.EVAL)
    }


def collections(trial: Any) -> dict[str, dict[str, Any]]:
    """How many tensors each collection holds, and the steps of training at which all were saved."""
    found = {}
    for collection in trial.collections():
        names = trial.tensor_names(collection=collection)
        steps = [set(trial.tensor(name).steps(mode=ModeKeys.TRAIN)) for name in names]
        common = sorted(set.intersection(*steps)) if steps else []
        found[collection] = {"names": len(names), "steps": common}
    return found


def apart(trial: Any, model: Path) -> list[str]:
    """The weights that, saved as the test began, are not those of the model; missing ones too."""
    found = []
    for name, value in load_file(model / "model.safetensors").items():
        if name.rpartition(".")[2] not in ("weight", "bias"):
            continue
        tensor = f"ResNet_{name}"
        known = tensor in trial.tensor_names()
        if not known or not np.array_equal(
            trial.tensor(tensor).value(0, mode=ModeKeys.PREDICT), value
        ):
            found.append(tensor)
    return found


def relus(trial: Any) -> bool:
    """Whether inputs of blocks' first ReLUs were saved, and each as it was before the ReLU.

    Those of the second may hold no negative value at first: a block begins as the identity.
    """
    inputs = trial.tensor_names(regex="relu_input_0")
    for name in inputs:
        before = trial.tensor(name).value(0, mode=ModeKeys.TRAIN)
        after = trial.tensor(name.replace("input", "output")).value(0, mode=ModeKeys.TRAIN)
        if before.min() >= 0 or not np.array_equal(np.maximum(before, 0), after):
            return False
    return bool(inputs)


def main() -> None:
    folder, *models = map(Path, sys.argv[1:])
    trial = create_trial(str(folder))
    found = {name: version(name) for name in ("smdebug", "protobuf", "numpy")}
    found |= {"losses": losses(trial), "collections": collections(trial)}
    for model in models:
        found |= {"apart": apart(trial, model), "relus": relus(trial)}
    print("TENSORS", json.dumps(found))


if __name__ == "__main__":
    main()
