"""The statuses of a training job's Debugger rules, as DescribeTrainingJob tells them."""

from __future__ import annotations

import re
import secrets
import time

from local_sagemaker import ACCOUNT, REGION
from local_sagemaker.statuses import KIND
from local_sagemaker.store import Store

MEMBER = "DebugRuleEvaluationStatuses"
DETAILS_LENGTH = 1024  # characters of StatusDetails that the API takes
# AWS's own images, of the built-in rules and for rules of one's own, in any registry.
EVALUATOR_IMAGE = re.compile(r".+/sagemaker-debugger-(rules|rule-evaluator)(:[^@]+)?(@.+)?")


def first(request: dict) -> dict:
    """The members of a new job's description that tell of its rules."""
    members = {}
    if "DebugRuleConfigurations" in request:
        rules = request["DebugRuleConfigurations"]
        members[MEMBER] = [_first_of_debug_rule(request, rule) for rule in rules]
    if "ProfilerRuleConfigurations" in request:
        text = "local_sagemaker does not evaluate profiler rules"
        rules = request["ProfilerRuleConfigurations"]
        members["ProfilerRuleEvaluationStatuses"] = [
            _status(rule["RuleConfigurationName"], "Error", text) for rule in rules
        ]
    return members


def _first_of_debug_rule(request: dict, rule: dict) -> dict:
    name, image = rule["RuleConfigurationName"], rule["RuleEvaluatorImage"]
    if not EVALUATOR_IMAGE.fullmatch(image):
        text = f"RuleEvaluatorImage '{image}' has no local runtime: local_sagemaker evaluates the "
        text += "rules of AWS's images .../sagemaker-debugger-rules and ...-rule-evaluator"
        return _status(name, "Error", text)
    if "DebugHookConfig" not in request:
        text = "the training job has no DebugHookConfig: its tensors are stored nowhere"
        return _status(name, "Error", text)
    arn = _arn(request["TrainingJobName"], name)
    return {**_status(name, "InProgress"), "RuleEvaluationJobArn": arn}


def _arn(job: str, rule: str) -> str:
    """The address of a rule's processing job, whose name AWS makes of both names."""
    name = f"{job[:26]}-{re.sub('[^a-z0-9]+', '-', rule.lower())[:26]}-{secrets.token_hex(4)}"
    return f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:processing-job/{name}"


def _status(rule: str, status: str, details: str | None = None) -> dict:
    told = {"StatusDetails": details[:DETAILS_LENGTH]} if details else {}
    return {
        "RuleConfigurationName": rule,
        "RuleEvaluationStatus": status,
        "LastModifiedTime": time.time(),
        **told,
    }


def in_progress(job: dict) -> list[str]:
    """The names of a job's rules that are being evaluated."""
    return [
        status["RuleConfigurationName"]
        for status in job.get(MEMBER, [])
        if status["RuleEvaluationStatus"] == "InProgress"
    ]


def record(store: Store, job: str, rule: str, status: str, details: str | None = None) -> None:
    """Keep a rule's new status; a job that was deleted meanwhile has none."""
    with store.lock:
        if (description := store.get(KIND, job)) is None:
            return
        changed = _status(rule, status, details)
        statuses = [
            each | changed if each["RuleConfigurationName"] == rule else each
            for each in description[MEMBER]
        ]
        store.update(KIND, job, **{MEMBER: statuses})
