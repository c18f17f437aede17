"""Tuning several algorithms at once, each with its own metric and ranges."""

import copy
import json

import pytest
from botocore.exceptions import ClientError

from engine_support.tuning_requests import READ_X, jobs_of, start, tuning_request

NAME = "HyperParameterTuningJobName"


def several(jobs=4, **config):
    """Two definitions: one prints x as its accuracy, the other y as its score."""
    request = tuning_request(jobs=jobs, parallel=2, **config)
    config = request["HyperParameterTuningJobConfig"]
    del config["ParameterRanges"], config["HyperParameterTuningJobObjective"]
    base = request.pop("TrainingJobDefinition")
    items = []
    for name, parameter, metric, low in [("cnn", "x", "accuracy", 0), ("tree", "y", "score", 2)]:
        item = copy.deepcopy(base)
        metrics = [{"Name": metric, "Regex": metric + "=([0-9.]+)"}]
        item["AlgorithmSpecification"]["MetricDefinitions"] = metrics
        command = READ_X.replace('"x"', f'"{parameter}"') + f"echo {metric}=$x"
        item["Environment"]["JOB_COMMAND"] = command
        limits = {"Name": parameter, "MinValue": str(low), "MaxValue": str(low + 1)}
        item |= {
            "DefinitionName": name,
            "TuningObjective": {"Type": "Maximize", "MetricName": metric},
            "HyperParameterRanges": {"ContinuousParameterRanges": [limits]},
            "StaticHyperParameters": {"algorithm": name},
        }
        items.append(item)
    return request | {"TrainingJobDefinitions": items}


def test_several_definitions_take_turns_and_the_best_is_named(aws):
    request = several()
    tuning = aws.tuning_job(start(aws, request))
    assert tuning["HyperParameterTuningJobStatus"] == "Completed"
    found = jobs_of(aws, request[NAME])
    assert [s["TrainingJobDefinitionName"] for s in found] == ["cnn", "tree", "cnn", "tree"]
    for summary in found:
        name = summary["TrainingJobDefinitionName"]
        parameter, metric = {"cnn": ("x", "accuracy"), "tree": ("y", "score")}[name]
        assert set(summary["TunedHyperParameters"]) == {parameter}
        final = summary["FinalHyperParameterTuningJobObjectiveMetric"]
        value = float(summary["TunedHyperParameters"][parameter])
        assert final == {
            "Type": "Maximize",
            "MetricName": metric,
            "Value": pytest.approx(value),
        }
        values = aws.job(summary["TrainingJobName"])["HyperParameters"]
        assert values["algorithm"] == name and values["_tuning_objective_metric"] == metric
    best = tuning["BestTrainingJob"]  # every y is above every x
    assert best["TrainingJobDefinitionName"] == "tree"
    shown = tuning["TrainingJobDefinitions"][0]
    assert shown["HyperParameterRanges"]["CategoricalParameterRanges"] == []
    assert shown["StaticHyperParameters"]["_tuning_objective_metric"] == "accuracy"


def change(path, value=None):
    """A change of the request: the member at the path is set, or removed without a value."""

    def apply(request):
        *parents, last = path
        for key in parents:
            request = request[key]
        if value is None:
            del request[last]
        else:
            request[last] = value

    return apply


FIRST = ("TrainingJobDefinitions", 0)
CONFIG = "HyperParameterTuningJobConfig"
OBJECTIVE = {"Type": "Minimize", "MetricName": "accuracy"}


@pytest.mark.parametrize(
    ("apply", "words"),
    [
        (change(["TrainingJobDefinitions"]), "either a TrainingJobDefinition or"),
        (change([*FIRST, "DefinitionName"]), "TrainingJobDefinitions.1 needs a DefinitionName"),
        (change([*FIRST, "TuningObjective"]), "needs a TuningObjective"),
        (change([*FIRST, "HyperParameterRanges"]), "needs a HyperParameterRanges"),
        (change([*FIRST, "DefinitionName"], "tree"), "must be unique"),
        (change([*FIRST, "TuningObjective"], OBJECTIVE), "must have the same Type"),
        (change([CONFIG, "HyperParameterTuningJobObjective"], OBJECTIVE), "belongs into each"),
        (change([CONFIG, "ParameterRanges"], {}), "ParameterRanges belongs into each"),
        (change([*FIRST, "ResourceConfig"]), "Provide a ResourceConfig or"),
        (
            change([*FIRST, "StaticHyperParameters"], {f"h{i}": "1" for i in range(99)}),
            "101 hyperparameters",
        ),
        (change(["Autotune"], {"Mode": "Enabled"}), "Autotune"),
    ],
)
def test_definitions_that_do_not_fit_are_refused_and_nothing_is_made(aws, apply, words):
    request = several()
    apply(request)
    with pytest.raises(ClientError, match=words) as caught:
        start(aws, request)
    assert caught.value.response["Error"]["Code"] == "ValidationException"
    with pytest.raises(ClientError, match="find a tuning job called"):
        aws.tuning_job(request[NAME])


def test_objective_and_ranges_may_stand_in_the_single_definition(aws):
    request = tuning_request(jobs=1, parallel=1)
    config, definition = request[CONFIG], request["TrainingJobDefinition"]
    definition["TuningObjective"] = config.pop("HyperParameterTuningJobObjective")
    definition["HyperParameterRanges"] = config.pop("ParameterRanges")
    assert aws.tuning_job(start(aws, request))["ObjectiveStatusCounters"]["Succeeded"] == 1


def test_resources_in_the_other_member_are_shown_in_both(aws):
    request = tuning_request(jobs=1, parallel=1)
    definition = request["TrainingJobDefinition"]
    resources = definition.pop("ResourceConfig")
    definition["HyperParameterTuningResourceConfig"] = resources
    tuning = aws.tuning_job(start(aws, request))
    trained = aws.job(tuning["BestTrainingJob"]["TrainingJobName"])
    assert trained["ResourceConfig"] == resources
    shown = tuning["TrainingJobDefinition"]  # SDK v2's attach reads the one it did not send
    assert shown["ResourceConfig"] == resources
    assert shown["HyperParameterTuningResourceConfig"] == resources


def test_a_choice_between_kinds_of_instances_is_refused(aws):
    request = tuning_request(jobs=1, parallel=1)
    one = request["TrainingJobDefinition"].pop("ResourceConfig")
    resources = {"InstanceConfigs": [one, {**one, "InstanceType": "ml.c5.xlarge"}]}
    request["TrainingJobDefinition"]["HyperParameterTuningResourceConfig"] = resources
    with pytest.raises(ClientError, match="InstanceConfigs: local_sagemaker does not") as caught:
        start(aws, request)
    assert caught.value.response["Error"]["Code"] == "ValidationException"


def test_categories_are_handed_on_as_they_were_sent(aws):
    """SDK v2 sends its categories as JSON, v3 as they are; the toolkit takes the quotes away."""
    sent = {"batch": '"32"', "optimizer": "adam", "size": "64"}
    categories = [{"Name": name, "Values": [value]} for name, value in sent.items()]
    ranges = {"CategoricalParameterRanges": categories}
    command = "cat /opt/ml/input/config/hyperparameters.json; echo; echo objective=1"
    request = tuning_request(command, Strategy="Grid", ParameterRanges=ranges, jobs=1)
    best = aws.tuning_job(start(aws, request))["BestTrainingJob"]
    assert best["TunedHyperParameters"] == sent
    assert aws.job(best["TrainingJobName"])["HyperParameters"].items() >= sent.items()
    seen, _ = aws.log(best["TrainingJobName"])
    assert json.loads(seen).items() >= {**sent, "fixed": "1"}.items()
