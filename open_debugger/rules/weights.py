"""Rules on weights: how they begin, and how they change."""

from __future__ import annotations

import math

import numpy as np
from smdebug.core.modes import ModeKeys

from open_debugger.rule import TensorRule, require
from open_debugger.trials import Trial

EVEN = "Initialise each layer for its number of inputs (He for ReLU, Xavier for tanh)."
SYMMETRIC = "All weights of the layer learn the same: initialise them at random, and larger."
STUCK = "The loss does not fall from the start: look at the initialisation and the learning rate."


class PoorWeightInitialization(TensorRule):
    """The network begins where it cannot learn from.

    Conditions, in the first `steps` saved training steps, any of:
    max(v) / min(v) > `threshold`, with v the variances of the tensors that match
    `activation_inputs_regex`, one for each layer (infinite if one of them is 0);
    p95(g) - p5(g) < `distribution_range` for a tensor of the collection `gradients`;
    the loss is not below its best value for `patience` saved steps.
    Source: AWS's description of the rule. Our choice: what was not saved is not looked at,
    gradients of single numbers have no distribution, and NaN is ExplodingTensor's.
    """

    def __init__(
        self,
        base_trial: Trial,
        activation_inputs_regex: list[str] | None = None,
        threshold: float = 10.0,
        distribution_range: float = 0.001,
        patience: int = 5,
        steps: int = 10,
        action_str: str = "",
    ) -> None:
        regex = activation_inputs_regex or [".*relu_input"]
        super().__init__(base_trial, ["gradients", "losses"], regex, action_str)
        require(steps >= 1, f"steps {steps}: at least one step is needed")
        require(patience >= 1, f"patience {patience}: at least one step is needed")
        self.threshold, self.range, self.patience = threshold, distribution_range, patience
        self.steps, self.seen = steps, 0
        self.best, self.waited = math.inf, 0

    def look(self, step: int, mode: ModeKeys) -> None:
        if mode in (ModeKeys.EVAL, ModeKeys.PREDICT) or self.seen >= self.steps:
            return
        before = self.report["Datapoints"]
        self._compare_layers(step, mode)
        self._compare_gradients(step, mode)
        self._compare_losses(step, mode)
        self.seen += self.report["Datapoints"] > before

    def _compare_layers(self, step: int, mode: ModeKeys) -> None:
        found = self.tensors(step, mode, regex=self.regex)
        variances = {name: value.var(dtype=np.float64) for name, value in found}
        variances = {name: each for name, each in variances.items() if math.isfinite(each)}
        if len(variances) < 2:
            return
        least, most = min(variances.values()), max(variances.values())
        ratio = most / least if least else math.inf
        if ratio > self.threshold:
            name = min(variances, key=variances.get)
            self.violation(step, mode, name, ratio, self.threshold, EVEN)

    def _compare_gradients(self, step: int, mode: ModeKeys) -> None:
        for name, value in self.tensors(step, mode, collections=["gradients"]):
            if value.size > 1:
                low, high = np.percentile(value.astype(np.float64), [5, 95])
                if high - low < self.range:
                    self.violation(step, mode, name, high - low, self.range, SYMMETRIC)

    def _compare_losses(self, step: int, mode: ModeKeys) -> None:
        for name, value in self.tensors(step, mode, collections=["losses"]):
            loss = float(value.mean())
            self.waited = 0 if loss < self.best else self.waited + 1
            self.best = min(self.best, loss) if not math.isnan(loss) else self.best
            if self.waited >= self.patience:
                self.violation(step, mode, name, self.waited, self.patience, STUCK)
