"""What a tuning job shall try: its training job definitions, each with objective and ranges."""

from __future__ import annotations

from dataclasses import dataclass

from local_sagemaker.core.errors import invalid
from local_sagemaker.training.operations import check_definition
from local_sagemaker.tuning import ranges

OBJECTIVE = "HyperParameterTuningJobObjective"
OBJECTIVE_PARAMETER = "_tuning_objective_metric"  # SageMaker tells the script what is tuned
NOT_OF_A_TRAINING_JOB = {
    "DefinitionName",
    "TuningObjective",
    "HyperParameterRanges",
    "StaticHyperParameters",
    "HyperParameterTuningResourceConfig",
}
# What AWS tells even of a definition that did not ask for it.
FLAGS = {
    "EnableNetworkIsolation": False,
    "EnableInterContainerTrafficEncryption": False,
    "EnableManagedSpotTraining": False,
}
MAX_HYPERPARAMETERS = 100  # static and tuned together, as in CreateTrainingJob


@dataclass(frozen=True)
class Definition:
    """One algorithm to tune: `name` is None where the request has a single definition."""

    name: str | None
    members: dict
    objective: dict
    ranges: dict[str, dict]

    @property
    def regex(self) -> str:
        """The expression by which the objective is found in the log."""
        metrics = self.members["AlgorithmSpecification"]["MetricDefinitions"]
        return next(m["Regex"] for m in metrics if m["Name"] == self.objective["MetricName"])

    def training_request(self, name: str, tuned: dict[str, str], tags: list[dict]) -> dict:
        """The CreateTrainingJob request for one choice of values."""
        request = {k: v for k, v in self.members.items() if k not in NOT_OF_A_TRAINING_JOB}
        request["TrainingJobName"] = name
        request["HyperParameters"] = {**self.members["StaticHyperParameters"], **tuned}
        return request | ({"Tags": tags} if tags else {})


def completed(request: dict) -> dict:
    """The request with the members that SageMaker fills in, as Describe shows them.

    Raises:
        ApiError: ValidationException, if objective, ranges or definitions are not as AWS wants.
    """
    config = {"TrainingJobEarlyStoppingType": "Off", **request["HyperParameterTuningJobConfig"]}
    if "ParameterRanges" in config:
        config["ParameterRanges"] = ranges.completed(config["ParameterRanges"])
    request = {**request, "HyperParameterTuningJobConfig": config}
    if ("TrainingJobDefinition" in request) == ("TrainingJobDefinitions" in request):
        raise invalid("Provide either a TrainingJobDefinition or TrainingJobDefinitions")
    if "TrainingJobDefinition" in request:
        member = _completed(request["TrainingJobDefinition"], config.get(OBJECTIVE))
        return {**request, "TrainingJobDefinition": member}
    _check_several(config, request["TrainingJobDefinitions"])
    members = [_completed(item) for item in request["TrainingJobDefinitions"]]
    return {**request, "TrainingJobDefinitions": members}


def of(request: dict) -> list[Definition]:
    """The definitions of a completed request.

    Raises:
        ApiError: ValidationException for ranges that cannot be searched.
    """
    config = request["HyperParameterTuningJobConfig"]
    if "TrainingJobDefinitions" in request:
        return [
            Definition(
                item["DefinitionName"],
                item,
                item["TuningObjective"],
                ranges.of(item["HyperParameterRanges"]),
            )
            for item in request["TrainingJobDefinitions"]
        ]
    item = request["TrainingJobDefinition"]
    objective = item.get("TuningObjective") or config[OBJECTIVE]
    found = ranges.of(item.get("HyperParameterRanges") or config.get("ParameterRanges", {}))
    return [Definition(item.get("DefinitionName"), item, objective, found)]


def check(definition: Definition) -> None:
    """Refuse what could not be trained here, before anything is made.

    Raises:
        ApiError: ValidationException, naming the member and the way out.
    """
    metrics = definition.members["AlgorithmSpecification"].get("MetricDefinitions", [])
    objective = definition.objective["MetricName"]
    if objective not in {metric["Name"] for metric in metrics}:
        raise invalid(
            "A metric is required for this hyperparameter tuning job objective. Provide a metric "
            f"in the metric definitions: '{objective}' is not among them"
        )
    static = definition.members["StaticHyperParameters"]
    if twice := sorted(set(static) & set(definition.ranges)):
        raise invalid(f"The hyperparameters {twice} are both static and tuned")
    if len(static) + len(definition.ranges) > MAX_HYPERPARAMETERS:
        raise invalid(
            f"{len(static) + len(definition.ranges)} hyperparameters, static and tuned and "
            f"{OBJECTIVE_PARAMETER}, are more than {MAX_HYPERPARAMETERS}"
        )
    check_definition(definition.training_request("check", {}, []))


def _completed(item: dict, objective: dict | None = None) -> dict:
    objective = item.get("TuningObjective") or objective
    if objective is None:
        raise invalid(f"HyperParameterTuningJobConfig needs a {OBJECTIVE}")
    if "ResourceConfig" not in item and "HyperParameterTuningResourceConfig" not in item:
        raise invalid("Provide a ResourceConfig or a HyperParameterTuningResourceConfig")
    static = item.get("StaticHyperParameters", {})
    told = {**static, OBJECTIVE_PARAMETER: objective["MetricName"]}
    item = {
        **FLAGS,
        **item,
        "StaticHyperParameters": told,
        "OutputDataConfig": {"KmsKeyId": "", **item["OutputDataConfig"]},  # SDK v2 reads the key
        # Shown even where the request has the other member: SDK v2's attach reads it here.
        "ResourceConfig": _resources(item),
    }
    if "HyperParameterRanges" in item:
        item["HyperParameterRanges"] = ranges.completed(item["HyperParameterRanges"])
    return item


def _resources(members: dict) -> dict:
    """The ResourceConfig of a definition, which may have it in either of two members.

    Raises:
        ApiError: ValidationException, if it names several kinds of instances to choose from.
    """
    tuned = members.get("HyperParameterTuningResourceConfig", {})
    if "InstanceConfigs" in tuned:
        raise invalid(
            "HyperParameterTuningResourceConfig.InstanceConfigs: local_sagemaker does not choose "
            "between kinds of instances; name one InstanceType and InstanceCount"
        )
    wanted = ("InstanceType", "InstanceCount", "VolumeSizeInGB", "VolumeKmsKeyId")
    translated = {name: value for name, value in tuned.items() if name in wanted}
    return members.get("ResourceConfig", translated)


def _check_several(config: dict, items: list[dict]) -> None:
    for member in (OBJECTIVE, "ParameterRanges"):
        if member in config:
            raise invalid(
                f"HyperParameterTuningJobConfig.{member} belongs into each of the "
                "TrainingJobDefinitions when there are several"
            )
    for index, item in enumerate(items, start=1):
        for member in ("DefinitionName", "TuningObjective", "HyperParameterRanges"):
            if member not in item:
                raise invalid(f"TrainingJobDefinitions.{index} needs a {member}")
    names = [item["DefinitionName"] for item in items]
    if len(set(names)) < len(names):
        raise invalid(f"The DefinitionNames must be unique, and {names} are not")
    if len({item["TuningObjective"]["Type"] for item in items}) > 1:
        raise invalid("The objectives of all TrainingJobDefinitions must have the same Type")
