"""A run that was interrupted and resumed leaves the tensors of one that was not."""

import json
import os
import shutil
import signal

import numpy as np
import pytest

from debugger import hookconfig
from tests.support.forking import fork, train_alone
from tests.support.tiny_photos import write_channels

RECIPE = "--model resnet18 --weights random --image-size 32 --precision fp32 --batch-size 4 "
RECIPE += "--epochs 2 --seed 3 --checkpoint-seconds 0.0001"
HOOK = {
    "CollectionConfigurations": [
        {
            "CollectionName": "losses",
            "CollectionParameters": {"train.save_interval": "1", "eval.save_interval": "1"},
        },
        {"CollectionName": "gradients", "CollectionParameters": {"train.save_interval": "2"}},
        {
            "CollectionName": "outputs",  # saved at the first step only
            "CollectionParameters": {"include_regex": "fc_output", "train.save_steps": "0"},
        },
    ]
}


class Job:
    """train.py with a hook, in a folder of its own; `managed` as SageMaker Debugger would have it.

    SageMaker brings the checkpoints back to the next instance, and nothing else. It stores the
    tensors of a managed job in S3, of which `stored` is the stand-in.
    """

    def __init__(self, root, photos, managed=False):
        self.root, self.managed, self.log = root, managed, root / "log"
        self.attempts, self.stored = 0, {}
        root.mkdir()
        config = {"LocalPath": str(root / "opt/checkpoints")}
        (root / "checkpointconfig.json").write_text(json.dumps(config))
        # Named, because a fork has the variables that its server had when it was started.
        hook_file = root / (hookconfig.FILE if managed else "none")
        self.variables = {"SM_INPUT_CONFIG_DIR": str(root), "TRAINING_JOB_NAME": "dogs-1"}
        self.variables["SMDEBUG_CONFIG_FILE_PATH"] = str(hook_file)
        self.words = [*RECIPE.split(), "--model-dir", str(root / "model")]
        for channel in ("train", "valid", "test"):
            self.words += [f"--{channel}-dir", str(photos / channel)]
        if managed:
            self.tensors = root / "opt/tensors"
            hook = {**HOOK, "LocalPath": str(self.tensors)}
            hook_file.write_text(json.dumps(hook))
            del self.variables["TRAINING_JOB_NAME"]  # or smdebug looks for /opt/ml
        else:
            self.tensors = root / "opt/checkpoints/dogs-1/debug-output"
            self.words += ["--debug-config", json.dumps(HOOK)]

    def run(self, steps=None):
        """Train to the end, or be killed after so many steps."""
        variables = {**self.variables, **({"KILL_AFTER": str(steps)} if steps else {})}
        process = fork(train_until, self.words, self.log, variables)
        process.join(120)
        expected = -signal.SIGKILL if steps else 0
        assert process.exitcode == expected, self.log.read_text()
        if self.managed:  # a new instance has no tensors
            for file in [each for each in self.tensors.rglob("*") if each.is_file()]:
                place = self.root / "s3" / file.relative_to(self.tensors)
                place.parent.mkdir(parents=True, exist_ok=True)
                file.replace(place) if steps else place.write_bytes(file.read_bytes())
            if steps:
                shutil.rmtree(self.tensors)
        return self

    def saved(self):
        """Every tensor: by name, mode and step, its values; and the steps' numbers in the run."""
        from smdebug.core.modes import ModeKeys as modes
        from smdebug.trials import create_trial

        trial = create_trial(str(self.root / "s3" if self.managed else self.tensors))
        found = {}
        for name in trial.tensor_names():
            for mode in (modes.TRAIN, modes.EVAL, modes.PREDICT):
                for step in trial.tensor(name).steps(mode=mode):
                    value = trial.tensor(name).value(step, mode=mode)
                    found[name, mode, step] = trial.global_step(mode, step), value
        for name in ("losses", "gradients", "outputs"):
            found[name] = sorted(trial.tensor_names(collection=name))
        return found


def train_until(arguments, log, variables):
    """In a fork: train, and kill the process after some steps, all attempts together."""
    if steps := variables.get("KILL_AFTER"):
        from checkpoint import Progress

        update = Progress.update

        def counted(self, *values):
            if self.step + 4 * (self.epoch - 1) >= int(steps):
                os.kill(os.getpid(), signal.SIGKILL)
            update(self, *values)

        Progress.update = counted
    train_alone(arguments, log, variables)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Four steps of training in an epoch, two of validation, and two of the test."""
    return write_channels(tmp_path_factory.mktemp("photos"), photos=8)


@pytest.fixture(scope="module")
def whole(tmp_path_factory, photos):
    return Job(tmp_path_factory.mktemp("whole") / "job", photos).run().saved()


@pytest.mark.parametrize(("managed", "killed_after"), [(False, 3), (False, 4), (True, 6)])
def test_a_resumed_runs_tensors_are_those_of_a_run_that_was_not_interrupted(
    tmp_path, photos, whole, managed, killed_after
):
    job = Job(tmp_path / "killed", photos, managed).run(killed_after).run()
    assert "resumed=" in job.log.read_text()
    found = job.saved()
    assert list(found) == list(whole)
    for key, expected in whole.items():
        if isinstance(key, str):
            assert found[key] == expected
        else:
            assert found[key][0] == expected[0], key
            np.testing.assert_array_equal(found[key][1], expected[1], str(key))


def test_a_run_that_ended_in_good_order_after_sigterm_goes_on_where_its_tensors_are(tmp_path):
    tensors = tmp_path / "debug-output"
    (tensors / "events").mkdir(parents=True)
    for name in (*hookconfig.MARKS, "kept"):
        (tensors / name).touch()
    hookconfig.write({**HOOK}, tmp_path, resumes=True)
    assert sorted(file.name for file in tensors.iterdir()) == ["events", "kept"]
