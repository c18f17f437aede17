"""A tuning job goes on from what earlier ones found."""

import statistics

import pytest
from botocore.exceptions import ClientError

from debugger_support.processes import wait_until
from engine_support.clients import unique
from engine_support.tuning_requests import ECHO_X, jobs_of, start, tuned, tuning_request, values_of

NAME = "HyperParameterTuningJobName"
CONFIG = "HyperParameterTuningJobConfig"


def warm(request, *parents, kind="IdenticalDataAndAlgorithm"):
    names = [{NAME: name} for name in parents]
    start = {"ParentHyperParameterTuningJobs": names, "WarmStartType": kind}
    return request | {"WarmStartConfig": start}


# The nearer x is to 0.7, the better.
PEAK = ECHO_X.replace("objective=$x", 'objective=$(awk "BEGIN {print 1 - ($x - 0.7)^2}")')


@pytest.fixture(scope="module")
def parent(aws):
    return tuned(aws, command=PEAK, jobs=12)


def distances(aws, name):
    return [abs(float(x) - 0.7) for x in values_of(jobs_of(aws, name))]


def test_the_parents_results_lead_the_search_and_its_best_stays_the_best(aws, parent):
    """From the same seed the cold search begins anywhere, the warm one near the parent's best."""
    asked = {"jobs": 3, "parallel": 1, "Strategy": "Bayesian", "RandomSeed": 3}
    request = warm(tuning_request("echo objective=0", **asked), parent[NAME])
    tuning = aws.tuning_job(start(aws, request))
    cold = tuned(aws, command="echo objective=0", **asked)
    near, far = distances(aws, request[NAME]), distances(aws, cold[NAME])
    assert statistics.mean(near) < statistics.mean(far) / 2, (near, far)
    # The counters count its own jobs; the best of all is the parent's.
    assert tuning["TrainingJobStatusCounters"]["Completed"] == 3
    own, best = tuning["BestTrainingJob"], tuning["OverallBestTrainingJob"]
    assert own["TrainingJobName"].startswith(request[NAME]) and "TuningJobName" not in own
    assert best == parent["BestTrainingJob"] | {"TuningJobName": parent[NAME]}
    assert tuning["WarmStartConfig"] == request["WarmStartConfig"]
    assert "OverallBestTrainingJob" not in cold


def test_transfer_learning_has_no_overall_best(aws, parent):
    request = tuning_request("echo objective=2", jobs=1, parallel=1)
    request = warm(request, parent[NAME], kind="TransferLearning")
    tuning = aws.tuning_job(start(aws, request))
    assert tuning["BestTrainingJob"] and "OverallBestTrainingJob" not in tuning


def test_a_static_hyperparameter_may_become_tuned(aws, parent):
    """The total stays: what was static is tuned, and the other way round."""
    request = tuning_request("echo objective=2", jobs=1, parallel=1)
    request["TrainingJobDefinition"]["StaticHyperParameters"] = {"x": "0.5"}
    fixed = {"Name": "fixed", "MinValue": "1", "MaxValue": "9"}
    request[CONFIG]["ParameterRanges"] = {"IntegerParameterRanges": [fixed]}
    tuning = aws.tuning_job(start(aws, warm(request, parent[NAME])))
    assert tuning["OverallBestTrainingJob"]["TuningJobName"] == request[NAME]


def test_a_parent_may_be_deleted_later(aws):
    first = tuned(aws, command="echo objective=5", jobs=1, parallel=1)[NAME]
    request = warm(tuning_request("echo objective=2", jobs=1, parallel=1), first)
    name = start(aws, request)
    assert aws.tuning_job(name)["OverallBestTrainingJob"]["TuningJobName"] == first
    aws.sagemaker.delete_hyper_parameter_tuning_job(HyperParameterTuningJobName=first)
    assert aws.tuning_job(name)["OverallBestTrainingJob"]["TuningJobName"] == name


def _integer(request):
    ranges = {"IntegerParameterRanges": [{"Name": "x", "MinValue": "0", "MaxValue": "9"}]}
    request[CONFIG]["ParameterRanges"] = ranges


def _one_more(request):
    request["TrainingJobDefinition"]["StaticHyperParameters"]["more"] = "1"


def _minimize(request):
    request[CONFIG]["HyperParameterTuningJobObjective"]["Type"] = "Minimize"


def _unknown(request):
    request["WarmStartConfig"]["ParentHyperParameterTuningJobs"].append({NAME: "nobody"})


def _twice(request):
    parents = request["WarmStartConfig"]["ParentHyperParameterTuningJobs"]
    parents.append(parents[0])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_integer, "'x' is Integer, and Continuous in the parent"),
        (_one_more, "3 hyperparameters .* are not as many as the 2"),
        (_minimize, "the objective .*Minimize.* differs from .*Maximize"),
        (_unknown, "no hyperparameter tuning job 'nobody'"),
        (_twice, "different parent jobs"),
    ],
)
def test_a_child_that_does_not_fit_is_refused_and_nothing_is_made(aws, parent, change, words):
    request = warm(tuning_request(), parent[NAME])
    change(request)
    with pytest.raises(ClientError, match=words) as caught:
        start(aws, request)
    assert caught.value.response["Error"]["Code"] == "ValidationException"
    with pytest.raises(ClientError, match="find a tuning job called"):
        aws.tuning_job(request[NAME])


def test_a_parent_that_still_runs_is_refused(aws):
    name = start(aws, tuning_request("sleep 300", jobs=1, parallel=1))
    wait_until(lambda: jobs_of(aws, name))
    with pytest.raises(ClientError, match=f"'{name}' is InProgress; it must be"):
        start(aws, warm(tuning_request(), name))
    aws.sagemaker.stop_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
    assert aws.tuning_job(name)["HyperParameterTuningJobStatus"] == "Stopped"
    child = warm(tuning_request(jobs=1, parallel=1), name)  # and now it may be one
    assert aws.tuning_job(start(aws, child))["HyperParameterTuningJobStatus"] == "Completed"


def test_of_several_algorithms_each_has_its_own_in_the_parent(aws, parent):
    request = tuning_request(jobs=2)
    config = request[CONFIG]
    objective = config.pop("HyperParameterTuningJobObjective")
    ranges, item = config.pop("ParameterRanges"), request.pop("TrainingJobDefinition")
    item |= {"TuningObjective": objective, "HyperParameterRanges": ranges}
    items = [{**item, "DefinitionName": name} for name in ("one", "two")]
    request["TrainingJobDefinitions"] = items
    with pytest.raises(ClientError, match=r"has no definitions \['one', 'two'\]"):
        start(aws, warm(request, parent[NAME]))
    first = aws.tuning_job(start(aws, request))
    again = warm({**request, NAME: unique("again")}, first[NAME])
    tuning = aws.tuning_job(start(aws, again))
    values = [s["TunedHyperParameters"]["x"] for s in jobs_of(aws, first[NAME])]
    values += [s["TunedHyperParameters"]["x"] for s in jobs_of(aws, again[NAME])]
    best = tuning["OverallBestTrainingJob"]["TunedHyperParameters"]["x"]
    assert float(best) == max(float(x) for x in values)
