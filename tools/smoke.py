"""`make test-notebooks`: the notebooks by nbval, in local mode and in AWS mode without AWS.

Both runs have a few drawn photos of 12 breeds. The one in AWS mode asks a stand-in for AWS: the
local engine behind AWS's own addresses. Its jobs run on spot instances, those of local mode do not.
In both modes the jobs start from a stand-in for ImageNet's weights of ResNet50, which lies in the
bucket. The solutions run in local mode only, since they read what the lessons have made. Then the
clean-up removes what an interrupted notebook would leave.

The requests of both runs are recorded side by side; then `tools.dry_run.audit` compares them, and
judges those of AWS mode by `docs/policy.json` and by AWS's managed policy
AmazonSageMakerFullAccess. Lists of objects have short pages, so that a reader of one page is found
out.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from course.sample_photos import sample
from course.workspace import ROOT
from tools.dry_run import audit, weights

FOLDER = ROOT / "build" / "smoke"
BREEDS, PHOTOS = 12, (2, 2, 2)  # for train, valid and test, of each breed
CELL_TIMEOUT_S = 300
PAGE = 20  # objects that S3 lists at once, in place of 1,000
# The file of weights ($1), the notebooks (the other arguments), what they cost, and the removal of
# what an interrupted one would leave.
STEPS = """
set -e; "$0" -m tools.dry_run.weights "$1"; shift; "$@"
"$0" -m tools.dry_run.leftovers
for each in costs cleanup "cleanup --delete --data"; do "$0" -m course.$each; done
"""
# Another region and another role than local mode's, so that neither can hide.
REGION = "eu-west-1"
ROLE = "arn:aws:iam::123456789012:role/service-role/local-sagemaker"


def environment(mode: str, photos: Path) -> dict[str, str]:
    """The environment of a run: few and small photos, so its outputs are not compared."""
    variables = {
        **os.environ,
        "COURSE_MODE": mode,
        "COURSE_DATA": str(photos),
        "COURSE_IMAGE_SIZE": "64",
        "COURSE_REPORTS": str(FOLDER / mode),
        "COURSE_SPOT": "1" if mode == "aws" else "0",
        "MOTO_S3_DEFAULT_MAX_KEYS": str(PAGE),  # the engine's S3 is moto's
    }
    as_aws = {"COURSE_ROLE": ROLE, "AWS_REGION": REGION, "COURSE_DOWNLOADS": "no"}
    return variables | (as_aws if mode == "aws" else {})


def start(mode: str, photos: Path, file: Path) -> subprocess.Popen:
    """Start nbval on the notebooks in `mode`; the requests are recorded in `record(mode)`.

    Args:
        photos: the folder that notebook 01 uploads.
        file: the weights from which the jobs start.
    """
    options = ["--record", str(record(mode))]
    if mode == "aws":
        options += ["--as-aws", "--deny", "iam:SimulatePrincipalPolicy"]
    engine = [sys.executable, "-m", "local_sagemaker.cli", "run", *options, "--"]
    plugins = ["-p", "no:cacheprovider", "-p", "tools.dry_run.shown"]
    pytest = [sys.executable, "-m", "pytest", "--quiet", *plugins]
    # nbval's own limit names the cell; pytest-timeout, a minute later, is for nbval itself.
    limits = [f"--nbval-cell-timeout={CELL_TIMEOUT_S}", f"--timeout={CELL_TIMEOUT_S + 60}"]
    nbval = ["--nbval-lax", *limits, "notebooks"]
    if mode == "aws":
        nbval.append("--ignore=notebooks/solutions")
    command = [*engine, "sh", "-c", STEPS, sys.executable, str(file), *pytest, *nbval]
    variables = environment(mode, photos)
    with log(mode).open("wb") as output:
        return subprocess.Popen(command, cwd=ROOT, env=variables, stdout=output, stderr=output)


def record(mode: str) -> Path:
    """Where the requests of a run lie."""
    return FOLDER / f"{mode}.jsonl"


def log(mode: str) -> Path:
    """Where the output of a run lies."""
    return FOLDER / f"{mode}.log"


def main() -> int:
    """Run the notebooks in both modes at once, and audit their requests; return the exit code."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    photos = sample.make(FOLDER / "photos", BREEDS, PHOTOS)
    file = weights.make(FOLDER / "weights")
    runs = {mode: start(mode, photos, file) for mode in ("local", "aws")}
    codes = {mode: run.wait() for mode, run in runs.items()}
    for mode in runs:
        print(f"\n-- the notebooks in {mode} mode\n{log(mode).read_text()}", flush=True)
    if any(codes.values()):
        return 1
    return audit.main([str(record("local")), str(record("aws")), "--role", ROLE])


if __name__ == "__main__":
    sys.exit(main())
