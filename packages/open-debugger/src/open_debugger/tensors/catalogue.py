"""All rules by AWS's names, and their parameters as the API and notebooks give them."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Mapping

from open_debugger.parameters import RuleError, fill
from open_debugger.tensors.rule import TensorRule
from open_debugger.tensors.rules.activations import DeadRelu, SaturatedActivation
from open_debugger.tensors.rules.data import CheckInputImages, ClassImbalance
from open_debugger.tensors.rules.gradients import ExplodingTensor, VanishingGradient
from open_debugger.tensors.rules.losses import LossNotDecreasing, Overfit, Overtraining
from open_debugger.tensors.rules.weights import (
    AllZero,
    PoorWeightInitialization,
    TensorVariance,
    UnchangedTensor,
    WeightUpdateRatio,
)
from open_debugger.tensors.trials import Trial

RULES: dict[str, type[TensorRule]] = {
    rule.__name__: rule
    for rule in (
        AllZero,
        CheckInputImages,
        ClassImbalance,
        DeadRelu,
        ExplodingTensor,
        LossNotDecreasing,
        Overfit,
        Overtraining,
        PoorWeightInitialization,
        SaturatedActivation,
        TensorVariance,
        UnchangedTensor,
        VanishingGradient,
        WeightUpdateRatio,
    )
}
# Parameters that AWS's rules of these names do not have.
OURS = {"LossNotDecreasing": {"smoothing", "patience"}, "Overtraining": {"smoothing"}}
NOT_PARAMETERS = ("self", "base_trial", "action_str")
SENT_ALONG = ("rule_to_invoke", "action_json", "base_trial", "other_trials")  # with RuleParameters


def defaults(name: str) -> dict[str, object]:
    """A rule's parameters with AWS's defaults.

    Raises:
        RuleError: there is no such rule.
    """
    return _parameters(name)


def values(name: str, parameters: Mapping[str, object]) -> dict[str, object]:
    """All parameters of a rule: those that are given, which may be strings, and AWS's defaults.

    None is no value, and leaves the default.

    Raises:
        RuleError: there is no such rule or parameter, or a value is of the wrong kind.
    """
    known = _parameters(name)
    given = {key: value for key, value in parameters.items() if key not in SENT_ALONG}
    return fill(name, known, typing.get_type_hints(RULES[name].__init__), given)


def _parameters(name: str) -> dict[str, object]:
    if name not in RULES:
        raise RuleError(f"there is no rule '{name}' here; there are {', '.join(sorted(RULES))}")
    found = inspect.signature(RULES[name].__init__).parameters.values()
    return {each.name: each.default for each in found if each.name not in NOT_PARAMETERS}


def make(name: str, trial: Trial, parameters: Mapping[str, object]) -> TensorRule:
    """The rule `name` on `trial`, with the RuleParameters that the API has.

    Raises:
        RuleError: there is no such rule or parameter, or a value does not fit.
    """
    fitting = values(name, parameters)
    try:
        return RULES[name](trial, action_str=str(parameters.get("action_json", "")), **fitting)
    except ValueError as error:
        raise RuleError(f"{name}: {error}") from None
