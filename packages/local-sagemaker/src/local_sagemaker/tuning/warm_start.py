"""Warm start: what earlier tuning jobs found, for a new one to begin with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from local_sagemaker.core.errors import invalid
from local_sagemaker.core.kinds import ENDED, TRAINING_JOB, TUNING_JOB
from local_sagemaker.core.store import Store
from local_sagemaker.tuning import definitions, summaries
from local_sagemaker.tuning.definitions import OBJECTIVE_PARAMETER, Definition

if TYPE_CHECKING:
    from local_sagemaker.tuning.job import Algorithm


def learn(store: Store, request: dict, algorithms: list[Algorithm]) -> None:
    """Give the searches of a new tuning job what its parents found, each definition its own.

    Raises:
        ApiError: ValidationException for a parent that is not there, has not ended or does not fit.
    """
    for name in _parent_names(request):
        parent = store.get(TUNING_JOB.stored, name)
        _check_parent(name, parent)
        old = definitions.of(definitions.completed(parent))
        pairs = _pairs([algorithm.definition for algorithm in algorithms], name, old)
        for algorithm, before in zip(algorithms, pairs, strict=True):
            for summary in summaries.all_of(store, parent):
                value = summaries.objective(summary)
                if value is not None and summary.get("TrainingJobDefinitionName") == before.name:
                    trained = store.get(TRAINING_JOB.stored, summary["TrainingJobName"])
                    algorithm.search.learn(trained["HyperParameters"], value)


def overall_best(store: Store, job: dict, own: list[dict], goal: str) -> dict[str, dict | None]:
    """OverallBestTrainingJob, the best of a job and its parents, where Describe has that member.

    Args:
        own: the summaries of the job's own training jobs.
        goal: ``Maximize`` or ``Minimize``.
    """
    if job.get("WarmStartConfig", {}).get("WarmStartType") != "IdenticalDataAndAlgorithm":
        return {}
    found = [{**s, "TuningJobName": job["HyperParameterTuningJobName"]} for s in own]
    for name in _parent_names(job):
        if parent := store.get(TUNING_JOB.stored, name):  # it may have been deleted since
            of_parent = summaries.all_of(store, parent)
            found += [{**s, "TuningJobName": name} for s in of_parent]
    return {"OverallBestTrainingJob": summaries.best(found, goal)}


def _parent_names(request: dict) -> list[str]:
    """The names of a tuning job's parents; none without a WarmStartConfig.

    Raises:
        ApiError: ValidationException, if one stands there twice or has no name.
    """
    parents = request.get("WarmStartConfig", {}).get("ParentHyperParameterTuningJobs", [])
    names = [parent.get("HyperParameterTuningJobName") for parent in parents]
    if None in names or len(set(names)) < len(names):
        raise invalid(f"WarmStartConfig needs the names of different parent jobs, not {names}")
    return names


def _check_parent(name: str, parent: dict | None) -> None:
    """A parent is there and has ended.

    Raises:
        ApiError: ValidationException, naming the parent.
    """
    if parent is None:
        raise invalid(f"WarmStartConfig: there is no hyperparameter tuning job '{name}'")
    status = parent["HyperParameterTuningJobStatus"]
    if status not in ENDED:
        raise invalid(
            f"WarmStartConfig: the parent '{name}' is {status}; it must be Completed, Stopped or "
            "Failed"
        )


def _pairs(children: list[Definition], name: str, parents: list[Definition]) -> list[Definition]:
    """For each new definition the one of the parent `name` that it goes on with.

    Raises:
        ApiError: ValidationException, if there is none or it does not fit.
    """
    found = parents
    if len(children) > 1 or len(parents) > 1:
        by_name = {parent.name: parent for parent in parents}
        if missing := [child.name for child in children if child.name not in by_name]:
            raise invalid(f"WarmStartConfig: the parent '{name}' has no definitions {missing}")
        found = [by_name[child.name] for child in children]
    for child, parent in zip(children, found, strict=True):
        _check_fit(child, name, parent)
    return found


def _check_fit(child: Definition, name: str, parent: Definition) -> None:
    """AWS's restrictions on what may change from a parent's definition to the new one.

    The objective stays, the number of hyperparameters stays, and each that is tuned in both keeps
    its type ("Warm Start Tuning Restrictions" of AWS's developer guide).
    """
    if child.objective != parent.objective:
        raise invalid(
            f"WarmStartConfig: the objective {child.objective} differs from {parent.objective} of "
            f"the parent '{name}'"
        )
    new, old = _hyperparameters(child), _hyperparameters(parent)
    if len(new) != len(old):
        raise invalid(
            f"WarmStartConfig: static and tuned together, {len(new)} hyperparameters {sorted(new)} "
            f"are not as many as the {len(old)} {sorted(old)} of the parent '{name}'"
        )
    for key in set(child.ranges) & set(parent.ranges):
        kinds = child.ranges[key]["Type"], parent.ranges[key]["Type"]
        if kinds[0] != kinds[1]:
            raise invalid(
                f"WarmStartConfig: the hyperparameter '{key}' is {kinds[0]}, and {kinds[1]} in "
                f"the parent '{name}'"
            )


def _hyperparameters(definition: Definition) -> set[str]:
    static = definition.members["StaticHyperParameters"]
    return (set(static) | set(definition.ranges)) - {OBJECTIVE_PARAMETER}
