"""SDK 2 inside jobs: imported with success, named by its error when it is used."""

import pytest

from engine_support.inside import run_inside
from engine_support.wheels import write_wheel

IMPORTS = """
import sagemaker
import sagemaker.session
from sagemaker import get_execution_role, image_uris
from sagemaker.debugger import DebuggerHookConfig, Rule, rule_configs
from sagemaker.pytorch import PyTorch, PyTorchModel
from sagemaker.pytorch.estimator import PyTorch as Same
import sagemaker.core.shapes  # SDK 3 is there as it was
assert isinstance(sagemaker.core.shapes.TrainingJob, type)
class Mine(Rule): pass
"""
JOB = {"TRAINING_JOB_NAME": "job", "AWS_DEFAULT_REGION": "us-east-1"}
ADVICE = "add 'sagemaker<3' to the job's requirements.txt"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("sdk")


@pytest.mark.parametrize("version", ["1.8.1", "2.10.0"])
def test_scripts_import_what_they_do_not_use(folder, version):
    assert run_inside(folder, f"{IMPORTS}print('imported')", version, **JOB)[-1] == "imported"


@pytest.mark.parametrize(
    ("use", "name"),
    [
        ("Rule.sagemaker(1)", "sagemaker.debugger.Rule.sagemaker"),
        ("DebuggerHookConfig()", "sagemaker.debugger.DebuggerHookConfig"),
        ("rule_configs.overfit()", "sagemaker.debugger.rule_configs.overfit"),
        ("sagemaker.Session()", "sagemaker.Session"),
        ("get_execution_role()", "sagemaker.get_execution_role"),
    ],
)
def test_what_is_used_says_what_it_is(folder, use, name):
    script = f"{IMPORTS}\ntry:\n    {use}\nexcept Exception as error: print(error)"
    (said,) = run_inside(folder, script, "1.8.1", **JOB)[-1:]
    assert said.startswith(f"{name} is SageMaker's Python SDK 2, which AWS's image has")
    assert said.endswith(ADVICE)


def test_without_any_sdk(folder):
    script = (
        "import sys; from local_sagemaker.runtime.inside import absent_sdk, startup\n"
        "sys.meta_path[:] = [startup.LastFinder()]\n"  # nothing else finds anything
        "from sagemaker.debugger import Rule; import sagemaker; print(sagemaker.Session)"
    )
    assert run_inside(folder, script, "1.8.1", **JOB) == ["<class 'sagemaker.Session'>"]


@pytest.mark.parametrize(("version", "more"), [("2.11.0", JOB), ("1.8.1", {})])
def test_newer_images_and_endpoints_have_no_sdk_2(folder, version, more):
    script = "try:\n    import sagemaker.debugger\nexcept ModuleNotFoundError as e: print(e.name)"
    assert run_inside(folder, script, version, **more) == ["sagemaker.debugger"]


def test_a_job_that_installs_the_sdk_has_the_sdk(folder):
    write_wheel(folder / "wheels", "sagemaker", "2.257.0", module="sagemaker/__init__.py")
    pip = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(folder / "wheels"), "HOME": str(folder)}
    script = (
        "import subprocess, sys\n"
        "subprocess.run(['pip', 'install', '-q', 'sagemaker<3'], check=True)\n"
        "ask = '''import sagemaker; print(sagemaker.VALUE, hasattr(sagemaker, 'Session'))\n"
        "try: import sagemaker.debugger\nexcept ImportError as e: print(e.name)'''\n"
        "subprocess.run([sys.executable, '-c', ask], check=True)"
    )
    said = run_inside(folder / "own-sdk", script, "1.8.1", **JOB, **pip)
    assert said[-2:] == ["2.257.0 False", "sagemaker.debugger"]
