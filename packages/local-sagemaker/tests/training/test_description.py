"""What DescribeTrainingJob always tells, as recorded from AWS, and what it leaves out."""

import pytest

from engine_support.clients import BUCKET, channel, training_request
from engine_support.profiles import profiled
from engine_support.rules import HOOK, rule
from local_sagemaker.training.description import completed

OUTPUT = {"S3OutputPath": f"s3://{BUCKET}/out"}


def test_what_the_request_left_out_is_told_with_awss_defaults():
    told = completed(training_request())
    assert told["InputDataConfig"] == []
    for flag in ("NetworkIsolation", "InterContainerTrafficEncryption", "ManagedSpotTraining"):
        assert told[f"Enable{flag}"] is False
    assert told["AlgorithmSpecification"]["EnableSageMakerMetricsTimeSeries"] is False
    assert told["OutputDataConfig"] == {"KmsKeyId": "", "CompressionType": "GZIP", **OUTPUT}
    assert not {"DebugHookConfig", "ProfilerConfig", "DebugRuleConfigurations"} & told.keys()


def test_a_channel_tells_how_it_is_packed():
    train = channel("train", f"s3://{BUCKET}/data")
    both = [train, {**train, "CompressionType": "Gzip", "RecordWrapperType": "RecordIO"}]
    found = completed(training_request(InputDataConfig=both))["InputDataConfig"]
    assert found == [{**train, "CompressionType": "None", "RecordWrapperType": "None"}, both[1]]


def test_a_debugged_and_profiled_job():
    asked = {"DebugHookConfig": HOOK, **profiled(), "ProfilerRuleConfigurations": [rule("r")]}
    told = completed(training_request(**asked, DebugRuleConfigurations=[rule("d")]))
    assert told["DebugHookConfig"] == {**HOOK, "CollectionConfigurations": []}
    assert told["ProfilerConfig"] == {
        **asked["ProfilerConfig"],
        "ProfilingIntervalInMilliseconds": 500,
        "DisableProfiler": False,
    }
    for kind in ("Debug", "Profiler"):
        assert told[f"{kind}RuleConfigurations"][0]["VolumeSizeInGB"] == 0


def test_a_job_that_is_not_profiled_tells_no_interval():
    disabled = {"ProfilerConfig": {"DisableProfiler": True}}
    assert completed(disabled)["ProfilerConfig"] == {"DisableProfiler": True}


@pytest.mark.parametrize("metrics", [[], [{"MetricName": "loss", "Value": 1.0, "Timestamp": 1.0}]])
def test_no_metrics_are_left_out_rather_than_told_as_none(metrics):
    told = completed({"FinalMetricDataList": metrics})
    assert told.get("FinalMetricDataList", []) == metrics
    assert ("FinalMetricDataList" in told) == bool(metrics)


def test_a_job_is_described_so(aws):
    job = aws.trained("true", channels={}, DebugHookConfig=HOOK)
    asked = training_request(TrainingJobName=job["TrainingJobName"], DebugHookConfig=HOOK)
    expected = completed(asked)
    assert {name: job[name] for name in expected} == expected
    assert "FinalMetricDataList" not in job
