"""A `ModelTrainer` that takes Debugger's arguments, which the one of SDK v3 has not.

The arguments have the names that they had in SDK v2's estimators, and the SDK's own classes
(`sagemaker.core.debugger`). Where SageMaker Debugger is open to the account (``managed``), they go
into the job's request. Elsewhere (``self``) the training script gets them as hyperparameters: it
saves tensors and samples among the job's checkpoints, and `verdicts` evaluates the rules.
"""

from __future__ import annotations

import copy
import json
from typing import Any

from pydantic import Field
from sagemaker.core import shapes
from sagemaker.core.debugger import DebuggerHookConfig, ProfilerConfig, ProfilerRule, Rule
from sagemaker.train import ModelTrainer  # noqa: TID251 - a trainer that students see

from course.account import images
from course.debugger.rules import closed_parameters

REQUIREMENTS = "requirements-debugger.txt"
NO_DEPENDENCIES = {"PIP_NO_DEPS": "1"}  # smdebug's old pins would replace what the image holds
DEFAULT_INTERVAL_MS = 500


class DebuggedTrainer(ModelTrainer):
    """A `ModelTrainer` whose jobs save tensors and are watched by rules.

    Attributes:
        workspace: a `course.Workspace`; its `debugger` decides between ``managed`` and ``self``.
        debugger_hook_config: which tensors the job saves, and how often.
        rules: `Rule` and `ProfilerRule` objects of the SDK.
        profiler_config: how often the machine is sampled; None: not at all.

    A job's `source_code` installs `requirements-debugger.txt`, whatever it names. On spot
    instances, each job gets a `checkpoint_config` of its own, unless the trainer has one.
    """

    workspace: Any
    debugger_hook_config: DebuggerHookConfig | None = None
    rules: list[Rule | ProfilerRule] = Field(default_factory=list)
    profiler_config: ProfilerConfig | None = None

    def _create_training_job_args(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """The request that `train` sends."""
        given = {name: getattr(self, name) for name in ("hyperparameters", "environment")}
        given["source_code"] = self.source_code
        try:
            self.environment = {**(self.environment or {}), **NO_DEPENDENCIES}
            self.source_code = _requiring(self.source_code, REQUIREMENTS)
            if not self._managed:
                self.hyperparameters = {**(self.hyperparameters or {}), **self._options()}
            request = super()._create_training_job_args(*args, **kwargs)
        finally:
            for name, value in given.items():
                setattr(self, name, value)
        name = request["training_job_name"]
        if not self._managed:
            root = self._root(self.debugger_hook_config or self.profiler_config)
            return request | _checkpoints(root, name)
        if self.workspace.spot and self.checkpoint_config is None:
            request |= _checkpoints(self.workspace.uri("checkpoints"), name)
        return request | self._members(name)

    @property
    def _managed(self) -> bool:
        return self.workspace.debugger == "managed"

    def _root(self, config: DebuggerHookConfig | ProfilerConfig | None) -> str:
        return (config and config.s3_output_path) or self.workspace.uri("debug")

    def _members(self, job: str) -> dict[str, Any]:
        """What SageMaker Debugger is asked for, in the request's members."""
        members: dict[str, Any] = {}
        if hook := self.debugger_hook_config:
            more = {"hook_parameters": _strings(hook.hook_parameters)}
            members["debug_hook_config"] = shapes.DebugHookConfig(
                s3_output_path=self._root(hook),
                **(more if hook.hook_parameters else {}),
                collection_configurations=[
                    shapes.CollectionConfiguration(
                        collection_name=each.name,
                        collection_parameters=_strings(each.parameters) or {},
                    )
                    for each in hook.collection_configs or ()
                ],
            )
        if config := self.profiler_config:
            members["profiler_config"] = shapes.ProfilerConfig(
                s3_output_path=self._root(config),
                profiling_interval_in_milliseconds=_interval(config),
            )
        if asked := self.requests(Rule, job):
            made = [shapes.DebugRuleConfiguration(**each) for each in map(_members_of, asked)]
            members["debug_rule_configurations"] = made
        if asked := self.requests(ProfilerRule, job):
            made = [shapes.ProfilerRuleConfiguration(**each) for each in map(_members_of, asked)]
            members["profiler_rule_configurations"] = made
        return members

    def requests(self, kind: type, job: str = "") -> list[dict[str, Any]]:
        """The rules of a kind as the API has them; actions mean the training job `job`."""
        wanted = [copy.deepcopy(rule) for rule in self.rules if isinstance(rule, kind)]
        for rule in wanted:
            rule.image_uri = images.rules(self.workspace.region)
            if kind is Rule:
                rule.prepare_actions(job) if job else rule.rule_parameters.pop("action_json", None)
                if self.workspace.mode == "aws" and self._managed:  # AWS's own rules
                    rule.rule_parameters = closed_parameters(rule.rule_parameters)
        return [_request(rule) for rule in wanted]

    def _options(self) -> dict[str, Any]:
        """The same as hyperparameters of `train.py`."""
        options: dict[str, Any] = {}
        if hook := self.debugger_hook_config:
            collections = [
                {
                    "CollectionName": each.name,
                    "CollectionParameters": _strings(each.parameters) or {},
                }
                for each in hook.collection_configs or ()
            ]
            config: dict[str, Any] = {"CollectionConfigurations": collections}
            if hook.hook_parameters:
                config["HookParameters"] = _strings(hook.hook_parameters)
            options["debug-config"] = json.dumps(config)
        if config := self.profiler_config:
            options["system-metrics"] = _interval(config)
        return options


def _checkpoints(root: str, job: str) -> dict[str, Any]:
    """A folder of its own for each job: a shared one would be restored into the next job."""
    return {"checkpoint_config": shapes.CheckpointConfig(s3_uri=f"{root}/{job}")}


def _requiring(source: Any, requirements: str) -> Any:
    return source and source.model_copy(update={"requirements": requirements})


def _interval(config: ProfilerConfig) -> int:
    return int(config.system_monitor_interval_millis or DEFAULT_INTERVAL_MS)


def _strings(values: dict[str, Any] | None) -> dict[str, str] | None:
    return {key: str(value) for key, value in values.items()} if values else None


def _request(rule: Rule | ProfilerRule) -> dict[str, Any]:
    if isinstance(rule, Rule):
        found = rule.to_debugger_rule_config_dict()
    else:
        found = rule.to_profiler_rule_config_dict()
    return {**found, "RuleParameters": _strings(found.get("RuleParameters")) or {}}


def _members_of(request: dict[str, Any]) -> dict[str, Any]:
    """A rule's request by the names that the SDK's shapes have."""
    names = {
        "RuleConfigurationName": "rule_configuration_name",
        "RuleEvaluatorImage": "rule_evaluator_image",
        "RuleParameters": "rule_parameters",
        "LocalPath": "local_path",
        "S3OutputPath": "s3_output_path",
        "InstanceType": "instance_type",
        "VolumeSizeInGB": "volume_size_in_gb",
    }
    return {names[key]: value for key, value in request.items()}
