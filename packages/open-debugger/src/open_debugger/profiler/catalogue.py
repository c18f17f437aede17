"""The profiler rules by AWS's names, and their parameters as the API and notebooks give them."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping

from open_debugger.parameters import RuleError, fill
from open_debugger.profiler.rules.base import ProfilerRule
from open_debugger.profiler.rules.cpu import CPUBottleneck, IOBottleneck
from open_debugger.profiler.rules.gpu import (
    BatchSize,
    GPUMemoryIncrease,
    LoadBalancing,
    LowGPUUtilization,
)
from open_debugger.profiler.rules.overall import OverallFrameworkMetrics, OverallSystemUsage
from open_debugger.profiler.rules.steps import Dataloader, MaxInitializationTime, StepOutlier

PROFILER_RULES: dict[str, type[ProfilerRule]] = {
    rule.__name__: rule
    for rule in (
        LowGPUUtilization,
        CPUBottleneck,
        IOBottleneck,
        GPUMemoryIncrease,
        BatchSize,
        LoadBalancing,
        StepOutlier,
        Dataloader,
        MaxInitializationTime,
        OverallSystemUsage,
        OverallFrameworkMetrics,
    )
}
REPORT = "ProfilerReport"  # runs them all
# With RuleParameters; how often AWS's rules look for new files is nothing to them here.
SENT_ALONG = ("rule_to_invoke", "scan_interval_us")


def defaults(name: str) -> dict[str, object]:
    """A rule's parameters with AWS's defaults; of ProfilerReport all rules', as it takes them.

    Raises:
        RuleError: there is no such rule.
    """
    if name == REPORT:
        every = {rule: defaults(rule) for rule in PROFILER_RULES}
        return {f"{rule}_{key}": v for rule, known in every.items() for key, v in known.items()}
    return {each.name: each.default for each in dataclasses.fields(_rule(name))}


def values(name: str, parameters: Mapping[str, object]) -> dict[str, object]:
    """All parameters of a rule: those that are given, which may be strings, and AWS's defaults.

    Raises:
        RuleError: there is no such rule or parameter, or a value is of the wrong kind.
    """
    given = {key: value for key, value in parameters.items() if key not in SENT_ALONG}
    if name == REPORT:
        overrides = split(given)
        every = {rule: values(rule, overrides.get(rule, {})) for rule in PROFILER_RULES}
        return {f"{rule}_{key}": v for rule, known in every.items() for key, v in known.items()}
    return fill(name, defaults(name), typing.get_type_hints(_rule(name)), given)


def make(name: str, parameters: Mapping[str, object]) -> ProfilerRule:
    """The rule `name` with the RuleParameters that the API has.

    Raises:
        RuleError: there is no such rule or parameter, or a value does not fit.
    """
    fitting = values(name, parameters)
    try:
        return _rule(name)(**fitting)
    except ValueError as error:
        raise RuleError(f"{name}: {error}") from None


def split(parameters: Mapping[str, object]) -> dict[str, dict[str, object]]:
    """ProfilerReport's ``<Rule>_<parameter>`` by rule; as with AWS, case does not matter in <Rule>.

    Raises:
        RuleError: a parameter is of no rule.
    """
    rules = {rule.lower(): rule for rule in PROFILER_RULES}
    found: dict[str, dict[str, object]] = {}
    for key, value in parameters.items():
        if key in SENT_ALONG:
            continue
        rule, _, parameter = key.partition("_")
        if rule.lower() not in rules or not parameter:
            text = f"{REPORT}'s parameters are called <Rule>_<parameter>, with one of the rules "
            raise RuleError(f"{text}{', '.join(PROFILER_RULES)}: not '{key}'")
        found.setdefault(rules[rule.lower()], {})[parameter] = value
    return found


def _rule(name: str) -> type[ProfilerRule]:
    if name not in PROFILER_RULES:
        there = ", ".join([*PROFILER_RULES, REPORT])
        raise RuleError(f"there is no profiler rule '{name}' here; there are {there}")
    return PROFILER_RULES[name]
