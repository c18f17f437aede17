"""Rules on a trial, step by step as it grows, or all at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from smdebug.exceptions import RuleEvaluationConditionMet

from open_debugger.results import Results, RuleResult
from open_debugger.tensors import catalogue, custom
from open_debugger.tensors.catalogue import RuleError
from open_debugger.tensors.rule import TensorRule
from open_debugger.tensors.trials import Trial, TrialError, open_trial

RUNNING = ("InProgress", "IssuesFound")


@dataclass
class _Run:
    """A rule on its way."""

    result: RuleResult
    rule: TensorRule | None = None


class Evaluation:
    """Some rules on one trial: every tensor is read once, whatever their number."""

    def __init__(self, configurations: Iterable[Mapping]) -> None:
        """`configurations` are SageMaker's DebugRuleConfigurations."""
        self.trial: Trial | None = None
        self.configurations = list(configurations)
        self.runs = [_Run(_new_result(each)) for each in self.configurations]
        self.done = -1  # the last global step

    @property
    def results(self) -> Results:
        return Results([run.result for run in self.runs])

    def begin(self, trial: Trial) -> None:
        """Make the rules; what is wrong with one is its own Error."""
        self.trial = trial
        trial.remember(True)  # for the next rule; after a step, `forget` lets go
        for run, configuration in zip(self.runs, self.configurations, strict=True):
            given = configuration.get("RuleParameters", {})
            try:
                if custom.SOURCE in given:
                    sent = catalogue.SENT_ALONG
                    run.result.parameters = {k: v for k, v in given.items() if k not in sent}
                    run.rule = custom.make(trial, given, str(given.get("action_json", "")))
                else:
                    run.result.parameters = catalogue.values(run.result.rule, given)
                    run.rule = catalogue.make(run.result.rule, trial, given)
            except ValueError as error:
                _fail(run, str(error))

    def fail(self, reason: str) -> None:
        """No rule can go on."""
        for run in self.runs:
            if run.result.status in RUNNING:
                _fail(run, reason)

    def advance(self, ended: bool = False) -> None:
        """Evaluate the steps that are new.

        Raises:
            TrialError: what was saved cannot be read.
        """
        for step in self.trial.look(ended):
            if step > self.done:
                for run in self.runs:
                    _invoke(run, step)
                self.trial.forget(step)
                self.done = step

    def finish(self) -> Results:
        """Evaluate what is left; the results are final."""
        self.advance(ended=True)
        self.trial.remember(False)
        for run in self.runs:
            if run.result.status in RUNNING:
                _finish(run, self.done)
        return self.results


def evaluate(
    tensors: str | Path | Trial, rules: Iterable[str | tuple | Mapping | SDKRule]
) -> Results:
    """Evaluate rules on the tensors in a folder, below an ``s3://`` address, or of an open trial.

    Args:
        rules: each a rule's name, a pair of its name and its parameters, a `Rule` of SageMaker's
            SDK, or a DebugRuleConfiguration: ``{"RuleConfigurationName": ...,
            "RuleParameters": {"rule_to_invoke": ..., ...}}``.

    Raises:
        TrialError: there are no tensors, or they are damaged.
        RuleError: two rules have the same name.
    """
    configurations = [_configuration(rule) for rule in rules]
    names = [each["RuleConfigurationName"] for each in configurations]
    if twice := [name for name in names if names.count(name) > 1]:
        raise RuleError(f"two rules are called '{twice[0]}': give each a RuleConfigurationName")
    evaluation = Evaluation(configurations)
    is_open = isinstance(tensors, Trial)
    evaluation.begin(tensors if is_open else open_trial(tensors, passing=True))
    return evaluation.finish()


class SDKRule(Protocol):
    """What is taken of a `Rule` of SageMaker's SDK."""

    def to_debugger_rule_config_dict(self) -> Mapping: ...


def _configuration(rule: str | tuple | Mapping | SDKRule) -> Mapping:
    if isinstance(rule, Mapping):
        return rule
    if hasattr(rule, "to_debugger_rule_config_dict"):
        return rule.to_debugger_rule_config_dict()
    name, parameters = (rule, {}) if isinstance(rule, str) else rule
    return {"RuleConfigurationName": name, "RuleParameters": {"rule_to_invoke": name, **parameters}}


def _new_result(configuration: Mapping) -> RuleResult:
    name = configuration["RuleConfigurationName"]
    rule = configuration.get("RuleParameters", {}).get("rule_to_invoke", name)
    return RuleResult(name, rule, "InProgress", "no step was saved yet")


def _fail(run: _Run, reason: str) -> None:
    run.rule, run.result.status, run.result.details = None, "Error", reason


def _invoke(run: _Run, step: int) -> None:
    if run.rule is None:
        return
    try:
        run.rule.invoke(step)
    except RuleEvaluationConditionMet:
        pass
    except TrialError as error:
        _fail(run, str(error))
        return
    except Exception as error:
        _fail(run, f"at global step {step}: {type(error).__name__}: {error}")
        return
    _note(run, step)


def _finish(run: _Run, step: int) -> None:
    try:
        run.rule.end()
        _note(run, step)
        reason = run.rule.missing()
    except Exception as error:
        reason = f"at the end: {type(error).__name__}: {error}"
    if reason:
        _fail(run, reason)
    elif run.result.status == "InProgress":
        run.result.status = "NoIssuesFound"
        run.result.details = run.rule.unjudged() or run.result.details
    if run.rule and (blind := run.rule.unmatched()):
        run.result.details = f"{run.result.details.removesuffix('.')}. {blind}"


def _note(run: _Run, step: int) -> None:
    """What the rule says after a global step."""
    result, report = run.result, run.rule.report
    result.verdicts, result.violations = run.rule.verdicts, report["Violations"]
    result.datapoints = report["Datapoints"]
    if result.violations:
        result.status = "IssuesFound"
        result.step = step if result.step is None else result.step
        result.details = " ".join([run.rule.summary(), *run.rule.notes])
    else:
        result.details = f"nothing found in {result.datapoints} tensors"
