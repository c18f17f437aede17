"""Plain `pytest --nbval-lax notebooks` works too: this starts the engine that the notebooks need.

It also decides whether outputs are compared. The committed outputs are those of the default set in
local mode; a run with other photos must not fail because it counts others.
"""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from local_sagemaker import daemon
from local_sagemaker.client.environment import REMOVED, client_environment

# What changes the outputs of a cell that begins with `# NBVAL_CHECK_OUTPUT`.
CHANGES = ("COURSE_DATA", "COURSE_CLASSES", "COURSE_IMAGE_SIZE")


def reason_not_to_compare(environment: Mapping[str, str]) -> str:
    """Why a run's outputs may differ from the committed ones; empty if they must be the same."""
    if environment.get("COURSE_MODE") != "local":
        return "the committed outputs are those of local mode"
    changed = [name for name in CHANGES if environment.get(name)]
    return f"{', '.join(changed)} is set" if changed else ""


def pytest_configure(config):
    os.environ.setdefault("COURSE_MODE", "local")
    if os.environ["COURSE_MODE"] != "local" or "LOCAL_SAGEMAKER_URL" in os.environ:
        return  # AWS, or inside `local-sagemaker run`
    config.engine_folder = tempfile.TemporaryDirectory(prefix="notebooks-")
    state = Path(config.engine_folder.name)
    life, config.engine_held = os.pipe()
    config.engine_process = daemon.start(state, life=life)
    os.close(life)
    for name in REMOVED:
        os.environ.pop(name, None)
    os.environ.update(client_environment(daemon.find(state).url, state))


def pytest_report_header():
    reason = reason_not_to_compare(os.environ)
    return f"outputs of marked cells: {f'not compared ({reason})' if reason else 'compared'}"


def pytest_collection_modifyitems(items):
    if reason_not_to_compare(os.environ):
        for cell in items:
            if hasattr(cell, "cell"):  # nbval's
                cell.options["check"] = False


def pytest_unconfigure(config):
    if hasattr(config, "engine_process"):
        os.close(config.engine_held)  # the engine ends when this pipe does
        config.engine_process.wait()
        config.engine_folder.cleanup()
