"""What a ProfilerConfig asks for, and which are refused."""

import pytest
from botocore.exceptions import ClientError

from engine_support.clients import BUCKET, training_request, unique
from local_sagemaker.training import profiler_config

PLACE = {"S3OutputPath": f"s3://{BUCKET}/profiles/"}


@pytest.mark.parametrize(
    ("members", "status"),
    [
        ({}, "Disabled"),
        ({"ProfilerConfig": PLACE}, "Enabled"),
        ({"ProfilerConfig": PLACE | {"DisableProfiler": False}}, "Enabled"),
        ({"ProfilerConfig": PLACE | {"DisableProfiler": True}}, "Disabled"),
    ],
)
def test_only_a_job_that_asks_for_it_is_profiled(members, status):
    request = training_request(**members)
    assert profiler_config.status(request) == status
    assert profiler_config.is_enabled(request) == (status == "Enabled")


def test_interval_and_place():
    request = training_request(TrainingJobName="job", ProfilerConfig=PLACE)
    assert profiler_config.interval_ms(request) == 500
    assert profiler_config.recording(request) == f"s3://{BUCKET}/profiles/job/profiler-output"
    request["ProfilerConfig"] = PLACE | {"ProfilingIntervalInMilliseconds": 60000}
    assert profiler_config.interval_ms(request) == 60000


def refused(aws, match, **config):
    with pytest.raises(ClientError, match=match) as caught:
        aws.train("true", TrainingJobName=unique(), ProfilerConfig=config)
    assert caught.value.response["Error"]["Code"] == "ValidationException"


@pytest.mark.parametrize("interval", [0, 99, 250, 60001, -500])
def test_intervals_that_sagemaker_does_not_offer(aws, interval):
    expected = f"InMilliseconds: {interval} is none of 100, 200, 500, 1000, 5000, 60000"
    refused(aws, expected, **PLACE, ProfilingIntervalInMilliseconds=interval)


def test_a_profile_needs_a_place(aws):
    refused(aws, r"ProfilerConfig\.S3OutputPath is missing.*DisableProfiler")
    refused(aws, "is no S3 address", S3OutputPath="https://example.org/profiles")
    asked = {"DisableProfiler": True, "ProfilingIntervalInMilliseconds": 1}
    assert aws.trained("true", ProfilerConfig=asked)["ProfilerConfig"] == asked


@pytest.mark.parametrize(
    ("path", "match"),
    [
        ("mine", "'mine' is no absolute path"),
        ("/opt/ml/../mine", "is no absolute path without"),
        ("/mine", "keeps folders below /opt/ml/"),
    ],
)
def test_a_script_records_below_opt_ml(aws, path, match):
    refused(
        aws,
        f"ProfilerConfig.LocalPath:? .*{match}",
        **PLACE,
        ProfilingParameters={"LocalPath": path},
    )
