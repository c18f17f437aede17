"""What counts as a difference between AWS's answers and the engine's."""

import copy

import pytest

from tools.aws_smoke.compare import differences, told

ANSWER = {
    "TrainingJobName": "(run)",
    "TrainingJobStatus": "Completed",
    "TrainingTimeInSeconds": 12,
    "CreationTime": "(time)",
    "FinalMetricDataList": [{"MetricName": "valid_accuracy", "Value": 0.5}],
    "EnableManagedSpotTraining": False,
    "ResourceConfig": {"InstanceCount": 1},
    "AlgorithmSpecification": {"TrainingImage": "(account).dkr.ecr/pytorch:2.13"},
}


def record(answer=ANSWER, step="trial"):
    operation = "sagemaker:describe_training_job"
    return {
        "source": "AWS",
        "answers": [{"step": step, "operation": operation, "answer": copy.deepcopy(answer)}],
    }


def test_equal_records_do_not_differ():
    assert differences(record(), record()) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("TrainingTimeInSeconds", 99),
        ("AlgorithmSpecification", {"TrainingImage": "(account).dkr.ecr/pytorch:2.14"}),
        ("FinalMetricDataList", [{"MetricName": "valid_accuracy", "Value": 0.75}]),
    ],
)
def test_times_metrics_and_images_are_a_runs_own(path, value):
    assert differences(record(), record(ANSWER | {path: value})) == []


@pytest.mark.parametrize(
    ("path", "value", "first", "second"),
    [
        ("TrainingJobStatus", "Stopped", "'Completed'", "'Stopped'"),
        ("EnableManagedSpotTraining", True, "False", "True"),
        ("TrainingTimeInSeconds", "12", "(int)", "(str)"),
        ("KmsKeyId", "", "(absent)", "''"),
    ],
)
def test_another_value_another_type_and_another_member_are_told(path, value, first, second):
    found = differences(record(), record(ANSWER | {path: value}))
    assert [(each.path, each.first, each.second) for each in found] == [
        (f"answer.{path}", first, second)
    ]
    assert f"answer.{path}: AWS {first}, engine {second}" in told(found, "AWS", "engine")


def test_a_member_that_one_lacks_is_told():
    less = {name: value for name, value in ANSWER.items() if name != "ResourceConfig"}
    (found,) = differences(record(), record(less))
    assert (found.path, found.second) == ("answer.ResourceConfig.InstanceCount", "(absent)")


def test_the_words_of_a_refusal_are_compared():
    def refused(message):
        error = {"code": "ValidationException", "message": message, "status": 400}
        return {"answers": [{"step": "refused", "operation": "x", "error": error}]}

    (found,) = differences(refused("Could not find model"), refused("No model"))
    assert (found.path, found.first) == ("error.message", "'Could not find model'")
    assert differences(refused("Same"), refused("Same")) == []


def test_a_request_that_one_run_did_not_make_is_told():
    found = differences(record(), record(step="another"))
    assert {each.step for each in found} == {"trial", "another"}


def test_an_answer_instead_of_an_error_is_told():
    error = {
        "step": "trial",
        "operation": "sagemaker:describe_training_job",
        "error": {"code": "X"},
    }
    found = differences(record(), {"answers": [error]})
    assert ("error.code", "(absent)", "'X'") in [(e.path, e.first, e.second) for e in found]


def test_what_a_policy_forbids_is_no_difference():
    denied = record()
    denied["answers"] = [{**denied["answers"][0], "error": {"code": "AccessDeniedException"}}]
    del denied["answers"][0]["answer"]
    assert differences(denied, record()) == differences(record(), denied) == []
