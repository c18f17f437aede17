"""Managed spot training: a job whose instances are reclaimed goes on from its checkpoints."""

import itertools
import math
import time

import pytest

from debugger_support.processes import wait_until
from engine_support.clients import BUCKET, unique
from engine_support.tuning_requests import start, tuning_request
from local_sagemaker.client import reclaims
from local_sagemaker.core.errors import ApiError
from local_sagemaker.training import statuses

INTERRUPTED = ["Starting", "Downloading", "Training", "Interrupted"]
# Counts to `n`, with a checkpoint for each number; goes on from the last one.
COUNT = (
    "cd /opt/ml/checkpoints; i=$(ls | sort -n | tail -n 1); i=${{i:-0}}; echo from $i;"
    "while [ $i -lt {n} ]; do i=$((i + 1)); touch $i; sleep 0.2; done; echo to $i"
)


@pytest.fixture
def place():
    return unique("spot")


def spot(place=None, run=60, wait=90, **members):
    kept = {"CheckpointConfig": {"S3Uri": f"s3://{BUCKET}/{place}"}} if place else {}
    condition = {"MaxRuntimeInSeconds": run, "MaxWaitTimeInSeconds": wait}
    return {
        "EnableManagedSpotTraining": True, "StoppingCondition": condition, **kept, **members
    }  # fmt: skip


def reclaim(aws, name, notice=0, absence=0):
    reclaims.ask(aws.url, aws.key, name, notice, absence)


def described(aws, name):
    return aws.sagemaker.describe_training_job(TrainingJobName=name)


def steps(job):
    return [step["Status"] for step in job["SecondaryStatusTransitions"]]


def stored(aws, place):
    """The last checkpoint in S3."""
    return max([int(key.rpartition("/")[2]) for key in aws.keys(f"{place}/")], default=0)


def test_a_reclaimed_job_walks_as_aws_documents_and_goes_on_from_its_checkpoint(aws, place):
    name = aws.train(COUNT.format(n=40), **spot(place))
    wait_until(lambda: stored(aws, place) >= 5)
    reclaim(aws, name)
    job = aws.job(name)
    assert steps(job) == [*INTERRUPTED, *INTERRUPTED[:3], "Uploading", "Completed"]
    times = [(step["StartTime"], step["EndTime"]) for step in job["SecondaryStatusTransitions"]]
    assert all(end == start for (_, end), (start, _) in itertools.pairwise(times))
    began, resumed, done = [line for line in aws.log(name) if line[:2] in ("fr", "to")]
    assert (began, done) == ("from 0", "to 40")
    assert int(resumed.removeprefix("from ")) >= 5
    streams = aws.logs.describe_log_streams(
        logGroupName="/aws/sagemaker/TrainingJobs", logStreamNamePrefix=f"{name}/"
    )["logStreams"]
    assert len(streams) == 2  # each instance writes one of its own


def test_without_checkpoints_it_begins_again_on_instances_with_nothing_on_them(aws):
    name = aws.train("ls /opt/ml/model; echo begin; touch /opt/ml/model/w; sleep 2", **spot())
    wait_until(lambda: "begin" in aws.whole_log(name))
    reclaim(aws, name)
    assert aws.job(name)["TrainingJobStatus"] == "Completed"
    assert aws.log(name) == ["begin", "begin"]


def test_the_notice_is_sigterm_and_what_is_stored_within_it_is_kept(aws, place):
    command = (
        "cd /opt/ml/checkpoints; [ -e 7 ] && exit; trap 'touch 7; exit' TERM; echo ready;"
        "while :; do sleep 0.1; done"
    )
    name = aws.train(command, **spot(place))
    wait_until(lambda: "ready" in aws.whole_log(name))
    reclaim(aws, name, notice=30)
    job = aws.job(name)
    assert job["TrainingJobStatus"] == "Completed" and "Interrupted" in steps(job)
    assert stored(aws, place) == 7


def test_after_the_notice_comes_sigkill_and_what_was_not_stored_is_lost(aws, place):
    command = (
        "cd /opt/ml/checkpoints; [ -e 7 ] && echo kept; trap '' TERM; echo ready;"
        "while :; do echo again >> 7; sleep 0.01; done"
    )
    name = aws.train(command, **spot(place))
    wait_until(lambda: "ready" in aws.whole_log(name))
    began = time.monotonic()
    reclaim(aws, name, notice=1, absence=30)
    wait_until(lambda: described(aws, name)["SecondaryStatus"] == "Interrupted")
    assert time.monotonic() - began > 1
    # The file changed all the time, so no look stored it.
    assert stored(aws, place) == 0
    aws.sagemaker.stop_training_job(TrainingJobName=name)
    assert steps(aws.job(name))[-2:] == ["Stopping", "Stopped"]
    assert "kept" not in aws.log(name)


def test_training_time_is_the_time_on_instances_and_a_share_of_it_is_billed(aws):
    name = aws.train("echo ready; sleep 2", **spot())
    wait_until(lambda: "ready" in aws.whole_log(name))
    reclaim(aws, name, absence=4)
    job = aws.job(name)
    total = (job["TrainingEndTime"] - job["TrainingStartTime"]).total_seconds()
    assert job["TrainingTimeInSeconds"] <= total - 3
    billed = math.ceil(job["TrainingTimeInSeconds"] * statuses.SPOT_PRICE)
    assert job["BillableTimeInSeconds"] == billed
    ordinary = aws.trained("true")
    assert ordinary["BillableTimeInSeconds"] == ordinary["TrainingTimeInSeconds"]


def test_the_runtime_limit_counts_the_time_before_an_interruption(aws):
    name = aws.train("echo ready; sleep 3", **spot(run=4))
    wait_until(lambda: "ready" in aws.whole_log(name))
    time.sleep(2)
    reclaim(aws, name)
    job = aws.job(name)
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")


def test_a_job_that_gets_no_instances_in_time_has_exceeded_its_maximum_wait_time(aws):
    name = aws.train("echo ready; sleep 30", **spot(run=3, wait=4))
    wait_until(lambda: "ready" in aws.whole_log(name))
    reclaim(aws, name, absence=60)
    job = aws.job(name)
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxWaitTimeExceeded")
    assert steps(job) == [*INTERRUPTED, "Stopping", "MaxWaitTimeExceeded"]


def test_a_job_that_is_interrupted_can_be_stopped(aws):
    name = aws.train("echo ready; sleep 30", **spot())
    wait_until(lambda: "ready" in aws.whole_log(name))
    reclaim(aws, name, absence=60)
    wait_until(lambda: described(aws, name)["SecondaryStatus"] == "Interrupted")
    aws.sagemaker.stop_training_job(TrainingJobName=name)
    job = aws.job(name)
    assert steps(job) == [*INTERRUPTED, "Stopping", "Stopped"]


def test_two_interruptions(aws, place):
    name = aws.train(COUNT.format(n=80), **spot(place))
    for reached in (3, 12):
        wait_until(lambda reached=reached: stored(aws, place) >= reached)
        reclaim(aws, name)
    job = aws.job(name)
    assert job["TrainingJobStatus"] == "Completed" and steps(job).count("Interrupted") == 2
    assert aws.log(name)[-1] == "to 80"


def test_all_instances_of_a_job_are_reclaimed_together(aws):
    cluster = {"InstanceType": "ml.m5.large", "InstanceCount": 2, "VolumeSizeInGB": 1}
    name = aws.train("echo ready; sleep 2", **spot(ResourceConfig=cluster))
    wait_until(lambda: aws.log(name) == ["ready"] * 2)
    reclaim(aws, name)
    job = aws.job(name)
    assert (job["TrainingJobStatus"], aws.log(name)) == ("Completed", ["ready"] * 4)


def test_only_a_spot_job_that_trains_has_instances_to_lose(aws):
    with pytest.raises(ApiError, match="There is no training job nobody"):
        reclaim(aws, "nobody")
    name = aws.train("sleep 30")
    wait_until(lambda: described(aws, name)["SecondaryStatus"] == "Training")
    with pytest.raises(ApiError, match="is no spot job"):
        reclaim(aws, name)
    aws.sagemaker.stop_training_job(TrainingJobName=name)
    aws.job(name)
    done = aws.trained("true", **spot())["TrainingJobName"]
    with pytest.raises(ApiError, match="has the secondary status Completed, and not Training"):
        reclaim(aws, done)


@pytest.mark.parametrize("asked", [b"", b"[]", b'{"name": "a"}', b'{"name": "a", "notice_s": -1}'])
def test_a_request_that_is_none(asked):
    with pytest.raises(ApiError, match="takes name, notice_s and absence_s"):
        reclaims.parsed(asked)


def test_the_request_needs_the_engines_key(aws):
    from local_sagemaker.core.access_key import AccessKey

    with pytest.raises(ApiError, match="signature"):
        reclaims.ask(aws.url, AccessKey(aws.key.id, "wrong"), "nobody", 0, 0)


def test_a_tuning_jobs_training_jobs_are_spot_jobs_too(aws, place):
    command = COUNT.format(n=40) + "; echo objective=1.0"
    request = tuning_request(command, jobs=2, parallel=1)
    definition = request["TrainingJobDefinition"]
    members = spot(f"{place}")
    definition |= {name: members[name] for name in members}
    name = start(aws, request)

    def first():
        found = aws.sagemaker.list_training_jobs_for_hyper_parameter_tuning_job(
            HyperParameterTuningJobName=name
        )["TrainingJobSummaries"]
        return found[0]["TrainingJobName"] if found else None

    job = wait_until(first)
    wait_until(lambda: stored(aws, place) >= 3)
    reclaim(aws, job)
    tuned = aws.tuning_job(name)
    assert tuned["TrainingJobStatusCounters"]["Completed"] == 2
    told = described(aws, job)
    assert told["EnableManagedSpotTraining"] and "Interrupted" in steps(told)
    assert told["CheckpointConfig"]["S3Uri"] == f"s3://{BUCKET}/{place}"
