"""Nothing that a supervised command starts outlives its end, or the engine's."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from debugger_support.processes import processes_with, wait_until
from engine_support.clients import BUCKET, running_engine, unique
from engine_support.endpoints import deploy, serving
from engine_support.profiles import profiled
from local_sagemaker.runtime.isolation import SUPERVISOR
from local_sagemaker.training.profiling import PROGRAM


class Supervised:
    """A command under a supervisor, without namespaces as in `local-sagemaker run`."""

    def __init__(self, folder, line, **spec):
        self.life, self.held = os.pipe()
        file = folder / "spec.json"
        spec = {
            "namespaces": "none",
            "command": ["/bin/sh", "-c", line],
            "environment": {"PATH": os.environ["PATH"]},
            "cwd": str(folder),
            **spec,
        }
        file.write_text(json.dumps(spec))
        words = [sys.executable, "-I", "-S", str(SUPERVISOR), str(file), str(self.life)]
        self.process = subprocess.Popen(
            words, pass_fds=[self.life], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        os.close(self.life)

    def end(self):
        said = self.process.communicate(timeout=20)[0].decode()
        os.close(self.held)
        return self.process.returncode, said


@pytest.mark.parametrize(
    ("command", "code"), [("exit 0", 0), ("exit 9", 9), ("kill -9 $$", 137), ("kill -15 $$", 143)]
)
def test_the_exit_code_is_the_commands(tmp_path, command, code):
    assert Supervised(tmp_path, command).end()[0] == code


@pytest.mark.parametrize("spec", [{"cwd": "/no/such/folder"}, {"command": ["/no/such/program"]}])
def test_a_command_that_cannot_start_says_why(tmp_path, spec):
    code, said = Supervised(tmp_path, "true", **spec).end()
    assert code == 127
    assert "cannot run" in said and "No such file" in said


BACKGROUND = "sleep 997 & setsid sh -c 'setsid sleep 998; : {mark}' & sleep 0.2;"


def test_what_is_left_in_the_background_ends_with_the_command(tmp_path):
    mark = unique("left")
    code, said = Supervised(tmp_path, BACKGROUND.format(mark=mark) + "echo done; exit 3").end()
    assert (code, said) == (3, "done\n")
    assert processes_with(mark) == []


def test_everything_ends_when_the_pipe_closes(tmp_path):
    mark = unique("pipe")
    command = f"trap '' TERM; {BACKGROUND.format(mark=mark)} sleep 999 # {mark}"
    supervised = Supervised(tmp_path, command)
    wait_until(lambda: len(processes_with(mark)) >= 2)
    os.close(supervised.held)
    assert supervised.process.wait(timeout=5) == 137
    assert processes_with(mark) == []


def test_sigterm_goes_to_the_command_alone(tmp_path):
    command = "trap 'echo got it; exit 5' TERM; echo up; while :; do sleep 0.05; done"
    supervised = Supervised(tmp_path, command)
    assert supervised.process.stdout.readline() == b"up\n"
    supervised.process.send_signal(signal.SIGTERM)
    assert supervised.end() == (5, "got it\n")


def test_a_signal_before_the_command_runs_is_not_lost(tmp_path):
    for _ in range(5):
        supervised = Supervised(tmp_path, "sleep 30")
        wait_until(lambda s=supervised: s.process.poll() is not None or _blocks_sigterm(s.process))
        supervised.process.send_signal(signal.SIGTERM)
        assert supervised.end()[0] == 143


def _blocks_sigterm(process):
    """Whether the supervisor has begun its work (SIGTERM is held back, or handled)."""
    status = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    masks = dict(line.split(":\t") for line in status if line.startswith(("SigBlk", "SigCgt")))
    return any(int(mask, 16) >> (signal.SIGTERM - 1) & 1 for mask in masks.values())


def test_a_killed_engine_takes_its_jobs_samplers_and_endpoints_along(tmp_path):
    mark, name = unique("engine"), unique("profiled")
    pair = {"InstanceType": "ml.m5.large", "InstanceCount": 2, "VolumeSizeInGB": 1}
    with running_engine(tmp_path / "state") as mine:
        mine.s3.create_bucket(Bucket=BUCKET)
        assert deploy(mine)["EndpointStatus"] == "InService"
        command = f"trap '' TERM; {BACKGROUND.format(mark=mark)} sleep 999; : {mark}"
        mine.train(command, TrainingJobName=name, ResourceConfig=pair, **profiled(100))

        def samplers():
            return [
                each for each in processes_with(f"/{name}/algo-") if PROGRAM in each.info["cmdline"]
            ]

        wait_until(lambda: len(processes_with(mark)) >= 4 and len(samplers()) == 2)
        for sampler in samplers():
            sampler.suspend()  # so that it does not see its standard input close
        assert serving(mine)
        mine.process.kill()
        mine.process.wait()
        wait_until(lambda: not processes_with(mark) and not serving(mine), 5)
        wait_until(lambda: not processes_with(f"/{name}/algo-"), 10)
