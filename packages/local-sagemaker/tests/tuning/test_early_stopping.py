"""Jobs that promise nothing are stopped; the others are left alone."""

import pytest

from engine_support.tuning_requests import ECHO_X, grid, jobs_of, tuned, values_of
from local_sagemaker.tuning import early_stopping


@pytest.mark.parametrize(
    ("series", "goal", "worse"),
    [
        # Averages up to the second epoch: 0.3, 0.4 and 0.8; their median is 0.4.
        ([0.9, 0.39], "Maximize", True),
        ([0.0, 0.41], "Maximize", False),
        ([0.9, 0.39], "Minimize", False),
        ([0.0, 0.41], "Minimize", True),
        # Up to the first: 0.2, 0.3, 0.7 and 0.1; the median is 0.25.
        ([0.24], "Maximize", True),
        ([0.26], "Maximize", False),
        # The third was the last of them all.
        ([0.9, 0.9, 0.0], "Maximize", False),
        ([0.9, 0.9, 0.9, 0.0], "Maximize", False),
    ],
)
def test_the_median_of_the_running_averages_decides(series, goal, worse):
    earlier = [[0.2, 0.4, 0.9], [0.3, 0.5, 0.9], [0.7, 0.9], [0.1]]
    assert early_stopping.is_worse_than_median(series, earlier, goal) is worse
    assert not early_stopping.is_worse_than_median(series, [], goal)


def test_auto_stops_a_job_below_the_median_and_keeps_its_objective(aws):
    """From 0.5 on a job ends by itself; below it would run into the test's limit."""
    command = ECHO_X + "; case $x in 0.1|0.2) sleep 300;; esac; echo objective=$x"
    tried = grid("0.5", "0.6", "0.1", "0.95", "0.2")
    tuning = tuned(aws, command=command, parallel=1, TrainingJobEarlyStoppingType="Auto", **tried)
    assert tuning["HyperParameterTuningJobStatus"] == "Completed"
    found = jobs_of(aws, tuning["HyperParameterTuningJobName"])
    assert values_of(found) == ["0.5", "0.6", "0.1", "0.95", "0.2"]
    statuses = {s["TunedHyperParameters"]["x"]: s["TrainingJobStatus"] for s in found}
    assert {x for x, status in statuses.items() if status == "Stopped"} == {"0.1", "0.2"}
    counted = tuning["TrainingJobStatusCounters"]
    assert (counted["Completed"], counted["Stopped"]) == (3, 2)
    assert tuning["ObjectiveStatusCounters"] == {"Succeeded": 5, "Pending": 0, "Failed": 0}
    assert tuning["BestTrainingJob"]["TunedHyperParameters"] == {"x": "0.95"}


def test_a_job_that_falls_behind_in_a_later_epoch_is_stopped(aws):
    """The third job is the best in its first epoch and the worst in its second."""
    second = "; case $x in 0.9) echo objective=0.05; sleep 300;; *) echo objective=$x;; esac"
    command = ECHO_X + second + "; echo objective=$x"
    tuning = tuned(
        aws,
        command=command,
        parallel=1,
        TrainingJobEarlyStoppingType="Auto",
        **grid("0.5", "0.6", "0.9"),
    )
    last = jobs_of(aws, tuning["HyperParameterTuningJobName"])[-1]
    assert last["TrainingJobStatus"] == "Stopped"
    metric = last["FinalHyperParameterTuningJobObjectiveMetric"]
    assert metric["Value"] == pytest.approx(0.05)
