"""What a job's description tells of its rules at first, and how that changes."""

import re

import pytest
from botocore.exceptions import ClientError

from engine_support.clients import BUCKET, training_request
from engine_support.rules import HOOK, rule
from local_sagemaker.core.kinds import TRAINING_JOB
from local_sagemaker.core.store import Store
from local_sagemaker.training.rules import statuses as rule_statuses
from local_sagemaker.training.rules.kinds import PROFILER_RULES, TENSOR_RULES

PROFILER = {"S3OutputPath": f"s3://{BUCKET}/profiles"}


def first(*rules, **members):
    request = training_request(DebugRuleConfigurations=list(rules), **members)
    return rule_statuses.first(request)["DebugRuleEvaluationStatuses"]


def test_rules_are_in_progress_at_first_each_as_a_job_of_its_own():
    long, short = first(rule("A rule (mine)" * 9), rule("Overfit"), DebugHookConfig=HOOK)
    assert long["RuleEvaluationStatus"] == short["RuleEvaluationStatus"] == "InProgress"
    assert "StatusDetails" not in short
    for status in (long, short):
        # The model's own pattern for the name of a processing job
        job = status["RuleEvaluationJobArn"].partition(":processing-job/")[2]
        assert re.fullmatch("[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}", job)
    assert re.search(r"-overfit-[0-9a-f]{8}$", short["RuleEvaluationJobArn"])


def test_without_a_hook_there_is_nothing_to_evaluate():
    (status,) = first(rule("Overfit"))
    assert status["RuleEvaluationStatus"] == "Error"
    assert "no DebugHookConfig" in status["StatusDetails"]
    assert status["RuleEvaluationJobArn"].partition(":processing-job/")[2]


@pytest.mark.parametrize("image", ["mine/my-rules:1", "sagemaker-debugger-rules"])
def test_an_image_that_is_not_awss_says_so(image):
    (status,) = first(rule("Overfit", RuleEvaluatorImage=image), DebugHookConfig=HOOK)
    assert status["RuleEvaluationStatus"] == "Error"
    assert f"RuleEvaluatorImage '{image}' has no local runtime" in status["StatusDetails"]


def test_a_job_without_rules_has_no_statuses():
    assert rule_statuses.first(training_request(DebugHookConfig=HOOK)) == {}


def profiled(**members):
    request = training_request(ProfilerRuleConfigurations=[rule("r")], **members)
    (status,) = rule_statuses.first(request)["ProfilerRuleEvaluationStatuses"]
    assert ":processing-job/" in status["RuleEvaluationJobArn"]  # which notebooks print
    return status["RuleEvaluationStatus"], status.get("StatusDetails")


def test_profiler_rules_need_a_profile():
    assert profiled(ProfilerConfig=PROFILER) == ("InProgress", None)
    assert profiled(DebugHookConfig=HOOK)[0] == "Error"
    assert "has no ProfilerConfig" in profiled()[1]
    status, details = profiled(ProfilerConfig={"DisableProfiler": True})
    assert status == "Error" and "has DisableProfiler" in details


KINDS = ("DebugRuleConfigurations", "ProfilerRuleConfigurations")


@pytest.mark.parametrize("member", KINDS)
@pytest.mark.parametrize("name", [".", "..", "a/b", "ü" * 128])
def test_a_name_that_cannot_be_a_folders_is_refused(aws, name, member):
    expected = f"{member}.RuleConfigurationName: '{re.escape(name)}' cannot be a folder's name"
    with pytest.raises(ClientError, match=expected):
        aws.train("true", **{member: [rule(name)]})


@pytest.mark.parametrize("member", KINDS)
def test_results_go_to_s3(aws, member):
    rules = [rule("r", S3OutputPath="https://example.org/results")]
    with pytest.raises(ClientError, match=r"'https://example\.org/results' is no S3 address"):
        aws.train("true", **{member: rules})


def test_more_rules_than_the_api_takes_are_refused(aws):
    rules = [rule(f"r{number}") for number in range(21)]
    with pytest.raises(ClientError, match="length less than or equal to 20"):
        aws.train("true", DebugRuleConfigurations=rules, DebugHookConfig=HOOK)


# Changes


@pytest.fixture
def store(tmp_path):
    made = Store(tmp_path)
    request = training_request(
        TrainingJobName="job",
        DebugHookConfig=HOOK,
        DebugRuleConfigurations=[rule("a"), rule("b", RuleEvaluatorImage="mine"), rule("c")],
        ProfilerConfig=PROFILER,
        ProfilerRuleConfigurations=[rule("c"), rule("d")],
    )
    made.put(TRAINING_JOB.stored, "job", {"CreationTime": 1.0, **rule_statuses.first(request)})
    yield made
    made.close()


def test_a_change_is_one_rules(store):
    before = store.get(TRAINING_JOB.stored, "job")
    assert rule_statuses.in_progress(before, TENSOR_RULES) == ["a", "c"]
    rule_statuses.record(store, TENSOR_RULES, "job", "c", "IssuesFound", "x" * 2000)
    after = store.get(TRAINING_JOB.stored, "job")
    assert rule_statuses.in_progress(after, TENSOR_RULES) == ["a"]
    assert after[PROFILER_RULES.statuses] == before[PROFILER_RULES.statuses]
    old, new = before[TENSOR_RULES.statuses], after[TENSOR_RULES.statuses]
    assert new[:2] == old[:2]
    assert new[2]["RuleEvaluationJobArn"] == old[2]["RuleEvaluationJobArn"]
    assert new[2]["StatusDetails"] == "x" * 1024  # the API's limit
    assert new[2]["LastModifiedTime"] > old[2]["LastModifiedTime"]


def test_a_job_that_was_deleted_has_no_statuses(store):
    store.remove(TRAINING_JOB.stored, "job")
    rule_statuses.record(store, TENSOR_RULES, "job", "a", "NoIssuesFound")
    assert store.get(TRAINING_JOB.stored, "job") is None
