"""Starting, finding and stopping the process."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from debugger_support.processes import wait_until
from engine_support.clients import BUCKET, running_engine
from local_sagemaker import daemon
from local_sagemaker.core.state_lock import is_held
from local_sagemaker.daemon import EngineError


def test_a_folder_without_an_engine(tmp_path):
    assert daemon.find(tmp_path) is None
    assert daemon.find(tmp_path / "absent") is None
    assert daemon.stop(tmp_path) is False


def test_it_is_started_found_stopped_and_a_second_one_refused(tmp_path):
    process = daemon.start(tmp_path / "deep/state")
    found = daemon.find(tmp_path / "deep/state")
    assert found.pid == process.pid
    assert found.url.startswith("http://127.0.0.1:")
    with pytest.raises(EngineError, match="in use by a running engine"):
        daemon.start(tmp_path / "deep/state")
    assert daemon.find(tmp_path / "deep/state") == found  # the first serves on
    assert daemon.stop(tmp_path / "deep/state") is True
    assert daemon.find(tmp_path / "deep/state") is None
    assert not (tmp_path / "deep/state/engine.json").exists()


def test_word_left_by_a_killed_engine_deceives_nobody(tmp_path):
    process = daemon.start(tmp_path)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert (tmp_path / "engine.json").exists()
    assert daemon.find(tmp_path) is None
    (tmp_path / "engine.json").write_text("no json")
    assert daemon.find(tmp_path) is None


def test_an_engine_that_has_no_time_to_answer_is_found_and_can_be_stopped(tmp_path):
    process = daemon.start(tmp_path)
    process.send_signal(signal.SIGSTOP)
    try:
        threads = psutil.Process(process.pid).threads()  # each of them stops by itself
        stats = [Path(f"/proc/{process.pid}/task/{thread.id}/stat") for thread in threads]
        wait_until(
            lambda: all(stat.read_text().rpartition(")")[2].split()[0] == "T" for stat in stats)
        )
        assert daemon.find(tmp_path).pid == process.pid
    finally:
        process.send_signal(signal.SIGCONT)
    assert daemon.stop(tmp_path) is True


def test_another_engine_on_the_old_port_is_not_taken_for_the_dead_one(tmp_path, aws):
    gone = subprocess.Popen(["true"])
    gone.wait()
    word = {"pid": gone.pid, "url": aws.url, "state": str(tmp_path)}
    (tmp_path / "engine.json").write_text(json.dumps(word))
    assert daemon.find(tmp_path) is None


def test_word_of_another_process_at_the_address_is_not_believed(tmp_path, aws):
    word = {"pid": os.getpid(), "url": aws.url, "state": str(tmp_path)}  # a number used again
    (tmp_path / "engine.json").write_text(json.dumps(word))
    assert daemon.find(tmp_path) is None


def test_it_is_found_past_a_proxy_that_the_environment_names(aws):
    find = "import sys; from local_sagemaker import cli; sys.exit(cli.main())"
    proxied = dict.fromkeys(("http_proxy", "HTTP_PROXY"), "http://127.0.0.1:1")
    words = [sys.executable, "-c", find, "status", "--state", str(aws.state)]
    said = subprocess.run(words, env={**os.environ, **proxied}, capture_output=True, text=True)
    assert aws.url in said.stdout, said.stderr


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(EngineError, match=r"cannot write to the state folder.*--state"):
        daemon.start(tmp_path / "file/state")


def test_a_damaged_state_is_told_and_not_touched(tmp_path):
    (tmp_path / "objects").mkdir()
    (tmp_path / "objects/body").write_text("kept")
    (tmp_path / "state.db").write_bytes(b"no database" * 999)
    with pytest.raises(EngineError, match="Nothing was changed"):
        daemon.start(tmp_path)
    assert (tmp_path / "objects/body").read_text() == "kept"


def test_one_that_is_starting_is_stopped_when_it_answers(tmp_path):
    started: list = []
    thread = threading.Thread(target=lambda: started.append(daemon.start(tmp_path)))
    thread.start()
    wait_until(lambda: is_held(tmp_path))
    assert daemon.stop(tmp_path) is True
    thread.join(timeout=30)
    assert started[0].wait(10) == 0
    assert not is_held(tmp_path)


def test_of_two_that_start_at_once_one_serves(tmp_path):
    said: list = []

    def start():
        try:
            said.append(daemon.start(tmp_path).pid)
        except EngineError as error:
            said.append(str(error))

    threads = [threading.Thread(target=start) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    (pid,) = [word for word in said if isinstance(word, int)]
    assert daemon.find(tmp_path).pid == pid
    (refused,) = [word for word in said if isinstance(word, str)]
    assert "in use by a running engine" in refused
    daemon.stop(tmp_path)


def test_a_long_log_is_put_aside(tmp_path, monkeypatch):
    monkeypatch.setattr(daemon, "LOG_SIZE", 10)
    (tmp_path / "engine.log").write_text("of earlier days")
    daemon._log_file(tmp_path).close()
    assert (tmp_path / "engine.log.old").read_text() == "of earlier days"
    assert (tmp_path / "engine.log").read_text() == ""


def test_a_taken_port_is_told_and_nothing_is_left(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(EngineError, match=f"cannot listen on 127.0.0.1:{port}.*--port"):
            daemon.start(tmp_path, port)
    assert daemon.find(tmp_path) is None
    process = daemon.start(tmp_path, port)  # the failed start holds neither port nor folder
    assert daemon.find(tmp_path).url.endswith(f":{port}")
    assert daemon.stop(tmp_path) and process.wait(5) is not None


def test_it_ends_when_the_pipe_of_its_life_closes(tmp_path):
    life, held = os.pipe()
    process = daemon.start(tmp_path / "state", life=life, temporary=True)
    os.close(life)
    os.close(held)
    assert process.wait(timeout=10) == 0
    wait_until(lambda: not (tmp_path / "state").exists())


def test_a_profile_of_the_callers_that_is_nowhere_configured_fails_no_job(tmp_path):
    with running_engine(tmp_path, AWS_PROFILE="gone") as clients:
        clients.s3.create_bucket(Bucket=BUCKET)
        job = clients.trained("echo fine")
        assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
