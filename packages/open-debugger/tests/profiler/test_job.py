"""`open_debugger/profiler/job.py`: what SageMaker says of a job, from boto3 and from SDK v3."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from botocore.exceptions import ClientError

from local_sagemaker.client_environment import aws_variables
from open_debugger.profiler.job import describe, from_description
from open_debugger.profiler.recording import Job, Phase

AT = datetime(2026, 9, 21, 14, 14, tzinfo=UTC)
T = AT.timestamp()
DESCRIPTION = {
    "TrainingJobName": "dogs",
    "TrainingJobStatus": "Failed",
    "ResourceConfig": {"InstanceType": "ml.g4dn.xlarge", "InstanceCount": 2},
    "CreationTime": AT,
    "TrainingStartTime": AT + timedelta(seconds=60),
    "TrainingEndTime": AT + timedelta(seconds=960),
    "BillableTimeInSeconds": 900,
    "FailureReason": "AlgorithmError: out of memory",
    "SecondaryStatusTransitions": [
        {"Status": "Starting", "StartTime": AT, "EndTime": AT + timedelta(seconds=90)},
        {"Status": "Training", "StartTime": AT + timedelta(seconds=90), "StatusMessage": "..."},
    ],
}
JOB = Job(
    "dogs",
    "Failed",
    "ml.g4dn.xlarge",
    2,
    T,
    T + 60,
    T + 960,
    900.0,
    "AlgorithmError: out of memory",
    [Phase("Starting", T, T + 90), Phase("Training", T + 90, None)],
)


def test_a_description_becomes_a_job():
    assert from_description(DESCRIPTION) == JOB


def test_what_is_not_known_yet_is_none():
    description = {"TrainingJobName": "dogs", "TrainingJobStatus": "InProgress"}
    assert from_description(description) == Job("dogs", "InProgress")
    assert from_description({"TrainingJobName": "dogs"}).status == "Unknown"


@pytest.mark.parametrize(
    "time",
    [
        AT.replace(tzinfo=None),
        AT.astimezone(timezone(timedelta(hours=-7))),
        AT.isoformat(),
        "2026-09-21 14:14:00",
        "2026-09-21T14:14:00Z",
        T,
        int(T),
    ],
)
def test_times_are_seconds_since_the_epoch_however_they_are_written(time):
    assert from_description({**DESCRIPTION, "CreationTime": time}).created == T


def test_a_cluster_of_groups_has_all_their_instances():
    groups = [
        {"InstanceType": "ml.g5.xlarge", "InstanceCount": 3, "InstanceGroupName": "a"},
        {"InstanceType": "ml.c5.xlarge", "InstanceCount": 2, "InstanceGroupName": "b"},
        {"InstanceType": "ml.c5.xlarge", "InstanceCount": 1, "InstanceGroupName": "c"},
    ]
    job = from_description({**DESCRIPTION, "ResourceConfig": {"InstanceGroups": groups}})
    assert (job.instance_type, job.instances) == ("ml.g5.xlarge, ml.c5.xlarge", 6)


def test_a_job_of_an_engine_is_described(aws, monkeypatch):
    name = aws.trained("exit 3")["TrainingJobName"]
    job = describe(name, aws.sagemaker)
    assert (job.name, job.status, job.instance_type) == (name, "Failed", "ml.m5.large")
    assert "exit code: 3" in job.failure.lower() or "ExitCode 3" in job.failure
    phases = [phase.name for phase in job.phases]
    assert phases[0] == "Starting" and "Training" in phases
    assert job.created <= job.started <= job.ended
    for variable, value in aws_variables(aws.url).items():
        monkeypatch.setenv(variable, value)
    assert describe(name) == job
    with pytest.raises(ClientError, match="DescribeTrainingJob"):
        describe("no-such-job")


def test_sdk_v3_s_training_job_becomes_the_same_job(monkeypatch):
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    from sagemaker.core.resources import TrainingJob
    from sagemaker.core.shapes import ResourceConfig, SecondaryStatusTransition

    transitions = [
        SecondaryStatusTransition(status="Starting", start_time=AT,
                                  end_time=AT + timedelta(seconds=90)),
        SecondaryStatusTransition(status="Training", start_time=AT + timedelta(seconds=90)),
    ]  # fmt: skip
    resource = TrainingJob(
        training_job_name="dogs",
        training_job_status="Failed",
        resource_config=ResourceConfig(instance_type="ml.g4dn.xlarge", instance_count=2,
                                       volume_size_in_gb=30),
        creation_time=AT,
        training_start_time=AT + timedelta(seconds=60),
        training_end_time=AT + timedelta(seconds=960),
        billable_time_in_seconds=900,
        failure_reason="AlgorithmError: out of memory",
        secondary_status_transitions=transitions,
    )  # fmt: skip
    assert from_description(resource) == JOB
    assert from_description(TrainingJob(training_job_name="dogs")) == Job("dogs", "Unknown")
