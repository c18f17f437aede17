"""Whether SageMaker profiles a job by itself, and where its step times go.

SageMaker writes the job's ProfilerConfig as `profilerconfig.json`, with the folder that it stores
in S3 while the job runs, and samples the machine beside the job.
"""

import os
from pathlib import Path
from typing import Any

from options import job_checkpoints, job_file, read_config

FILE = "profilerconfig.json"
DEFAULT_FOLDER = "/opt/ml/output/profiler"  # smdebug/profiler/profiler_constants.py
OWN_FOLDER = "profiler-output"


def from_sagemaker() -> dict[str, Any] | None:
    """Return the job's profiler configuration, or None if there is none or it says to disable.

    Raises ConfigError if the file is no JSON.
    """
    given = os.environ.get("SMPROFILER_CONFIG_PATH")  # smdebug's name for it
    config = read_config(Path(given) if given else job_file(FILE))
    # The API has a boolean; smdebug's reader takes a text as well.
    disabled = str(config.get("DisableProfiler", False)).lower() == "true"
    return None if disabled or not config else config


def folder(monitored: bool, output_data_dir: Path | None) -> Path | None:
    """Return the folder of a run's recording, or None if the run has no place for one.

    - That of SageMaker's own profiler, if it is on.
    - If the script samples by itself (`monitored`), and the job has a CheckpointConfig: with the
      checkpoints, below the job's name. SageMaker stores them in S3 while the job runs.
    - Else in the output folder, of which SageMaker makes `output.tar.gz` when the job ends.
    """
    config = from_sagemaker()
    if config is not None:
        return Path(config.get("LocalPath") or DEFAULT_FOLDER)
    stored = job_checkpoints() if monitored else None
    place = stored or output_data_dir
    return None if place is None else Path(place).absolute() / OWN_FOLDER
