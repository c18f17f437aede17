"""What containers do silently: seen where it is needed, gone where the script decides itself."""

import subprocess

import pytest

from local_sagemaker.runtime import environments


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """Runs a script by a container's Python; returns what it printed, errors included."""
    folder = tmp_path_factory.mktemp("startup")
    variables = environments.make(folder / "own", folder / "shared")

    def run(script, **more):
        done = subprocess.run(
            ["python", "-c", script],
            env={**variables, **more},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    return run


def test_nothing_is_imported_for_it(python):
    watched = "{'logging', 'torch', 'smdebug', 'socket'}"
    assert python(f"import sys; print({watched} & set(sys.modules))") == "set()\n"


@pytest.mark.parametrize(
    ("script", "seen"),
    [
        ("logging.getLogger('mine').info('loss=1')", "loss=1\n"),
        ("logging.info('loss=1')", "INFO:root:loss=1\n"),
        ("logging.getLogger().info('loss=1'); logging.debug('not this')", "loss=1\n"),
        ("logging.basicConfig(format='%(message)s!'); logging.info('loss=1')", "loss=1!\n"),
        ("logging.basicConfig(level='WARNING'); logging.info('loss=1')", ""),
        ("logging.basicConfig(level='DEBUG', format='%(message)s'); logging.debug('a')", "a\n"),
        ("logging.getLogger().setLevel('ERROR'); logging.warning('not this')", ""),
        (
            "mine = logging.getLogger('mine'); mine.setLevel('INFO');"
            "mine.addHandler(logging.StreamHandler()); mine.info('once')",
            "once\n",
        ),
    ],
)
def test_messages_are_shown_unless_the_script_decides(python, script, seen):
    assert python(f"import logging; {script}") == seen


TRAIN = """
import os, torch, smdebug.pytorch as smd
from smdebug.pytorch import Hook, SaveConfig
network = torch.nn.Sequential(torch.nn.Linear(4, 3))
first, second = torch.nn.CrossEntropyLoss(), torch.nn.MSELoss()
for name, own in (("silent", False), ("own", True)):
    hook = Hook(os.environ["OUT"] + name, save_config=SaveConfig(save_interval=1))
    network = torch.nn.Sequential(torch.nn.Linear(4, 3))
    hook.register_hook(network)
    if own:
        hook.register_loss(second)
    for _ in range(2):
        out = network(torch.rand(2, 4))
        (first(out, torch.tensor([0, 1])) + second(out, torch.zeros(2, 3))).backward()
    hook.close()
    trial = smd.create_trial(os.environ["OUT"] + name)
    print(name, sorted(trial.tensor_names(collection="losses")), trial.steps())
"""


def test_a_loss_is_registered_at_its_first_call_unless_the_script_registers_one(python, tmp_path):
    said = python(TRAIN, OUT=f"{tmp_path}/")
    lines = [line for line in said.splitlines() if line.startswith(("silent", "own"))]
    assert lines == [
        "silent ['CrossEntropyLoss_output_0', 'MSELoss_output_0'] [0, 1]",
        "own ['MSELoss_output_0'] [0, 1]",
    ]
