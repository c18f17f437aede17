"""Tuning jobs: real training jobs side by side, and the best of them by their logs."""

import os
import re

import pytest
from botocore.exceptions import ClientError

from debugger_support.processes import wait_until
from engine_support.clients import BUCKET, unique
from engine_support.in_process import engine_here
from engine_support.tuning_requests import (
    ECHO_X,
    READ_X,
    grid,
    jobs_of,
    start,
    tuned,
    tuning_request,
    values_of,
)
from local_sagemaker.core.kinds import TUNING_JOB
from local_sagemaker.training.operations import TrainingJobs

NAME = "HyperParameterTuningJobName"
HYPERBAND = {"StrategyConfig": {"HyperbandStrategyConfig": {"MinResource": 3, "MaxResource": 2}}}
CONVERGED = {"ConvergenceDetected": {"CompleteOnConvergence": "Enabled"}}
FIXED = {"Name": "fixed", "MinValue": "1", "MaxValue": "9"}


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


@pytest.mark.parametrize(
    ("jobs", "words"), [(2, "All training jobs failed"), (9, "No training job succeeded after 5")]
)
def test_all_jobs_failing_is_told_with_the_first_reason(aws, jobs, words):
    """SageMaker does not go on after five failures without one success."""
    tuning = tuned(aws, command="echo no dogs; exit 4", jobs=jobs, parallel=1)
    assert tuning["HyperParameterTuningJobStatus"] == "Failed"
    assert tuning["TrainingJobStatusCounters"]["NonRetryableError"] == min(jobs, 5)
    assert words in tuning["FailureReason"] and "no dogs" in tuning["FailureReason"]
    assert "BestTrainingJob" not in tuning


def test_an_expression_that_never_matches_is_named(aws):
    tuning = tuned(aws, regex="accuracy: ([0-9.]+)%", jobs=9, parallel=1)
    assert tuning["HyperParameterTuningJobStatus"] == "Failed"
    assert tuning["ObjectiveStatusCounters"] == {"Succeeded": 0, "Pending": 0, "Failed": 5}
    assert "No objective metrics found after running 5 training jobs" in tuning["FailureReason"]
    assert "accuracy: ([0-9.]+)%" in tuning["FailureReason"]


@pytest.mark.parametrize(
    ("regex", "why"),
    [
        ("objective=(.*)", "'nan' is no number"),
        ("objective=(.*?)", "its first group captured nothing"),
        ("objective=", "its first group captured nothing"),
    ],
)
def test_an_objective_that_was_found_and_is_no_number_is_told_as_that(aws, regex, why):
    tuning = tuned(aws, command="echo objective=nan", regex=regex, jobs=1)
    assert tuning["HyperParameterTuningJobStatus"] == "Failed"
    said = f"A log line matched that of 'objective', {regex!r}, but {why}."
    assert tuning["FailureReason"].endswith(said)


def test_an_objective_of_a_job_that_failed_is_told_as_that(aws):
    command = READ_X + "case $x in 1) echo objective=$x; exit 2;; esac"
    tuning = tuned(aws, command=command, parallel=1, **grid("1", "2"))
    (failed,) = jobs_of(aws, tuning[NAME], StatusEquals="Failed")
    said = "A log line matched that of 'objective', 'objective=([0-9.]+)', but its job, "
    assert tuning["FailureReason"].endswith(f"{said}{failed['TrainingJobName']}, failed.")


def test_stopping_stops_the_jobs_and_keeps_the_best(aws):
    """More jobs than cores: those that wait for a core are stopped like those that run."""
    command = READ_X + "case $x in 1) echo objective=$x;; *) sleep 30;; esac"
    name = start(aws, tuning_request(command, parallel=5, **grid("1", "2", "3", "4", "5", "6")))
    wait_until(lambda: len(jobs_of(aws, name)) == 6)
    before = aws.sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
    assert before["TrainingJobStatusCounters"]["InProgress"] == 5
    assert "HyperParameterTuningEndTime" not in before
    aws.sagemaker.stop_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
    after = aws.sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
    assert after["LastModifiedTime"] > before["LastModifiedTime"]
    tuning = aws.tuning_job(name, limit=20)
    assert tuning["HyperParameterTuningJobStatus"] == "Stopped"
    assert tuning["LastModifiedTime"] == tuning["HyperParameterTuningEndTime"]
    found = jobs_of(aws, name)
    assert sorted(s["TrainingJobStatus"] for s in found) == ["Completed", *["Stopped"] * 5]
    counted = tuning["TrainingJobStatusCounters"]
    assert (counted["Completed"], counted["Stopped"], counted["InProgress"]) == (1, 5, 0)
    assert tuning["BestTrainingJob"]["TunedHyperParameters"] == {"x": "1"}
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
    limits = tuning["HyperParameterTuningJobConfig"]["ResourceLimits"]
    assert limits["MaxNumberOfTrainingJobs"] == 3  # as SDK v2's attach expects


def test_a_name_is_used_once(aws):
    request = tuning_request(jobs=1, parallel=1)
    start(aws, request)
    with pytest.raises(ClientError, match="Choose a different name") as caught:
        start(aws, request)
    assert caught.value.response["Error"]["Code"] == "ResourceInUse"


@pytest.mark.parametrize("late", ["1", "2"])
def test_a_seed_repeats_a_search_whichever_of_two_jobs_is_quicker(aws, late):
    """The first or the second job of each pair takes longer: the search must not notice."""
    expected = searched(aws, "0")
    assert searched(aws, late) == expected
    assert len(set(expected)) == 7


def searched(aws, late):
    """The values that a seeded search tries; every other job, from the `late`th on, is slow."""
    number = "n=$(echo $TRAINING_JOB_NAME | sed 's/.*-00\\(.\\)-.*/\\1/'); "
    slow = {"0": "true", "1": "[ $((n % 2)) = 1 ]", "2": "[ $((n % 2)) = 0 ]"}[late]
    command = READ_X + number + f'if {slow}; then sleep 0.4; fi; echo "objective=$x"'
    request = tuning_request(command, jobs=7, Strategy="Bayesian", RandomSeed=5)
    name = start(aws, request)
    aws.tuning_job(name)
    return values_of(jobs_of(aws, name))


def test_a_seed_repeats_the_values_of_a_tuning_job(aws):
    first, again, other = (
        jobs_of(aws, tuned(aws, jobs=4, parallel=1, Strategy="Bayesian", RandomSeed=seed)[NAME])
        for seed in (5, 5, 6)
    )
    assert values_of(first) == values_of(again) != values_of(other)


def test_what_the_clients_read_is_there(aws):
    """The members that `HyperparameterTuner.attach` and the analytics of SDK v2 and v3 touch."""
    request = tuning_request(jobs=1, parallel=1)
    request["Tags"] = [{"Key": "course", "Value": "dogs"}]
    tuning = aws.tuning_job(start(aws, request))
    config = tuning["HyperParameterTuningJobConfig"]
    assert config["TrainingJobEarlyStoppingType"] == "Off"
    assert config["ParameterRanges"] == {
        "ContinuousParameterRanges": [
            {"Name": "x", "MinValue": "0", "MaxValue": "1", "ScalingType": "Auto"}
        ],
        "IntegerParameterRanges": [],
        "CategoricalParameterRanges": [],
    }
    static = tuning["TrainingJobDefinition"]["StaticHyperParameters"]
    assert static == {"fixed": "1", "_tuning_objective_metric": "objective"}
    [summary] = jobs_of(aws, request[NAME])
    assert tuning["BestTrainingJob"] == summary
    assert summary["TrainingEndTime"] >= summary["TrainingStartTime"] >= summary["CreationTime"]
    assert summary["FinalHyperParameterTuningJobObjectiveMetric"] == {
        "Type": "Maximize",
        "MetricName": "objective",
        "Value": pytest.approx(float(summary["TunedHyperParameters"]["x"])),
    }
    assert tuning["ConsumedResources"]["RuntimeInSeconds"] >= 0
    assert tuning["TuningJobCompletionDetails"]["NumberOfTrainingJobsObjectiveNotImproving"] == 0
    tags = aws.sagemaker.list_tags(ResourceArn=summary["TrainingJobArn"])["Tags"]
    assert tags == request["Tags"]


def test_jobs_without_an_objective_are_not_listed_by_their_objective(aws):
    command = ECHO_X + "; case $x in 2) exit 1;; esac"
    name = tuned(aws, command=command, parallel=3, **grid("1", "2", "3"))[NAME]
    by_value = {"SortBy": "FinalObjectiveMetricValue"}
    assert values_of(jobs_of(aws, name)) == ["1", "2", "3"]
    for order, values in [("Ascending", ["1", "3"]), ("Descending", ["3", "1"])]:
        found = jobs_of(aws, name, SortOrder=order, **by_value)
        assert [s["TunedHyperParameters"]["x"] for s in found] == values
    [failed] = jobs_of(aws, name, StatusEquals="Failed")
    assert failed["TunedHyperParameters"] == {"x": "2"} and failed["ObjectiveStatus"] == "Failed"
    assert "FinalHyperParameterTuningJobObjectiveMetric" not in failed


def test_tuning_jobs_are_listed_by_name(aws):
    requests = [tuning_request(jobs=1, parallel=1) for _ in range(2)]
    prefix = unique("list")
    for request, last in zip(requests, "ab", strict=True):
        aws.tuning_job(start(aws, request | {NAME: f"{prefix}-{last}"}))
    found = aws.sagemaker.list_hyper_parameter_tuning_jobs(NameContains=prefix)
    summaries = found["HyperParameterTuningJobSummaries"]
    assert [s[NAME] for s in summaries] == [f"{prefix}-a", f"{prefix}-b"]
    assert {s["Strategy"] for s in summaries} == {"Random"}
    assert summaries[0]["TrainingJobStatusCounters"]["Completed"] == 1


def test_deleting_forgets_the_tuning_job_and_keeps_its_training_jobs(aws):
    request = tuning_request(command="echo objective=1; sleep 30", jobs=1, parallel=1)
    name, delete = start(aws, request), aws.sagemaker.delete_hyper_parameter_tuning_job
    with pytest.raises(ClientError, match="in status InProgress"):
        delete(HyperParameterTuningJobName=name)
    aws.sagemaker.stop_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
    aws.tuning_job(name)
    [summary] = jobs_of(aws, name)
    delete(HyperParameterTuningJobName=name)
    with pytest.raises(ClientError, match="find a tuning job called"):
        aws.tuning_job(name)
    assert aws.job(summary["TrainingJobName"])["TrainingJobStatus"] == "Stopped"


def test_an_unknown_tuning_job(aws):
    with pytest.raises(ClientError) as caught:
        aws.sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName="nobody")
    assert caught.value.response["Error"]["Code"] == "ResourceNotFound"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"Strategy": "Hyperband"}, "needs MaxResource"),
        ({"Strategy": "Hyperband", "TrainingJobEarlyStoppingType": "Auto"}, "must be Off"),
        (HYPERBAND, "StrategyConfig is for the Hyperband strategy, not for Random"),
        ({"Strategy": "Hyperband", **HYPERBAND}, "MinResource <= MaxResource"),
        ({"Strategy": "Grid"}, "categorical ranges only"),
        ({**grid("1", "2"), "jobs": 3}, "MaxNumberOfTrainingJobs, 3, must be .* 2"),
        (
            {**grid("1", "2"), "jobs": 3, "Strategy": "Bayesian"},
            r"combinations for the provided ranges \[2.0\] must be .* MaxNumberOfJobs, \[3\]",
        ),
        (
            {"TuningJobCompletionCriteria": CONVERGED},
            "cannot tell convergence",
        ),
        (
            {"HyperParameterTuningJobObjective": {"Type": "Maximize", "MetricName": "f1"}},
            "A metric is required for this .* 'f1' is not among",
        ),
        ({"ParameterRanges": {}}, "no range"),
        (
            {"ParameterRanges": {"IntegerParameterRanges": [FIXED]}},
            r"\['fixed'\] are both static and tuned",
        ),
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


def test_a_job_is_listed_by_its_tuning_job_before_it_is_made(tmp_path, monkeypatch):
    """So that an engine that is killed meanwhile leaves no training job on its own."""
    listed, create = [], TrainingJobs.create

    def looking(jobs, request, *arguments, **more):
        (tuning,) = jobs.store.all(TUNING_JOB.stored)
        listed.append(request["TrainingJobName"] in [name for name, *_ in tuning["Jobs"]])
        return create(jobs, request, *arguments, **more)

    monkeypatch.setattr(TrainingJobs, "create", looking)
    with engine_here(tmp_path) as aws:
        aws.s3.create_bucket(Bucket=BUCKET)
        assert tuned(aws, jobs=2)["HyperParameterTuningJobStatus"] == "Completed"
    assert listed == [True, True]
