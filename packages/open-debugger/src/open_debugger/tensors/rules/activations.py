"""Rules on activations: units that never answer, or are beyond reach of a gradient."""

from __future__ import annotations

import numpy as np
from smdebug.core.modes import ModeKeys

from open_debugger.tensors.rule import Names, TensorRule, require
from open_debugger.tensors.trials import Trial

DEAD = "Lower the learning rate, or use a leaky ReLU, normalisation or other biases."
SATURATED = "No gradient passes here: use normalisation, smaller weights at the start, or ReLU."
NAMES = (
    "smdebug names these tensors by the module's place in the network, as layer1.0.relu_output_0 "
    "or, in a Sequential, features.1_output_0: save them in a collection, name them by tensor_regex"
)


class ActivationRule(TensorRule):
    """Counts the units of a layer that are not active.

    Condition, for each tensor at each saved step: the percentage of inactive units >
    `threshold_layer`, where a unit is inactive if it is active at a percentage of samples and
    positions < `threshold_inactivity`. Units are the second dimension of a tensor: of shape
    (samples, units), or (samples, channels, height, width). Other tensors are one unit.
    """

    advice = ""

    def __init__(
        self,
        base_trial: Trial,
        collections: Names | None,
        regex: Names,
        threshold_inactivity: float,
        threshold_layer: float,
        action_str: str,
    ) -> None:
        super().__init__(base_trial, collections, regex, action_str)
        for name, value in [("inactivity", threshold_inactivity), ("layer", threshold_layer)]:
            require(0 <= value <= 100, f"threshold_{name} {value}: it is a percentage")
        self.inactivity, self.layer = threshold_inactivity, threshold_layer

    def active(self, name: str, value: np.ndarray) -> np.ndarray:
        """Where the values of a tensor are active; NaN is, for it is ExplodingTensor's."""
        raise NotImplementedError

    def look(self, step: int, mode: ModeKeys) -> None:
        for name, value in self.tensors(step, mode):
            activity = _percentages(self.active(name, value))
            inactive = 100 * np.count_nonzero(activity < self.inactivity) / activity.size
            if inactive > self.layer:
                self.violation(step, mode, name, inactive, self.layer, self.advice)

    def missing(self) -> str | None:
        reason = super().missing()
        return f"{reason}. {NAMES}" if reason else None


def _percentages(active: np.ndarray) -> np.ndarray:
    """For each unit, where it is active."""
    if active.ndim < 2:
        active = active.reshape(-1, 1)
    others = tuple(axis for axis in range(active.ndim) if axis != 1)
    return 100 * np.count_nonzero(active, axis=others) / (active.size / active.shape[1])


class DeadRelu(ActivationRule):
    """ReLUs whose output is 0 for nearly all inputs.

    Condition, for each tensor at each saved step: the percentage of inactive units >
    `threshold_layer`. A unit is inactive if less than `threshold_inactivity` percent of its outputs
    are > 0. Source: AWS's description of the rule. Our choice: a unit is an index of a tensor's
    second dimension, and its outputs are those of all samples and positions.
    """

    advice = DEAD

    def __init__(
        self,
        base_trial: Trial,
        tensor_regex: Names = (".*relu_output",),
        threshold_inactivity: float = 1.0,
        threshold_layer: float = 50.0,
        action_str: str = "",
    ) -> None:
        super().__init__(
            base_trial, None, tensor_regex, threshold_inactivity, threshold_layer, action_str
        )

    def active(self, name: str, value: np.ndarray) -> np.ndarray:
        return ~(value <= 0)


class SaturatedActivation(ActivationRule):
    """Tanh or sigmoid layers work at the ends of their range, where the gradient is nearly 0.

    Condition, for each tensor at each saved step: the percentage of inactive units >
    `threshold_layer`. A unit is inactive if less than `threshold_inactivity` percent of its inputs
    x lie within `threshold_tanh_min` < x < `threshold_tanh_max`, or the same with sigmoid, by the
    tensor's name. Source: AWS's description of the rule, which derives these limits from a gradient
    of 1e-7. Our choices: a unit is as in DeadRelu; a name with neither word counts as tanh, whose
    range is the narrower.
    """

    advice = SATURATED

    def __init__(
        self,
        base_trial: Trial,
        collection_names: Names | None = None,
        tensor_regex: Names = (".*tanh_input", ".*sigmoid_input"),
        threshold_tanh_min: float = -9.4999,
        threshold_tanh_max: float = 9.4999,
        threshold_sigmoid_min: float = -23.0,
        threshold_sigmoid_max: float = 16.99999,
        threshold_inactivity: float = 1.0,
        threshold_layer: float = 50.0,
        action_str: str = "",
    ) -> None:
        thresholds = (threshold_inactivity, threshold_layer)
        super().__init__(base_trial, collection_names, tensor_regex, *thresholds, action_str)
        self.tanh = _limits("tanh", threshold_tanh_min, threshold_tanh_max)
        self.sigmoid = _limits("sigmoid", threshold_sigmoid_min, threshold_sigmoid_max)

    def active(self, name: str, value: np.ndarray) -> np.ndarray:
        least, most = self.sigmoid if "sigmoid" in name.lower() else self.tanh
        return ~((value <= least) | (value >= most))


def _limits(name: str, least: float, most: float) -> tuple[float, float]:
    what = f"threshold_{name}_min {least} is not below threshold_{name}_max {most}"
    require(least < most, what)
    return least, most
