"""When a tuning job is over, besides having started all its training jobs."""

from __future__ import annotations

import math

from local_sagemaker.core.errors import invalid

ATTEMPTS = 5  # SageMaker gives up after so many jobs without a single objective
IMPROVEMENT = 0.01  # AWS: better by 1% of the best objective so far, or it is no improvement


def check(config: dict) -> None:
    """Refuse the criterion that is AWS's own secret.

    Raises:
        ApiError: ValidationException.
    """
    criteria = config.get("TuningJobCompletionCriteria", {})
    if criteria.get("ConvergenceDetected", {}).get("CompleteOnConvergence") == "Enabled":
        raise invalid(
            "ConvergenceDetected.CompleteOnConvergence: local_sagemaker cannot tell convergence "
            "as AWS does; use BestObjectiveNotImproving or TargetObjectiveMetricValue"
        )


def is_better(value: float, than: float, goal: str) -> bool:
    return value > than if goal == "Maximize" else value < than


def jobs_not_improving(objectives: list[float], goal: str) -> int:
    """How many jobs have ended since the last one that improved the best objective by 1%.

    Args:
        objectives: final objectives, in the order in which their jobs ended.
    """
    best, count = None, 0
    for value in objectives:
        gain = math.inf if best is None else value - best if goal == "Maximize" else best - value
        count = 0 if gain > 0 and gain >= abs(best or 0) * IMPROVEMENT else count + 1
        best = value if gain > 0 else best
    return count


def is_reached(config: dict, objectives: list[float], goal: str, seconds: float) -> bool:
    """Whether a completion criterion or the time limit of `config` ends the tuning job.

    Args:
        objectives: final objectives, in the order in which their jobs ended.
        seconds: since the tuning job began.
    """
    if seconds >= config["ResourceLimits"].get("MaxRuntimeInSeconds", math.inf):
        return True
    criteria = config.get("TuningJobCompletionCriteria", {})
    target = criteria.get("TargetObjectiveMetricValue")
    if target is not None and any(v == target or is_better(v, target, goal) for v in objectives):
        return True
    limit = criteria.get("BestObjectiveNotImproving", {}).get("MaxNumberOfTrainingJobsNotImproving")
    return limit is not None and jobs_not_improving(objectives, goal) >= limit


def is_hopeless(summaries: list[dict]) -> bool:
    """Five jobs failed and none completed, or five completed and none printed the objective."""
    statuses = [s["TrainingJobStatus"] for s in summaries]
    if any(s["ObjectiveStatus"] == "Succeeded" for s in summaries):
        return False
    completed, failed = statuses.count("Completed"), statuses.count("Failed")
    return completed >= ATTEMPTS or (completed == 0 and failed >= ATTEMPTS)
