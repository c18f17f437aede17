"""What the training jobs of a tuning job made: summaries, counters, the best."""

from __future__ import annotations

from local_sagemaker.core.kinds import ENDED, TRAINING_JOB
from local_sagemaker.core.store import Store
from local_sagemaker.tuning.definitions import OBJECTIVE

MEMBERS = (
    "TrainingJobName",
    "TrainingJobArn",
    "CreationTime",
    "TrainingStartTime",
    "TrainingEndTime",
    "TrainingJobStatus",
    "FailureReason",
)


def all_of(store: Store, job: dict) -> list[dict]:
    """A summary of each training job of a tuning job that is still there, oldest first."""
    found = [one(store, job, *entry) for entry in job["Jobs"]]
    return [summary for summary in found if summary]


def one(
    store: Store, job: dict, name: str, tuned: dict[str, str], definition: str | None = None
) -> dict | None:
    """The summary of one training job with its tuned values and final objective.

    Returns None if the training job was deleted.
    """
    described = store.get(TRAINING_JOB.stored, name)
    if described is None:
        return None
    summary = {key: described[key] for key in MEMBERS if key in described}
    summary |= {"TunedHyperParameters": tuned, "ObjectiveStatus": "Pending"}
    if definition:
        summary["TrainingJobDefinitionName"] = definition
    status = described["TrainingJobStatus"]
    if status in ENDED:
        objective = _objective(job, definition)
        metrics = {m["MetricName"]: m["Value"] for m in described["FinalMetricDataList"]}
        found = objective["MetricName"] in metrics and status != "Failed"
        summary["ObjectiveStatus"] = "Succeeded" if found else "Failed"
        if found:
            value = metrics[objective["MetricName"]]
            summary[f"Final{OBJECTIVE}Metric"] = {**objective, "Value": value}
    return summary


def _objective(job: dict, definition: str | None) -> dict:
    config = job["HyperParameterTuningJobConfig"]
    for item in job.get("TrainingJobDefinitions", [job.get("TrainingJobDefinition")]):
        if item.get("DefinitionName") == definition:
            return item.get("TuningObjective") or config[OBJECTIVE]
    raise KeyError(definition)


def objective(summary: dict) -> float | None:
    """The final objective of a training job that has one."""
    metric = summary.get(f"Final{OBJECTIVE}Metric")
    return metric["Value"] if metric else None


def objectives(summaries: list[dict]) -> list[float]:
    """All final objectives, in the order in which their jobs ended."""
    found = [s for s in summaries if objective(s) is not None]
    return [objective(s) for s in sorted(found, key=lambda s: s["TrainingEndTime"])]


def best(summaries: list[dict], goal: str) -> dict | None:
    """The training job with the best final objective."""
    found = [s for s in summaries if objective(s) is not None]
    return (max if goal == "Maximize" else min)(found, key=objective, default=None)


def counters(summaries: list[dict]) -> dict:
    """TrainingJobStatusCounters and ObjectiveStatusCounters."""
    names = ["Completed", "InProgress", "RetryableError", "NonRetryableError", "Stopped"]
    by_status = dict.fromkeys(names, 0)
    by_objective = dict.fromkeys(["Succeeded", "Pending", "Failed"], 0)
    for summary in summaries:
        by_status[_counter(summary)] += 1
        by_objective[summary["ObjectiveStatus"]] += 1
    return {"TrainingJobStatusCounters": by_status, "ObjectiveStatusCounters": by_objective}


def _counter(summary: dict) -> str:
    status = summary["TrainingJobStatus"]
    if status == "Failed":  # AWS: only an internal service error can be tried again
        internal = summary.get("FailureReason", "").startswith("InternalServerError")
        return "RetryableError" if internal else "NonRetryableError"
    return status if status in ("Completed", "Stopped") else "InProgress"
