"""SageMaker Debugger in the SDK's shapes: what a job is asked for, and what its rules said."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from sagemaker.core.shapes import (
        DebugHookConfig,
        DebugRuleConfiguration,
        DebugRuleEvaluationStatus,
    )

UNDER_WAY = {"InProgress", "Stopping"}  # of RuleEvaluationStatus


def as_json(hook: DebugHookConfig) -> str:
    """The hook's configuration as ``train.py --debug-config`` takes it."""
    collections = [
        {"CollectionName": each.collection_name, "CollectionParameters": each.collection_parameters}
        for each in hook.collection_configurations
    ]
    return json.dumps({"CollectionConfigurations": collections})


def as_request(rule: DebugRuleConfiguration) -> dict:
    """A rule as the API has it, and as `open_debugger.evaluate` takes it."""
    return {
        "RuleConfigurationName": rule.rule_configuration_name,
        "RuleParameters": rule.rule_parameters,
    }


def final(statuses: Sequence[DebugRuleEvaluationStatus]) -> pd.DataFrame | None:
    """A row a rule with its status and details; None while one of them is being evaluated."""
    if any(each.rule_evaluation_status in UNDER_WAY for each in statuses):
        return None
    rows = {
        each.rule_configuration_name: [each.rule_evaluation_status, str(each.status_details)]
        for each in statuses
    }
    return pd.DataFrame.from_dict(rows, orient="index", columns=["status", "details"])
