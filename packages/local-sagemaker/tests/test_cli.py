"""The command line, as a person meets it."""

import re
import subprocess
import sys
import time
from importlib import metadata

import pytest

from debugger_support.processes import wait_until
from engine_support.clients import Clients
from local_sagemaker import cli, daemon
from local_sagemaker.core import access_key
from local_sagemaker.core.store import Store


@pytest.fixture(scope="module")
def state(tmp_path_factory):
    """The state folder of an engine that was started by the command line."""
    folder = tmp_path_factory.mktemp("cli")
    assert cli.main(["start", "--state", str(folder)]) == 0
    aws = Clients(daemon.find(folder).url, access_key.read(folder))
    aws.s3.create_bucket(Bucket="work")
    aws.trained("echo hello; echo world", TrainingJobName="done")
    aws.trained("echo other", TrainingJobName="done2")
    yield folder
    daemon.stop(folder)


def said(capsys, *arguments):
    code = cli.main([str(a) for a in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_help_names_the_commands_and_not_the_inner_one(capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["--help"])
    text = capsys.readouterr().out
    assert ended.value.code == 0
    for command in ("start", "stop", "status", "env", "logs", "reclaim", "clean", "run"):
        assert f"\n    {command} " in text
    assert "serve" not in text.replace("served", "")


def test_start_stop_and_start_again(tmp_path, capsys):
    code, out, _ = said(capsys, "start", "--state", tmp_path)
    assert code == 0
    assert daemon.find(tmp_path).url in out and " env --state " in out
    code, _, err = said(capsys, "start", "--state", tmp_path)
    assert (code, "runs on" in err, "local-sagemaker stop" in err) == (1, True, True)
    assert said(capsys, "stop", "--state", tmp_path)[:2] == (0, "stopped\n")
    assert said(capsys, "stop", "--state", tmp_path)[:2] == (0, f"no engine runs on {tmp_path}\n")


def test_status_lists_jobs(state, capsys):
    code, out, _ = said(capsys, "status", "--state", state)
    assert code == 0
    assert daemon.find(state).url in out
    assert any(
        line.split() == ["training", "job", "Completed", "done"] for line in out.splitlines()
    )


def test_logs_are_those_of_the_one_job(state, capsys):
    code, out, _ = said(capsys, "logs", "done", "--state", state)
    assert (code, out.splitlines()[1:]) == (0, ["hello", "world"])  # after the image's line
    code, _, err = said(capsys, "logs", "nobody", "--state", state)
    assert (code, "no log of 'nobody'" in err) == (1, True)


def test_reclaim_takes_a_spot_jobs_instances(state, capsys, monkeypatch):
    running = daemon.find(state)
    aws = Clients(running.url, access_key.read(state))
    limits = {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 60}
    spot = {"EnableManagedSpotTraining": True, "StoppingCondition": limits}
    name = aws.train("echo ready; sleep 3", TrainingJobName="spot", **spot)
    wait_until(lambda: aws.log(name) == ["ready"])
    asked = ["reclaim", name, "--notice", "0", "--absence", "0"]
    code, out, _ = said(capsys, *asked, "--state", state)
    assert (code, out) == (0, "spot loses its instances within 0 s\n")
    # In a shell that uses an engine, it is that one.
    wait_until(lambda: aws.log(name) == ["ready"] * 2)
    for variable, value in aws.key.variables().items() | {("LOCAL_SAGEMAKER_URL", aws.url)}:
        monkeypatch.setenv(variable, value)
    assert said(capsys, *asked)[0] == 0
    assert aws.job(name)["TrainingJobStatus"] == "Completed"
    assert aws.log(name) == ["ready"] * 3
    code, _, err = said(capsys, *asked)
    assert (code, "spot has the secondary status Completed" in err) == (1, True)


def test_env_is_for_a_shell(state):
    words = [sys.executable, "-m", "local_sagemaker.cli", "env", "--state", str(state)]
    line = 'export AWS_PROFILE=mine; eval "$("$@")"; echo $AWS_ENDPOINT_URL ${AWS_PROFILE-gone}'
    out = subprocess.check_output(["/bin/sh", "-c", line, "sh", *words], text=True)
    assert out.split() == [daemon.find(state).url, "gone"]


def test_logs_end_quietly_when_their_reader_does(state):
    aws, group = (
        Clients(daemon.find(state).url, access_key.read(state)),
        "/aws/sagemaker/TrainingJobs",
    )
    streams = aws.logs.describe_log_streams(logGroupName=group, logStreamNamePrefix="done2/")
    now = int(time.time() * 1000)
    aws.logs.put_log_events(
        logGroupName=group,
        logStreamName=streams["logStreams"][0]["logStreamName"],
        logEvents=[{"timestamp": now, "message": "x" * 1000}] * 900,  # more than a pipe holds
    )
    line = '"$@" | head -1; echo code ${PIPESTATUS[0]}'
    words = [sys.executable, "-m", "local_sagemaker.cli", "logs", "done2", "--state", str(state)]
    found = subprocess.run(["bash", "-c", line, "bash", *words], capture_output=True, text=True)
    assert found.stderr == ""
    assert found.stdout.splitlines()[1:] == ["code 141"]  # as of `cat`


def test_logs_follow_a_job_to_its_end(state, capsys):
    Clients(daemon.find(state).url, access_key.read(state)).train(
        "echo a; sleep 1; echo b", TrainingJobName="followed"
    )
    code, out, _ = said(capsys, "logs", "followed", "--follow", "--state", state)
    assert (code, out.splitlines()[1:]) == (0, ["a", "b"])


def test_the_version_is_told(capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"local-sagemaker {metadata.version('local-sagemaker')}\n"


@pytest.mark.parametrize("command", [["env"], ["logs", "j"]])
def test_without_an_engine_the_way_to_one_is_told(tmp_path, capsys, command):
    code, _, err = said(capsys, *command, "--state", tmp_path)
    assert (code, "local-sagemaker start" in err) == (1, True)


def test_status_without_an_engine(tmp_path, capsys):
    assert said(capsys, "status", "--state", tmp_path)[:2] == (1, f"no engine runs on {tmp_path}\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run"], "run needs a command"),
        (["run", "--"], "run needs a command"),
        (["run", "--", "no-such-command"], "there is no command 'no-such-command'"),
    ],
)
def test_run_says_what_it_lacks(capsys, arguments, words):
    code, _, err = said(capsys, *arguments)
    assert (code, words in err) == (1, True)


def test_run_on_a_state_in_use(state, capsys):
    code, _, err = said(capsys, "run", "--state", state, "--", "true")
    assert (code, "an engine runs on" in err) == (1, True)


def test_status_tells_what_the_disk_holds(state, capsys):
    aws = Clients(daemon.find(state).url, access_key.read(state))
    aws.s3.put_object(Bucket="work", Key="k", Body=bytes(100_000))
    _, out, _ = said(capsys, "status", "--state", state)
    (line,) = [line for line in out.splitlines() if line.split()[:1] == ["disk"]]
    for part in ("objects", "database", "in all"):
        assert re.search(rf"{part} [0-9.]+ MB", line), part


def test_clean_with_an_engine_names_it_and_takes_nothing(state, capsys):
    code, out, _ = said(capsys, "clean", "--state", state)
    assert (code, "stop it to free more" in out, "freed: in all 0.0 MB" in out) == (0, True, True)
    code, _, err = said(capsys, "clean", "--all", "--state", state)
    assert (code, "in use by a running engine" in err) == (1, True)


def test_clean_without_an_engine_frees_leftovers_and_all_on_demand(tmp_path, capsys):
    folder = tmp_path / "state"
    Store(folder).close()
    (folder / "jobs").mkdir(exist_ok=True)
    (folder / "jobs" / "leftover").write_bytes(bytes(2_000_000))
    code, out, _ = said(capsys, "clean", "--state", folder)
    assert (code, "jobs 2.0 MB" in out) == (0, True)
    (folder / "own.txt").write_text("a person's")
    code, out, _ = said(capsys, "clean", "--all", "--state", folder)
    assert (code, "own.txt" in out) == (0, True)
    assert [path.name for path in folder.iterdir()] == ["own.txt"]
    code, _, err = said(capsys, "clean", "--state", folder)
    assert (code, "holds no state" in err) == (1, True)
