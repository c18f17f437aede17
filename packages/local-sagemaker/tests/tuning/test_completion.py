"""A tuning job that has what it was asked for ends, and ends its training jobs."""

import pytest

from engine_support.tuning_requests import ECHO_X, READ_X, grid, jobs_of, tuned, values_of
from local_sagemaker.core.errors import ApiError
from local_sagemaker.tuning import completion

NAME = "HyperParameterTuningJobName"


@pytest.mark.parametrize(
    ("objectives", "goal", "count"),
    [
        ([], "Maximize", 0),
        ([0.5], "Maximize", 0),
        ([0.5, 0.4, 0.3], "Maximize", 2),
        ([0.5, 0.4, 0.3], "Minimize", 0),
        ([0.5, 0.5049], "Maximize", 1),  # better, but by less than 1%
        ([0.5, 0.5051], "Maximize", 0),
        ([0.5, 0.4951], "Minimize", 1),
        ([0.5, 0.4949], "Minimize", 0),
        ([-0.5, -0.4949], "Maximize", 0),
        ([0.0, 0.0], "Minimize", 1),
        ([0.0, -1e-9], "Minimize", 0),
        ([0.5, 0.4, 0.9, 0.1, 0.2], "Maximize", 2),
    ],
)
def test_what_improves_the_best_by_one_percent(objectives, goal, count):
    assert completion.jobs_not_improving(objectives, goal) == count


def config(target=None, not_improving=None, seconds=None):
    criteria = {}
    if target is not None:
        criteria["TargetObjectiveMetricValue"] = target
    if not_improving:
        limit = {"MaxNumberOfTrainingJobsNotImproving": not_improving}
        criteria["BestObjectiveNotImproving"] = limit
    limits = {"MaxRuntimeInSeconds": seconds} if seconds else {}
    return {"ResourceLimits": limits, "TuningJobCompletionCriteria": criteria}


@pytest.mark.parametrize(
    ("asked", "reached"),
    [
        (config(), False),
        (config(target=0.9), True),
        (config(target=0.91), False),
        (config(target=0), True),
        (config(not_improving=3), True),
        (config(not_improving=4), False),
        (config(seconds=120), True),
        (config(seconds=121), False),
    ],
)
def test_which_criteria_are_reached(asked, reached):
    objectives = [0.5, 0.9, 0.1, 0.2, 0.3]
    assert completion.is_reached(asked, objectives, "Maximize", 120) is reached


def test_a_target_to_get_below():
    assert completion.is_reached(config(target=0.1), [0.05], "Minimize", 0)
    assert not completion.is_reached(config(target=0.1), [0.2], "Minimize", 0)


def test_convergence_is_refused_only_where_it_is_asked_for():
    completion.check({"TuningJobCompletionCriteria": disabled()})
    with pytest.raises(ApiError, match="cannot tell convergence"):
        completion.check({"TuningJobCompletionCriteria": disabled("Enabled")})


def disabled(value="Disabled"):
    return {"ConvergenceDetected": {"CompleteOnConvergence": value}}


@pytest.mark.parametrize(
    ("statuses", "objective", "hopeless"),
    [
        (["Failed"] * 4, "Failed", False),
        (["Failed"] * 5, "Failed", True),
        (["Completed"] * 4, "Failed", False),
        (["Completed"] * 5, "Failed", True),
        (["Completed"] * 5, "Succeeded", False),
        (["Failed"] * 5 + ["Completed"], "Failed", False),
        (["Stopped"] * 5, "Failed", False),
    ],
)
def test_after_five_jobs_without_an_objective_there_is_no_hope(statuses, objective, hopeless):
    summaries = [{"TrainingJobStatus": s, "ObjectiveStatus": objective} for s in statuses]
    assert completion.is_hopeless(summaries) is hopeless


def test_a_target_ends_the_tuning_job_and_the_jobs_that_run(aws):
    command = READ_X + "case $x in 0.1|0.7) echo objective=$x;; *) sleep 300;; esac"
    tuning = tuned(
        aws,
        command=command,
        parallel=2,
        TuningJobCompletionCriteria={"TargetObjectiveMetricValue": 0.6},
        **grid("0.2", "0.1", "0.7", "0.9", "1"),
    )
    assert tuning["HyperParameterTuningJobStatus"] == "Completed"
    assert tuning["BestTrainingJob"]["TunedHyperParameters"] == {"x": "0.7"}
    found = jobs_of(aws, tuning[NAME])
    assert values_of(found)[:3] == ["0.2", "0.1", "0.7"]
    assert found[0]["TrainingJobStatus"] == "Stopped"


def test_jobs_that_improve_nothing_end_the_tuning_job(aws):
    """Neither a number of jobs nor a time is needed besides."""
    criteria = {"BestObjectiveNotImproving": {"MaxNumberOfTrainingJobsNotImproving": 3}}
    tuning = tuned(
        aws,
        command=ECHO_X,
        parallel=1,
        TuningJobCompletionCriteria=criteria,
        **grid("0.5", "0.9", "0.1", "0.2", "0.3", "1"),
    )
    assert tuning["HyperParameterTuningJobStatus"] == "Completed"
    assert values_of(jobs_of(aws, tuning[NAME])) == ["0.5", "0.9", "0.1", "0.2", "0.3"]
    assert tuning["TuningJobCompletionDetails"] == {"NumberOfTrainingJobsObjectiveNotImproving": 3}
