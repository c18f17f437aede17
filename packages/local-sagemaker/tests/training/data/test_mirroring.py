"""Checkpoints, tensors and TensorBoard's logs are on S3 while the job runs, right at its end."""

import os
import sqlite3
import time

import pytest
from botocore.exceptions import ClientError

from debugger_support.processes import wait_until
from engine_support.clients import BUCKET, unique
from local_sagemaker.aws.s3.service import S3
from local_sagemaker.core.store import Store
from local_sagemaker.runtime.tree import Tree
from local_sagemaker.training.data.mirroring import Mirror, Mirroring, mirrors

PROFILER = {"S3OutputPath": f"s3://{BUCKET}/profiles/"}


@pytest.fixture
def place():
    return unique("mirror")


def checkpoints(place, **members):
    return {"CheckpointConfig": {"S3Uri": f"s3://{BUCKET}/{place}/", **members}}


def got(aws, key):
    try:
        return aws.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read().decode()
    except ClientError:
        return None


def end(aws, name):
    aws.sagemaker.stop_training_job(TrainingJobName=name)
    return aws.job(name)


def test_a_profile_is_stored_while_it_grows(tmp_path):
    tree = Tree(tmp_path, tmp_path / "ml")
    system, framework = mirrors({"TrainingJobName": "job", "ProfilerConfig": PROFILER}, tree)
    place = f"s3://{BUCKET}/profiles/job/profiler-output"
    assert (system.uri, system.grows) == (f"{place}/system", True)
    assert system.folder == tmp_path / "profiler/system"  # out of the job's own /opt/ml
    assert (framework.uri, framework.grows) == (f"{place}/framework", True)
    assert framework.folder == tmp_path / "ml/output/profiler/framework"
    config = PROFILER | {"DisableProfiler": True}
    assert mirrors({"TrainingJobName": "job", "ProfilerConfig": config}, tree) == []


# Checkpoints


def test_checkpoints_are_on_s3_while_the_job_runs_and_deleted_as_in_the_job(aws, place):
    aws.s3.put_object(Bucket=BUCKET, Key=f"{place}/before", Body=b"old")
    name = aws.train(
        "cd /opt/ml/checkpoints; echo 1 > c1; mkdir d; echo 2 > d/c2;"
        "while [ ! -e /opt/ml/model/go ]; do sleep 0.05; done; rm c1 before; sleep 60",
        **checkpoints(place),
    )
    wait_until(lambda: len(aws.keys(f"{place}/")) == 3)
    assert got(aws, f"{place}/c1") == "1\n"
    described = aws.sagemaker.describe_training_job(TrainingJobName=name)
    assert described["SecondaryStatus"] == "Training"
    (aws.state / "jobs" / name / "algo-1/ml/model/go").touch()
    wait_until(lambda: aws.keys(f"{place}/") == [f"{place}/d/c2"])
    end(aws, name)
    assert aws.keys(f"{place}/") == [f"{place}/d/c2"]


@pytest.mark.parametrize("ending", ["exit 0", "exit 1", "kill -9 $$"])
def test_the_last_state_wins_however_the_job_ends(aws, place, ending):
    aws.trained(f"cd /opt/ml/checkpoints; echo last > c; {ending}", **checkpoints(place))
    assert got(aws, f"{place}/c") == "last\n"


def test_the_last_state_wins_when_the_job_is_stopped_or_its_time_is_over(aws, place):
    command = (
        "cd /opt/ml/checkpoints; trap 'echo last > c; exit' TERM; echo first > c;"
        "while :; do sleep 0.05; done"
    )
    name = aws.train(command, **checkpoints(place))
    wait_until(lambda: got(aws, f"{place}/c"))
    assert end(aws, name)["TrainingJobStatus"] == "Stopped"
    assert got(aws, f"{place}/c") == "last\n"
    limit = {"StoppingCondition": {"MaxRuntimeInSeconds": 1}}
    job = aws.trained(command, **checkpoints(f"{place}-2"), **limit)
    assert job["SecondaryStatus"] == "MaxRuntimeExceeded"
    assert got(aws, f"{place}-2/c") == "last\n"


def test_the_last_state_wins_though_the_model_cannot_be_stored(aws, place):
    aws.s3.create_bucket(Bucket=place)
    name = aws.train(
        "cd /opt/ml; trap 'echo last > checkpoints/c; echo m > model/w; exit' TERM; echo ready;"
        "while :; do sleep 0.05; done",
        OutputDataConfig={"S3OutputPath": f"s3://{place}"},
        **checkpoints(place),
    )
    wait_until(lambda: _log_or_nothing(aws, name))
    aws.s3.delete_bucket(Bucket=place)
    assert "Artifact upload failed" in end(aws, name)["FailureReason"]
    assert got(aws, f"{place}/c") == "last\n"


def _log_or_nothing(aws, name):
    try:
        return aws.log(name)
    except ClientError:
        return []


def test_a_new_job_begins_with_the_checkpoints_of_the_last(aws, place):
    aws.s3.put_object(Bucket=BUCKET, Key=f"{place}/", Body=b"")  # as the console makes a folder
    read = "cd /opt/ml/checkpoints; cat deep/c 2>/dev/null; mkdir -p deep; echo more >> deep/c"
    for expected in ([], ["more"], ["more", "more"]):
        job = aws.trained(read, **checkpoints(place))
        assert aws.log(job["TrainingJobName"]) == expected


def test_checkpoints_in_a_folder_of_the_jobs_choice(aws, place):
    local = checkpoints(place, LocalPath="/opt/ml/output/kept/")
    aws.trained("cd /opt/ml/output/kept && echo 1 > c", **local)
    job = aws.trained("cat /opt/ml/output/kept/c; ls /opt/ml/checkpoints", **local)
    assert aws.log(job["TrainingJobName"]) == ["1"]


def test_checkpoints_that_were_there_are_not_stored_again(aws, place):
    aws.s3.put_object(Bucket=BUCKET, Key=f"{place}/c", Body=b"1")

    def body() -> str:
        with sqlite3.connect(aws.state / "state.db") as database:
            sql = "SELECT file FROM objects WHERE key = ?"
            return database.execute(sql, (f"{place}/c",)).fetchone()[0]

    before = body()
    aws.trained("cat /opt/ml/checkpoints/c", **checkpoints(place))
    assert body() == before


def test_no_checkpoint_from_outside_of_the_jobs_folder(aws, place, tmp_path):
    (tmp_path / "secret").write_text("secret")
    aws.trained(
        f"cd /opt/ml/checkpoints; ln -s {tmp_path} d; echo 1 > c; ln -s c latest",
        **checkpoints(place),
    )
    assert aws.keys(f"{place}/") == [f"{place}/c", f"{place}/latest"]


def test_a_checkpoint_that_would_leave_its_folder_fails_the_job(aws, place):
    aws.s3.put_object(Bucket=BUCKET, Key=f"{place}/../escape", Body=b"x")
    job = aws.trained("echo never", **checkpoints(place))
    assert "points outside" in job["FailureReason"]


# When a file is stored


@pytest.fixture
def look(tmp_path):
    """Look at a folder once; gives what was stored until then."""
    (tmp_path / "ml/kept").mkdir(parents=True)
    store, tree = Store(tmp_path / "state"), Tree(tmp_path, tmp_path / "ml")
    s3, bucket = S3(store, moto_app=None), unique("looked-at")
    s3.backend.create_bucket(bucket, "us-east-1")

    def start(**members):
        mirror = Mirror(tmp_path / "ml/kept", f"s3://{bucket}", **members)
        mirroring = Mirroring(s3, tree, [mirror], tmp_path)

        def once(final=False):
            mirroring._look(mirror, final)
            stored = s3.backend.buckets[bucket].keys
            return {key: stored[key].file.read_text() for key in stored}

        return once, tmp_path / "ml/kept"

    yield start
    store.close()


def test_a_file_is_stored_when_two_looks_found_it_unchanged(look):
    once, folder = look()
    (folder / "c").write_text("half")
    assert once() == {}
    (folder / "c").write_text("half and half")
    assert once() == {}
    assert once() == {"c": "half and half"}
    (folder / "c").write_text("other")
    assert once() == {"c": "half and half"}
    assert once(final=True) == {"c": "other"}


def test_a_file_that_grows_is_stored_at_every_look(look):
    once, folder = look(grows=True)
    for text in ("one", "one two"):
        (folder / "c").write_text(text)
        assert once() == {"c": text}


def test_a_file_of_the_same_size_and_time_is_another_one(look):
    once, folder = look()
    (folder / "c").write_text("one")
    os.utime(folder / "c", (1, 1))
    once()
    assert once() == {"c": "one"}
    (folder / "c").write_text("two")
    os.utime(folder / "c", (1, 1))
    assert once(final=True) == {"c": "two"}


def test_files_are_stored_in_the_order_in_which_they_were_written(look):
    once, folder = look()
    for name in ("z", "a", "m"):
        (folder / name).write_text(name)
        time.sleep(0.02)
    assert list(once(final=True)) == ["z", "a", "m"]


def test_what_is_not_complete_by_its_name_is_not_stored(look):
    once, folder = look(ignored=(".tmp",))
    (folder / "event.tmp").write_text("half")
    assert once(final=True) == {}


# Tensors and TensorBoard


def test_without_a_hook_no_tensors_are_stored(aws):
    job = aws.trained("mkdir /opt/ml/output/tensors; echo 1 > /opt/ml/output/tensors/t")
    assert aws.keys(f"out/{job['TrainingJobName']}/") == []


def test_tensors_and_tensorboard_are_on_s3_while_the_job_runs_and_complete_at_its_end(aws, place):
    name = aws.train(
        "mkdir -p /opt/ml/output/tensors/events /opt/ml/output/tensorboard; cd /opt/ml/output;"
        "echo 1 > tensors/events/1; trap 'echo end > tensors/training_job_end.ts; exit' TERM;"
        "while :; do echo 1 >> tensorboard/events.1; sleep 0.02; done",
        DebugHookConfig={"S3OutputPath": f"s3://{BUCKET}/{place}"},
        TensorBoardOutputConfig={"S3OutputPath": f"s3://{BUCKET}/{place}"},
    )
    tensors = f"{place}/{name}/debug-output"
    board = f"{place}/{name}/tensorboard-output/events.1"
    wait_until(lambda: aws.keys(tensors) == [f"{tensors}/events/1"])
    grown = wait_until(lambda: got(aws, board))
    time.sleep(0.3)  # for TensorBoard's log to grow
    end(aws, name)
    assert aws.keys(tensors) == [f"{tensors}/events/1", f"{tensors}/training_job_end.ts"]
    assert len(got(aws, board)) > len(grown)
