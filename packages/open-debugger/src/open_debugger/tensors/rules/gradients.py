"""Rules on gradients, and on values that are no numbers any more."""

from __future__ import annotations

import numpy as np
from smdebug.core.modes import ModeKeys

from open_debugger.tensors.rule import Names, TensorRule, require
from open_debugger.tensors.trials import Trial


class VanishingGradient(TensorRule):
    """A layer learns nothing, because its gradients are nearly 0.

    Condition, for each tensor of the collection `gradients` at each saved step:
    mean(abs(g)) < `threshold`. Source: AWS's description of the rule. A gradient that is NaN is
    not vanishing: that is ExplodingTensor's.
    """

    def __init__(self, base_trial: Trial, threshold: float = 1e-7, action_str: str = "") -> None:
        super().__init__(base_trial, collections=["gradients"], action_str=action_str)
        require(threshold > 0, f"threshold {threshold}: a mean of absolute values is never below 0")
        self.threshold = threshold

    def look(self, step: int, mode: ModeKeys) -> None:
        for name, value in self.tensors(step, mode):
            mean = np.abs(value, dtype=np.float64).mean()
            if mean < self.threshold:
                self.violation(step, mode, name, mean, self.threshold, VANISHES)


class ExplodingTensor(TensorRule):
    """A tensor has values that are NaN or infinite.

    Condition, for each tensor at each saved step: the number of values that are NaN (or, unless
    `only_nan`, infinite) > 0. Source: AWS's description of the rule. All tensors are looked at if
    neither `collection_names` nor `tensor_regex` is given.
    """

    def __init__(
        self,
        base_trial: Trial,
        collection_names: Names | None = None,
        tensor_regex: Names | None = None,
        only_nan: bool = False,
        action_str: str = "",
    ) -> None:
        super().__init__(base_trial, collection_names, tensor_regex, action_str)
        self.only_nan = only_nan

    def look(self, step: int, mode: ModeKeys) -> None:
        for name, value in self.tensors(step, mode):
            lost = np.isnan(value) if self.only_nan else ~np.isfinite(value)
            if count := np.count_nonzero(lost):
                self.violation(step, mode, name, count, 0, EXPLODES)


VANISHES = "Use normalisation, ReLU or shortcuts between layers, or a better initialisation."
EXPLODES = "Lower the learning rate, clip the gradients, and look for log(0) and damaged inputs."
