"""Tuning jobs: real training jobs side by side, and the best of them by their logs."""

import os
import re
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from conftest import training_request, unique, wait_until

CONTAINER = Path(__file__).parent / "quick_container"
# Prints the tuned x as the metric, from where a script would read it.
ECHO_X = (
    'x=$(sed \'s/.*"x": "\\([^"]*\\)".*/\\1/\' /opt/ml/input/config/hyperparameters.json);'
    'echo "objective=$x"'
)


def tuning_request(command=ECHO_X, jobs=6, parallel=2, goal="Maximize", regex=None, **config):
    definition = training_request(metrics={"objective": regex or "objective=([0-9.]+)"})
    del definition["TrainingJobName"], definition["AlgorithmSpecification"]["ContainerEntrypoint"]
    path = f"{CONTAINER}:/usr/bin:/bin"
    definition["Environment"] = {"PATH": path, "JOB_COMMAND": command}
    definition["StaticHyperParameters"] = {"fixed": "1"}
    ranges = {"ContinuousParameterRanges": [{"Name": "x", "MinValue": "0", "MaxValue": "1"}]}
    limits = {"MaxNumberOfTrainingJobs": jobs, "MaxParallelTrainingJobs": parallel}
    return {
        "HyperParameterTuningJobName": unique("tune"),
        "HyperParameterTuningJobConfig": {
            "Strategy": "Random",
            "RandomSeed": 1,
            "HyperParameterTuningJobObjective": {"Type": goal, "MetricName": "objective"},
            "ResourceLimits": limits,
            "ParameterRanges": ranges,
            **config,
        },
        "TrainingJobDefinition": definition,
    }


def start(aws, request):
    aws.sagemaker.create_hyper_parameter_tuning_job(**request)
    return request["HyperParameterTuningJobName"]


def tuned(aws, **members):
    return aws.tuning_job(start(aws, tuning_request(**members)))


def jobs_of(aws, name, **members):
    return aws.sagemaker.list_training_jobs_for_hyper_parameter_tuning_job(
        HyperParameterTuningJobName=name, MaxResults=100, **members
    )["TrainingJobSummaries"]


@pytest.mark.parametrize(("goal", "best_of"), [("Maximize", max), ("Minimize", min)])
def test_six_jobs_two_at_a_time_and_the_best_by_their_logs(aws, goal, best_of):
    command = ECHO_X + "; echo pid=$(cut -d' ' -f1 /proc/self/stat) ; sleep 0.15"
    tuning = tuned(aws, command=command, goal=goal)
    name = tuning["HyperParameterTuningJobName"]
    assert tuning["HyperParameterTuningJobStatus"] == "Completed"
    definition = tuning["TrainingJobDefinition"]  # as AWS tells it, and SDK v2's attach() reads it
    assert definition["OutputDataConfig"]["KmsKeyId"] == ""
    static = {"fixed": "1", "_tuning_objective_metric": "objective"}
    assert definition["StaticHyperParameters"] == static
    assert tuning["TrainingJobStatusCounters"]["Completed"] == 6
    assert tuning["ObjectiveStatusCounters"] == {"Succeeded": 6, "Pending": 0, "Failed": 0}
    described = [aws.job(s["TrainingJobName"]) for s in jobs_of(aws, name)]
    printed = {}
    for job in described:
        job_name, values = job["TrainingJobName"], job["HyperParameters"]
        log = " ".join(aws.log(job_name))  # its own stream holds its own value only
        assert re.findall(r"objective=(\S+)", log) == [values["x"]]
        assert values["fixed"] == "1" and values["_tuning_objective_metric"] == "objective"
        assert job["TuningJobArn"] == tuning["HyperParameterTuningJobArn"]
        printed[job_name] = float(values["x"])
    assert len(set(printed.values())) == 6
    best = tuning["BestTrainingJob"]
    assert best["TrainingJobName"] == best_of(printed, key=printed.get)
    metric = best["FinalHyperParameterTuningJobObjectiveMetric"]
    assert metric["Value"] == pytest.approx(best_of(printed.values()))
    # Never more than two at a time: count the jobs that live when each one begins.
    spans = [(job["CreationTime"], job["TrainingEndTime"]) for job in described]
    together = [sum(a <= start < b for a, b in spans) for start, _ in spans]
    assert max(together) <= 2
    if os.cpu_count() > 1:
        assert max(together) == 2


def test_summaries_are_sorted_by_their_objective(aws):
    name = tuned(aws, jobs=3)["HyperParameterTuningJobName"]
    found = jobs_of(aws, name, SortBy="FinalObjectiveMetricValue", SortOrder="Descending")
    values = [s["FinalHyperParameterTuningJobObjectiveMetric"]["Value"] for s in found]
    assert values == sorted(values, reverse=True)
    assert [float(s["TunedHyperParameters"]["x"]) for s in found] == pytest.approx(values)


def test_a_failing_job_is_survived_and_counted(aws):
    command = ECHO_X + "; case $x in 0.[0-4]*) echo too small; exit 1;; esac"
    tuning = tuned(aws, command=command)
    counted = tuning["TrainingJobStatusCounters"]
    assert tuning["HyperParameterTuningJobStatus"] == "Completed"
    assert counted["NonRetryableError"] >= 1 and counted["Completed"] >= 1
    assert counted["NonRetryableError"] + counted["Completed"] == 6
    assert float(tuning["BestTrainingJob"]["TunedHyperParameters"]["x"]) >= 0.5


def test_all_jobs_failing_is_told_with_the_first_reason(aws):
    tuning = tuned(aws, command="echo no dogs; exit 4", jobs=2)
    assert tuning["HyperParameterTuningJobStatus"] == "Failed"
    assert "All training jobs failed" in tuning["FailureReason"]
    assert "no dogs" in tuning["FailureReason"]
    assert "BestTrainingJob" not in tuning


def test_an_expression_that_never_matches_is_named(aws):
    tuning = tuned(aws, regex="accuracy: ([0-9.]+)%", jobs=2)
    assert tuning["HyperParameterTuningJobStatus"] == "Failed"
    assert "No objective metrics found" in tuning["FailureReason"]
    assert "accuracy: ([0-9.]+)%" in tuning["FailureReason"]


def test_stopping_stops_the_jobs(aws):
    name = start(aws, tuning_request(command="sleep 30"))
    wait_until(lambda: len(jobs_of(aws, name)) == 2)
    aws.sagemaker.stop_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
    tuning = aws.tuning_job(name, limit=10)
    assert tuning["HyperParameterTuningJobStatus"] == "Stopped"
    assert [s["TrainingJobStatus"] for s in jobs_of(aws, name)] == ["Stopped", "Stopped"]
    with pytest.raises(ClientError, match="in status Stopped"):
        aws.sagemaker.stop_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)


def test_the_grid_is_run_once(aws):
    ranges = {"CategoricalParameterRanges": [{"Name": "x", "Values": ["1", "2", "3"]}]}
    request = tuning_request(Strategy="Grid", ParameterRanges=ranges)
    del request["HyperParameterTuningJobConfig"]["ResourceLimits"]["MaxNumberOfTrainingJobs"]
    tuning = aws.tuning_job(start(aws, request))
    assert tuning["HyperParameterTuningJobStatus"] == "Completed"
    found = jobs_of(aws, request["HyperParameterTuningJobName"])
    assert sorted(s["TunedHyperParameters"]["x"] for s in found) == ["1", "2", "3"]
    assert tuning["BestTrainingJob"]["TunedHyperParameters"] == {"x": "3"}


def test_resources_may_stand_in_the_other_member(aws):
    request = tuning_request(jobs=1, parallel=1)
    definition = request["TrainingJobDefinition"]
    definition["HyperParameterTuningResourceConfig"] = definition.pop("ResourceConfig")
    assert aws.tuning_job(start(aws, request))["HyperParameterTuningJobStatus"] == "Completed"


def test_a_name_is_used_once(aws):
    request = tuning_request(jobs=1, parallel=1)
    start(aws, request)
    with pytest.raises(ClientError, match="Choose a different name") as caught:
        start(aws, request)
    assert caught.value.response["Error"]["Code"] == "ResourceInUse"


def test_an_unknown_tuning_job(aws):
    with pytest.raises(ClientError) as caught:
        aws.sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName="nobody")
    assert caught.value.response["Error"]["Code"] == "ResourceNotFound"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"Strategy": "Hyperband"}, "Bayesian, Random, Grid"),
        ({"TrainingJobEarlyStoppingType": "Auto"}, "EarlyStoppingType"),
        (
            {"HyperParameterTuningJobObjective": {"Type": "Maximize", "MetricName": "f1"}},
            "'f1' is not among them",
        ),
        ({"ParameterRanges": {}}, "no range"),
    ],
)
def test_what_cannot_be_done_is_refused_and_nothing_is_made(aws, change, words):
    request = tuning_request(**change)
    with pytest.raises(ClientError, match=words):
        start(aws, request)
    found = aws.sagemaker.list_hyper_parameter_tuning_jobs(
        NameContains=request["HyperParameterTuningJobName"]
    )
    assert found["HyperParameterTuningJobSummaries"] == []
