"""Starting, finding and stopping the process."""

import json
import os
import signal
import socket
import subprocess

import pytest
from conftest import BUCKET, running_engine, wait_until

from local_sagemaker import engine
from local_sagemaker.engine import EngineError


def test_a_folder_without_an_engine(tmp_path):
    assert engine.find(tmp_path) is None
    assert engine.find(tmp_path / "absent") is None
    assert engine.stop(tmp_path) is False


def test_it_is_started_found_and_stopped(tmp_path):
    process = engine.start(tmp_path / "deep/state")
    found = engine.find(tmp_path / "deep/state")
    assert found.pid == process.pid
    assert found.url.startswith("http://127.0.0.1:")
    assert engine.stop(tmp_path / "deep/state") is True
    assert engine.find(tmp_path / "deep/state") is None
    assert not (tmp_path / "deep/state/engine.json").exists()


def test_word_left_by_a_killed_engine_deceives_nobody(tmp_path):
    process = engine.start(tmp_path)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert (tmp_path / "engine.json").exists()
    assert engine.find(tmp_path) is None
    (tmp_path / "engine.json").write_text("no json")
    assert engine.find(tmp_path) is None


def test_another_engine_on_the_old_port_is_not_taken_for_the_dead_one(tmp_path, aws):
    gone = subprocess.Popen(["true"])
    gone.wait()
    word = {"pid": gone.pid, "url": aws.url, "state": str(tmp_path)}
    (tmp_path / "engine.json").write_text(json.dumps(word))
    assert engine.find(tmp_path) is None


def test_a_taken_port_is_told_and_nothing_is_left(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(EngineError, match=f"cannot listen on 127.0.0.1:{port}.*--port"):
            engine.start(tmp_path, port)
    assert engine.find(tmp_path) is None
    process = engine.start(tmp_path, port)  # the failed start holds neither port nor folder
    assert engine.find(tmp_path).url.endswith(f":{port}")
    assert engine.stop(tmp_path) and process.wait(5) is not None


def test_a_second_engine_on_a_folder_is_refused_and_the_first_serves_on(tmp_path):
    engine.start(tmp_path)
    first = engine.find(tmp_path)
    with pytest.raises(EngineError, match="in use by a running engine"):
        engine.start(tmp_path)
    assert engine.find(tmp_path) == first
    engine.stop(tmp_path)


def test_it_ends_when_the_pipe_of_its_life_closes(tmp_path):
    life, held = os.pipe()
    process = engine.start(tmp_path / "state", life=life, temporary=True)
    os.close(life)
    os.close(held)
    assert process.wait(timeout=10) == 0
    wait_until(lambda: not (tmp_path / "state").exists())


def test_a_profile_of_the_callers_that_is_nowhere_configured_fails_no_job(tmp_path):
    with running_engine(tmp_path, AWS_PROFILE="gone") as clients:
        clients.s3.create_bucket(Bucket=BUCKET)
        job = clients.trained("echo fine")
        assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
