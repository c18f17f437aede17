"""Debugger's hook in old images: scripts that do nothing for it, a part of it, or all."""

import json
import subprocess

import pytest

from local_sagemaker.runtime import environments
from local_sagemaker.runtime.inside import startup

TRAIN = """
import torch, torch.nn.functional as F
from torch import nn
network = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 3))
optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
inputs, labels, zeros = torch.rand(2, 4), torch.tensor([0, 1]), torch.zeros(2, 3)
def train(loss):
    for _ in range(3):
        optimizer.zero_grad()
        loss(network(nn.Identity()(inputs))).backward()
        optimizer.step()
"""
FETCH = "import smdebug.pytorch as smd; hook = smd.get_hook(create_if_not_exists=True)\n"
READ = """
import os, sys
print("imported", "smdebug" in sys.modules)
if os.path.exists("tensors"):
    import smdebug.pytorch as smd
    smd.get_hook().close()
    trial = smd.create_trial("tensors")
    print("losses", *sorted(trial.tensor_names(collection="losses")))
    print("gradients", len(trial.tensor_names(collection="gradients")))
    print("steps", *trial.steps())
"""
COLLECTIONS = [
    {"CollectionName": name, "CollectionParameters": {"save_interval": "1"}}
    for name in ("losses", "gradients")
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("automatic")


@pytest.fixture
def run(folder, tmp_path):
    """Runs a script in a job of an image; returns the lines that it and `READ` printed."""

    def run(script, version="1.8.1", output="s3://b/p", collections=COLLECTIONS, **more):
        members = {"S3OutputPath": output, "HookParameters": None}
        members |= {"CollectionConfigurations": collections, "LocalPath": f"{tmp_path}/tensors"}
        (file := tmp_path / "hook.json").write_text(json.dumps(members))
        variables = environments.make(folder / "own", folder / "shared") | {
            startup.VERSION: version,
            "TRAINING_JOB_NAME": "job",
            "SMDEBUG_CONFIG_FILE_PATH": str(file),
            "SMPROFILER_CONFIG_PATH": f"{tmp_path}/none.json",
        }
        done = subprocess.run(
            ["python", "-c", TRAIN + script + READ],
            env=variables | more,
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert done.returncode == 0, done.stdout
        assert "SMDebug error" not in done.stdout
        return done.stdout.splitlines()

    return run


@pytest.mark.parametrize(
    ("script", "losses"),
    [
        (  # AWS's documentation: no change to the script
            "from torch.nn.functional import l1_loss as own\n"
            "train(lambda x: nn.NLLLoss()(x, labels) + F.nll_loss(x, labels) + own(x, zeros))",
            "NLLLoss_output_0 l1_loss_output_0 nll_loss_output_0",
        ),
        (FETCH + "train(lambda x: F.cross_entropy(x, labels))", "nll_loss_output_0"),
        (  # the loss that the script registers is the only one
            FETCH + "loss = nn.CrossEntropyLoss(); hook.register_loss(loss)\n"
            "train(lambda x: loss(x, labels) + F.mse_loss(x, zeros) + nn.L1Loss()(x, zeros))",
            "CrossEntropyLoss_output_0",
        ),
    ],
)
def test_a_network_is_registered_at_its_first_call_and_losses_with_it(run, script, losses):
    said = run(script)
    assert said[-3:] == [f"losses {losses}", "gradients 4", "steps 0 1 2"]


def test_a_network_that_has_been_called_can_be_registered(run):
    register = "network(inputs); hook.register_hook(network)\n"
    said = run(FETCH + register + "train(lambda x: F.nll_loss(x, labels))")
    assert said[-3:] == ["losses nll_loss_output_0", "gradients 4", "steps 1 2 3"]


NLL = "train(lambda x: F.nll_loss(x, labels))"


@pytest.mark.parametrize(
    "members", [{"version": "2.1.0"}, {"output": ""}, {"USE_SMDEBUG": "false"}], ids=str
)
def test_nothing_is_saved_that_nobody_asked_for(run, members):
    (last,) = run(NLL, **members)[-1:]
    assert last == f"imported {'USE_SMDEBUG' in members}"


def test_a_hook_of_a_job_without_configuration_disturbs_nobody(run):
    loss = "loss = nn.CrossEntropyLoss(); hook.register_loss(loss)\n"
    said = run(FETCH + loss + "train(lambda x: loss(x, labels))", output="", collections=None)
    assert said[-1] == "steps 0"  # one in 500


def test_without_smdebug_the_script_goes_on(run):
    said = run("import sys; sys.modules['smdebug.pytorch'] = None\n" + NLL + "\nprint('trained')")
    assert said[-2] == "trained"
    assert said[-3].startswith("local_sagemaker: no tensors are saved: smdebug says ModuleNot")
