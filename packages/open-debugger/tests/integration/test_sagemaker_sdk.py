"""Rules, profiler rules and jobs are taken as SageMaker's SDK v3 makes them.

The SDK takes eight seconds to import: only these tests do, when they run.
"""

import inspect
from datetime import UTC, datetime, timedelta

import pytest

from debugger_support.recordings import make as make_recording
from debugger_support.saved_tensors import SavedTensors
from open_debugger import RULES, evaluate
from open_debugger.profiler import evaluate as evaluate_profile
from open_debugger.profiler.catalogue import PROFILER_RULES, make
from open_debugger.profiler.reading.job import from_description
from open_debugger.profiler.recording import Job, Phase

# The SDK has no configurations of Dataloader and OverallFrameworkMetrics.
OF_THE_SDK = [
    "LowGPUUtilization",
    "CPUBottleneck",
    "IOBottleneck",
    "GPUMemoryIncrease",
    "BatchSize",
    "LoadBalancing",
    "StepOutlier",
    "MaxInitializationTime",
    "OverallSystemUsage",
]


@pytest.fixture(scope="module")
def sdk():
    from sagemaker.core import debugger

    return debugger


@pytest.fixture(scope="module")
def starved():
    return make_recording("starved", seconds=60)


def test_each_configuration_of_the_sdk_that_is_not_for_another_framework_has_its_rule(sdk):
    others = {"SimilarAcrossRuns", "TreeDepth", "Confusion", "NLPSequenceRatio"}
    others |= {"StalledTrainingRule", "FeatureImportanceOverweight", "CreateXgboostReport"}
    named = {
        getattr(sdk.rule_configs, name)()["DebugRuleConfiguration"]["RuleConfigurationName"]
        for name in ("vanishing_gradient", "all_zero", "exploding_tensor", "unchanged_tensor")
    }
    assert named <= set(RULES) and not others & set(RULES)


def test_a_rule_of_the_sdk_is_evaluated(sdk, tmp_path):
    saved = SavedTensors(tmp_path / "trial").save({"gradient/Net_fc.weight": [1e-3]})
    rule = sdk.Rule.sagemaker(
        sdk.rule_configs.vanishing_gradient(),
        name="of-the-sdk",
        rule_parameters={"threshold": "0.01"},
        collections_to_save=[sdk.CollectionConfig("gradients")],
    )
    rule.prepare_actions("job")
    (result,) = evaluate(saved.folder, [rule])
    assert (result.name, result.rule) == ("of-the-sdk", "VanishingGradient")
    assert (result.status, result.parameters) == ("IssuesFound", {"threshold": 0.01})


@pytest.mark.parametrize("name", PROFILER_RULES)
def test_the_parameters_of_the_sdks_profiler_rules_are_taken(sdk, name):
    assert hasattr(sdk.rule_configs, name) == (name in OF_THE_SDK)
    if name not in OF_THE_SDK:
        return
    configuration = getattr(sdk.rule_configs, name)
    strings = {key: str(value) for key, value in configuration().rule_parameters.items()}
    rule = make(name, {key: value for key, value in strings.items() if value != "None"})
    assert make(name, strings) is not None
    known = set(inspect.signature(configuration.__init__).parameters)
    assert known - {"self", "scan_interval_us"} <= vars(rule).keys()


@pytest.mark.parametrize("name", [None, "MyRule"])
def test_a_profiler_rule_of_the_sdk_is_evaluated(sdk, starved, name):
    configuration = sdk.rule_configs.LowGPUUtilization(window=30)
    (finding,) = evaluate_profile(starved, [sdk.ProfilerRule.sagemaker(configuration, name=name)])
    assert (finding.name, finding.rule) == (name or "LowGPUUtilization", "LowGPUUtilization")
    assert finding.status == "IssuesFound" and finding.parameters["window"] == 30


def test_the_sdks_profiler_report_is_evaluated(sdk, starved):
    configuration = sdk.rule_configs.ProfilerReport(Dataloader_min_threshold=10)
    summed, *rules = evaluate_profile(starved, [sdk.ProfilerRule.sagemaker(configuration)])
    assert (summed.name, summed.rule) == ("ProfilerReport", "ProfilerReport")
    assert summed.parameters == {"Dataloader_min_threshold": "10"}
    assert [each.name for each in rules] == list(PROFILER_RULES)


def test_a_training_job_of_the_sdk_is_described(monkeypatch):
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    from sagemaker.core.resources import TrainingJob
    from sagemaker.core.shapes import ResourceConfig, SecondaryStatusTransition

    at = datetime(2026, 9, 21, 14, 14, tzinfo=UTC)
    running = at + timedelta(seconds=90)
    resource = TrainingJob(
        training_job_name="dogs",
        training_job_status="Failed",
        resource_config=ResourceConfig(
            instance_type="ml.g4dn.xlarge", instance_count=2, volume_size_in_gb=30
        ),
        creation_time=at,
        training_start_time=at + timedelta(seconds=60),
        training_end_time=at + timedelta(seconds=960),
        billable_time_in_seconds=900,
        failure_reason="AlgorithmError: out of memory",
        secondary_status_transitions=[
            SecondaryStatusTransition(status="Starting", start_time=at, end_time=running),
            SecondaryStatusTransition(status="Training", start_time=running),
        ],
    )
    t = at.timestamp()
    assert from_description(resource) == Job(
        "dogs",
        "Failed",
        "ml.g4dn.xlarge",
        2,
        t,
        t + 60,
        t + 960,
        900.0,
        "AlgorithmError: out of memory",
        [Phase("Starting", t, t + 90), Phase("Training", t + 90, None)],
    )
    assert from_description(TrainingJob(training_job_name="dogs")) == Job("dogs", "Unknown")
