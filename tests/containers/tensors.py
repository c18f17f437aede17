"""Read what a debugged job saved: `python tensors.py FOLDER` prints JSON.

A program of its own, so that it can run in any environment that has smdebug.
"""

import json
import os
import sys
from importlib.metadata import version

if int(version("protobuf").partition(".")[0]) >= 4:  # smdebug's descriptors are older
    os.environ["PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION"] = "python"

from smdebug.core.modes import ModeKeys
from smdebug.trials import create_trial


def main() -> None:
    loss = create_trial(sys.argv[1]).tensor("CrossEntropyLoss_output_0")
    values = {
        mode.name: {step: float(loss.value(step, mode=mode)) for step in loss.steps(mode=mode)}
        for mode in (ModeKeys.TRAIN, ModeKeys.EVAL)
    }
    packages = {name: version(name) for name in ("smdebug", "protobuf", "numpy")}
    print("TENSORS", json.dumps({**packages, "losses": values}))


if __name__ == "__main__":
    main()
