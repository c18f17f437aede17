"""`profiler/reading/job.py`: what SageMaker says of a job."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from open_debugger.profiler.reading.job import from_description
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
