"""Reading logs from the state folder, with and without an engine."""

import threading

import pytest

from engine_support.clients import running_engine
from local_sagemaker.client import log_lines
from local_sagemaker.core.state_lock import StateError
from local_sagemaker.core.store import Store

EVENT = "INSERT INTO log_events (stream, timestamp, ingested, message) VALUES (?, ?, ?, ?)"


def logged(store, group, stream, *messages):
    sql = "INSERT INTO log_streams (log_group, name, created) VALUES (?, ?, 0)"
    store.write(sql, [(group, stream)])
    ((number,),) = store.query("SELECT id FROM log_streams WHERE name = ?", (stream,))
    store.write(EVENT, [(number, time, time, text) for time, text in messages])


def test_lines_of_all_streams_of_the_one_job_by_time(tmp_path):
    store = Store(tmp_path)
    group = log_lines.TRAINING_LOGS
    logged(store, group, "a_b/algo-1-1", (1, "one"), (3, "three"))
    logged(store, group, "a_b/algo-2-1", (2, "two"))
    logged(store, group, "a_b2/algo-1-1", (2, "of another job"))
    logged(store, group, "axb/algo-1-1", (2, "of another job, too"))
    logged(store, log_lines.ENDPOINT_LOGS + "served", "AllTraffic/i-1", (1, "ready"))
    assert list(log_lines.lines(tmp_path, "a_b")) == ["one", "two", "three"]  # while it is held
    store.close()
    assert list(log_lines.lines(tmp_path, "a_b")) == ["one", "two", "three"]
    assert list(log_lines.lines(tmp_path, "served")) == ["ready"]
    assert list(log_lines.lines(tmp_path, "nobody")) == []


def test_a_folder_without_a_state_is_named_and_left_as_it_is(tmp_path):
    with pytest.raises(StateError, match="holds no state"):
        list(log_lines.lines(tmp_path, "job"))
    assert list(tmp_path.iterdir()) == []


def test_a_database_of_another_version_is_refused(tmp_path):
    store = Store(tmp_path)
    store._db.execute("PRAGMA user_version = 99")
    store.close()
    with pytest.raises(StateError, match="another version"):
        list(log_lines.lines(tmp_path, "job"))


def test_following_ends_with_the_job_and_has_its_last_line(aws):
    name = aws.train("echo one; sleep 2; echo two; sleep 1; echo three")
    lines = list(log_lines.followed(aws.state, name))
    assert lines[-3:] == ["one", "two", "three"]
    assert aws.job(name)["TrainingJobStatus"] == "Completed"


def test_following_shows_lines_while_the_job_runs(aws):
    name = aws.train("echo first; read line < /opt/ml/input/data/never || sleep 60")
    lines = log_lines.followed(aws.state, name)
    assert "first" in (next(lines), next(lines))  # after the image's line
    aws.sagemaker.stop_training_job(TrainingJobName=name)
    list(lines)
    assert aws.job(name)["TrainingJobStatus"] == "Stopped"


def test_an_engine_that_ends_meanwhile_ends_the_following(tmp_path):
    with running_engine(tmp_path) as clients:
        clients.s3.create_bucket(Bucket="work")
        name = clients.train("echo first; sleep 60")
        lines = log_lines.followed(tmp_path, name)
        next(lines)
        killer = threading.Timer(1, clients.process.kill)
        killer.start()
        with pytest.raises(StateError, match="has ended"):
            list(lines)
        killer.join()
