"""The statuses of a training job's Debugger rules, as DescribeTrainingJob tells them."""

from __future__ import annotations

import re
import secrets
import time

from local_sagemaker.core.errors import REASON_LENGTH
from local_sagemaker.core.kinds import TRAINING_JOB, arn
from local_sagemaker.core.store import Store
from local_sagemaker.training.rules.kinds import KINDS, RuleKind

# AWS's own images, of the built-in rules and for rules of one's own, in any registry.
EVALUATOR_IMAGE = re.compile(r".+/sagemaker-debugger-(rules|rule-evaluator)(:[^@]+)?(@.+)?")


def first(request: dict) -> dict:
    """The members of a new job's description that tell of its rules."""
    return {
        kind.statuses: [_first(request, kind, rule) for rule in request[kind.configurations]]
        for kind in KINDS
        if kind.configurations in request
    }


def _first(request: dict, kind: RuleKind, rule: dict) -> dict:
    name, why_not = rule["RuleConfigurationName"], _why_not(request, kind, rule)
    status = _status(name, "Error" if why_not else "InProgress", why_not)
    return {**status, "RuleEvaluationJobArn": _arn(request["TrainingJobName"], name)}


def _why_not(request: dict, kind: RuleKind, rule: dict) -> str | None:
    """Why a rule cannot be evaluated; None if it can."""
    if not EVALUATOR_IMAGE.fullmatch(image := rule["RuleEvaluatorImage"]):
        return (
            f"RuleEvaluatorImage '{image}' has no local runtime: local_sagemaker evaluates the "
            "rules of AWS's images .../sagemaker-debugger-rules and ...-rule-evaluator"
        )
    return kind.lacks(request)


def _arn(job: str, rule: str) -> str:
    """The address of a rule's processing job, whose name AWS makes of both names."""
    name = f"{job[:26]}-{re.sub('[^a-z0-9]+', '-', rule.lower())[:26]}-{secrets.token_hex(4)}"
    return arn("sagemaker", f"processing-job/{name}")


def _status(rule: str, status: str, details: str | None = None) -> dict:
    told = {"StatusDetails": details[:REASON_LENGTH]} if details else {}
    return {
        "RuleConfigurationName": rule,
        "RuleEvaluationStatus": status,
        "LastModifiedTime": time.time(),
        **told,
    }


def in_progress(job: dict, kind: RuleKind) -> list[str]:
    """The names of a job's rules of one kind that are being evaluated."""
    return [
        status["RuleConfigurationName"]
        for status in job.get(kind.statuses, [])
        if status["RuleEvaluationStatus"] == "InProgress"
    ]


def record(
    store: Store, kind: RuleKind, job: str, rule: str, status: str, details: str | None = None
) -> None:
    """Keep a rule's new status; a job that was deleted meanwhile has none."""
    with store.lock:
        if (description := store.get(TRAINING_JOB.stored, job)) is None:
            return
        changed = _status(rule, status, details)
        statuses = [
            each | changed if each["RuleConfigurationName"] == rule else each
            for each in description[kind.statuses]
        ]
        store.update(TRAINING_JOB.stored, job, **{kind.statuses: statuses})
