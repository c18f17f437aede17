"""The Hyperband strategy: its epochs, its rungs, and the jobs that it stops."""

import pytest

from engine_support.shared_files import shared_folder
from engine_support.tuning_requests import ECHO_X, jobs_of, tuned, values_of
from local_sagemaker.core.errors import ApiError
from local_sagemaker.tuning import hyperband, ranges, search


@pytest.mark.parametrize(
    ("asked", "static", "resources"),
    [
        ({"MinResource": 2, "MaxResource": 9}, {}, (2, 9)),
        ({"MaxResource": 9}, {"epochs": "27"}, (1, 9)),
        ({}, {"n-epochs": "27"}, (1, 27)),
        ({}, {"epochs": '"27"'}, (1, 27)),
    ],
)
def test_hyperbands_epochs_are_asked_for_or_inferred(asked, static, resources):
    config = {"StrategyConfig": {"HyperbandStrategyConfig": asked}}
    assert hyperband.epochs(config, static) == resources


@pytest.mark.parametrize(
    ("asked", "static", "words"),
    [
        ({}, {"batch": "8"}, "needs MaxResource"),
        ({}, {"epochs": "many"}, "needs MaxResource"),
        ({"MinResource": 3, "MaxResource": 2}, {}, "not 3 and 2"),
        ({"MaxResource": 20_001}, {}, "<= 20000, not 1 and 20001"),
    ],
)
def test_epochs_that_hyperband_cannot_use(asked, static, words):
    config = {"StrategyConfig": {"HyperbandStrategyConfig": asked}}
    with pytest.raises(ApiError, match=words):
        hyperband.epochs(config, static)


def test_hyperband_lets_the_best_third_go_on():
    """Between 1 and 2 epochs there is one bracket, with its rung at the first epoch."""
    pruner = hyperband.Hyperband(1, 2).pruner
    x = {"Name": "x", "MinValue": "0", "MaxValue": "1"}
    found = ranges.of({"ContinuousParameterRanges": [x]})
    one = search.Search("Hyperband", found, "Maximize", 1, pruner)
    goes_on = []
    for value in (0.5, 0.4, 0.6, 0.3, 0.7, 0.65, 0.1):
        trial, _ = one.draw()
        trial.report(value, 1)
        goes_on.append(not trial.should_prune())
        one.study.tell(trial, value)
    assert goes_on == [True, False, True, False, True, True, False]


def test_hyperband_stops_jobs_after_a_rung(aws):
    """Up to five jobs only the best so far goes on; each script knows whether it is that one.

    The winner goes on beyond the last epoch that MaxResource allows, and is stopped there.
    """
    best = shared_folder() / "best"
    best.write_text("0")
    is_best = f'awk -v x=$x "\\$1 < x {{b = 1}} END {{exit !b}}" {best}'
    command = ECHO_X + f"; {is_best} || sleep 300; echo $x > {best}; echo objective=$x"
    resources = {"HyperbandStrategyConfig": {"MinResource": 1, "MaxResource": 2}}
    tuning = tuned(
        aws, command=command, jobs=5, parallel=1, Strategy="Hyperband", StrategyConfig=resources
    )
    found = jobs_of(aws, tuning["HyperParameterTuningJobName"])
    assert tuning["HyperParameterTuningJobStatus"] == "Completed"
    values = [float(x) for x in values_of(found)]
    records = [value == max(values[: index + 1]) for index, value in enumerate(values)]
    assert True in records[1:] and False in records  # else it shows nothing
    wanted = ["Completed" if record else "Stopped" for record in records]
    assert [s["TrainingJobStatus"] for s in found] == wanted


def test_a_job_that_ended_between_two_looks_is_one_to_compare_with(aws):
    """The first job is over at once; the second is worse and would run into the test's limit."""
    first = shared_folder() / "first"
    command = f"if mkdir {first}; then echo objective=2; else echo objective=1; sleep 300; fi"
    resources = {"HyperbandStrategyConfig": {"MinResource": 1, "MaxResource": 2}}
    tuning = tuned(
        aws, command=command, jobs=2, parallel=1, Strategy="Hyperband", StrategyConfig=resources
    )
    found = jobs_of(aws, tuning["HyperParameterTuningJobName"])
    assert [s["TrainingJobStatus"] for s in found] == ["Completed", "Stopped"]


def test_hyperband_stops_a_job_beyond_its_last_epoch(aws):
    resources = {"HyperbandStrategyConfig": {"MinResource": 1, "MaxResource": 2}}
    command = "echo objective=1; echo objective=2; echo objective=3; sleep 300"
    tuning = tuned(
        aws, command=command, jobs=1, parallel=1, Strategy="Hyperband", StrategyConfig=resources
    )
    assert tuning["BestTrainingJob"]["TrainingJobStatus"] == "Stopped"
