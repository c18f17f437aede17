"""Plain `pytest --nbval-lax notebooks/` works too: this starts the engine the notebooks need."""

import os
import tempfile
from pathlib import Path

from local_sagemaker import engine
from local_sagemaker.client_environment import REMOVED, client_environment


def pytest_configure(config):
    os.environ.setdefault("COURSE_MODE", "local")
    if os.environ["COURSE_MODE"] != "local" or "LOCAL_SAGEMAKER_URL" in os.environ:
        return  # AWS, or inside `local-sagemaker run`
    config.engine_folder = tempfile.TemporaryDirectory(prefix="notebooks-")
    state = Path(config.engine_folder.name)
    life, config.engine_held = os.pipe()
    config.engine_process = engine.start(state, life=life)
    os.close(life)
    for name in REMOVED:
        os.environ.pop(name, None)
    os.environ.update(client_environment(engine.find(state).url, state))


def pytest_unconfigure(config):
    if hasattr(config, "engine_process"):
        os.close(config.engine_held)  # the engine ends when this pipe does
        config.engine_process.wait()
        config.engine_folder.cleanup()
