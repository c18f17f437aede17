"""Profiler rules on a recording."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from open_debugger.parameters import RuleError
from open_debugger.profiler import catalogue
from open_debugger.profiler.catalogue import PROFILER_RULES, REPORT
from open_debugger.profiler.findings import Finding, Findings
from open_debugger.profiler.recording import Recording


class SDKProfilerRule(Protocol):
    """What is taken of a `ProfilerRule` of SageMaker's SDK."""

    def to_profiler_rule_config_dict(self) -> Mapping: ...


Rules = Iterable[str | tuple | Mapping | SDKProfilerRule]


def evaluate(recording: Recording, rules: Rules | None = None) -> Findings:
    """Evaluate rules on a recording, each for itself: what is wrong with one is its own Error.

    Args:
        rules: each a rule's name, a pair of its name and its parameters, a `ProfilerRule` of
            SageMaker's SDK, or a ProfilerRuleConfiguration: ``{"RuleConfigurationName": ...,
            "RuleParameters": {"rule_to_invoke": ..., ...}}``; None: all that ProfilerReport runs.

    Returns:
        A finding for each rule; after that of ProfilerReport, which sums up, come those of its
        rules but the ones that are given themselves.

    Raises:
        RuleError: two rules have the same name.
    """
    if rules is None:
        return Findings([_judged(recording, name, name, {}) for name in PROFILER_RULES])
    configurations = [_configuration(rule) for rule in rules]
    names = [name for name, _, _ in configurations]
    if twice := [name for name in names if names.count(name) > 1]:
        raise RuleError(f"two rules are called '{twice[0]}': give each a RuleConfigurationName")
    findings: list[Finding] = []
    for name, rule, parameters in configurations:
        if rule == REPORT:
            report = _report(recording, name, parameters)
            findings += [each for each in report if each.name == name or each.name not in names]
        else:
            findings.append(_judged(recording, name, rule, parameters))
    return Findings(findings)


def _configuration(rule: str | tuple | Mapping | SDKProfilerRule) -> tuple[str, str, Mapping]:
    """A rule's RuleConfigurationName, its name, and its RuleParameters."""
    if isinstance(rule, str):
        return rule, rule, {}
    if hasattr(rule, "to_profiler_rule_config_dict"):
        rule = rule.to_profiler_rule_config_dict()
    if isinstance(rule, Mapping):
        name, given = rule["RuleConfigurationName"], rule.get("RuleParameters") or {}
        return name, given.get("rule_to_invoke", name), given
    name, parameters = rule
    return name, name, parameters


def _judged(recording: Recording, name: str, rule: str, parameters: Mapping) -> Finding:
    try:
        finding = catalogue.make(rule, parameters).judge(recording)
    except RuleError as error:
        given = {k: v for k, v in parameters.items() if k not in catalogue.SENT_ALONG}
        return Finding(name, rule, "Error", str(error), parameters=given)
    except Exception as error:
        text = f"the rule failed: {type(error).__name__}: {error}"
        return Finding(name, rule, "Error", text, parameters=catalogue.values(rule, parameters))
    finding.name = name
    return finding


def _report(recording: Recording, name: str, parameters: Mapping) -> list[Finding]:
    try:
        overrides, wrong = catalogue.split(parameters), None
    except RuleError as error:
        overrides, wrong = {}, str(error)
    rules = [_judged(recording, each, each, overrides.get(each, {})) for each in PROFILER_RULES]
    given = {k: v for k, v in parameters.items() if k not in catalogue.SENT_ALONG}
    return [_summed_up(name, rules, given, wrong), *rules]


def _summed_up(name: str, rules: list[Finding], given: dict, wrong: str | None) -> Finding:
    """ProfilerReport's own finding: its status is IssuesFound if any rule's is."""
    by_status = {s: [r.rule for r in rules if r.status == s] for s in ("IssuesFound", "Error")}
    found, failed = by_status["IssuesFound"], by_status["Error"]
    status = "IssuesFound" if found else "Error" if len(failed) == len(rules) else "NoIssuesFound"
    looked = len(rules) - len(failed)
    summary = f"{len(found)} of {looked} rules found issues{_listed(found)}."
    if failed:
        summary += f" {len(failed)} could not look{_listed(failed)}."
    if wrong:
        status, summary = "Error", wrong
    details = {rule.rule: rule.status for rule in rules}
    members = {"parameters": given, "triggered": len(found), "violations": len(found)}
    return Finding(name, REPORT, status, summary, datapoints=looked, details=details, **members)


def _listed(names: list[str]) -> str:
    return f": {', '.join(names)}" if names else ""
