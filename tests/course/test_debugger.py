"""Debugger in the SDK's shapes: what a job is asked, and what its rules said."""

import json

import pytest
from sagemaker.core.shapes import (
    CollectionConfiguration,
    DebugHookConfig,
    DebugRuleConfiguration,
    DebugRuleEvaluationStatus,
)

from course import debugger
from debugger import hookconfig


def test_the_hook_as_json_is_what_the_script_takes():
    made = [
        CollectionConfiguration(
            collection_name="losses", collection_parameters={"train.save_interval": "3"}
        ),
        CollectionConfiguration(
            collection_name="mine", collection_parameters={"include_regex": ".*Loss"}
        ),
    ]
    hook = DebugHookConfig(s3_output_path="s3://b/debug", collection_configurations=made)
    parsed = hookconfig.parse(debugger.as_json(hook))
    assert parsed == {
        "CollectionConfigurations": [
            {"CollectionName": "losses", "CollectionParameters": {"train.save_interval": "3"}},
            {"CollectionName": "mine", "CollectionParameters": {"include_regex": ".*Loss"}},
        ]
    }
    assert len(json.dumps(parsed)) < 2500  # the longest hyperparameter


def test_a_rule_as_request():
    rule = DebugRuleConfiguration(
        rule_configuration_name="mine",
        rule_evaluator_image="i",
        rule_parameters={"rule_to_invoke": "Overfit", "patience": "2"},
    )
    assert debugger.as_request(rule) == {
        "RuleConfigurationName": "mine",
        "RuleParameters": {"rule_to_invoke": "Overfit", "patience": "2"},
    }


def status(name, text, details="d"):
    return DebugRuleEvaluationStatus(
        rule_configuration_name=name, rule_evaluation_status=text, status_details=details
    )


@pytest.mark.parametrize("under_way", ["InProgress", "Stopping"])
def test_statuses_are_final_when_no_rule_is_under_way(under_way):
    found = [status("a", "NoIssuesFound", "none"), status("b", under_way)]
    assert debugger.final(found) is None
    table = debugger.final([found[0], status("b", "IssuesFound", "loss at step 3")])
    assert list(table.index) == ["a", "b"]
    assert list(table.columns) == ["status", "details"]
    assert list(table.loc["b"]) == ["IssuesFound", "loss at step 3"]
