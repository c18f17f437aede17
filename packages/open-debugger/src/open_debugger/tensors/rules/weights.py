"""Rules on weights: how they begin, how they change, how they are distributed."""

from __future__ import annotations

import math
from collections import defaultdict, deque

import numpy as np
from smdebug.core.modes import ModeKeys

from open_debugger.tensors.rule import Names, TensorRule, require
from open_debugger.tensors.trials import Trial

EVEN = "Initialise each layer for its number of inputs (He for ReLU, Xavier for tanh)."
SYMMETRIC = "All weights of the layer learn the same: initialise them at random, and larger."
IDLE = "The tensor learns nothing: is it frozen, in the optimiser, and reached by gradients?"
LEAPS = "The weights change too much: lower the learning rate, or warm it up."
CREEPS = "The weights hardly learn: raise the learning rate, or leave out what is frozen."
WIDE = "The values spread far: lower the learning rate, normalise, or use weight decay."
NARROW = "The values hardly differ: look at the initialisation, and for units that are dead."
ZERO = "Nothing passes here: look at the initialisation, for dead units, and at the inputs."
STUCK = "The loss does not fall from the start: look at the initialisation and the learning rate."


class PoorWeightInitialization(TensorRule):
    """The initial weights keep the network from learning.

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
        activation_inputs_regex: Names = (".*relu_input",),
        threshold: float = 10.0,
        distribution_range: float = 0.001,
        patience: int = 5,
        steps: int = 10,
        action_str: str = "",
    ) -> None:
        collections = ["gradients", "losses"]
        super().__init__(base_trial, collections, activation_inputs_regex, action_str)
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


class UnchangedTensor(TensorRule):
    """A tensor does not change from step to step.

    Condition, for each tensor at each saved step: it and its value at the step before are
    numpy.allclose, in the last `num_steps` steps at which it was saved. Source: AWS's description
    of the rule. Our choices: steps of one mode are compared; a tensor whose shape changes changes.
    """

    def __init__(
        self,
        base_trial: Trial,
        collection_names: Names | None = None,
        tensor_regex: Names | None = None,
        num_steps: int = 3,
        rtol: float = 1e-5,
        atol: float = 1e-8,
        equal_nan: bool = False,
        action_str: str = "",
    ) -> None:
        super().__init__(base_trial, collection_names, tensor_regex, action_str)
        require(num_steps >= 2, f"num_steps {num_steps}: two steps are needed to see a change")
        self.num_steps = num_steps
        self.tolerance = {"rtol": rtol, "atol": atol, "equal_nan": equal_nan}
        self.before: dict[tuple[ModeKeys, str], np.ndarray] = {}
        self.same: defaultdict[tuple[ModeKeys, str], int] = defaultdict(int)  # steps in a row
        self.compared = False

    def look(self, step: int, mode: ModeKeys) -> None:
        for name, value in self.tensors(step, mode):
            key = (mode, name)
            before, self.before[key] = self.before.get(key), value
            if before is None:
                self.same[key] = 1
                continue
            same = before.shape == value.shape and np.allclose(before, value, **self.tolerance)
            self.same[key] = self.same[key] + 1 if same else 1
            self.compared = True
            if self.same[key] >= self.num_steps:
                self.violation(step, mode, name, self.same[key], self.num_steps, IDLE)

    def unjudged(self) -> str | None:
        return None if self.compared else "nothing was compared: no tensor was saved twice"


class WeightUpdateRatio(TensorRule):
    """Weights change too much or too little in a step.

    Condition, for each tensor w of the collection `weights` at each saved training step s, with p
    an earlier one and r = mean(abs(w(s) - w(p))) / (mean(abs(w(p))) + `epsilon`):
    r > `large_threshold` or r < `small_threshold`. p is the saved step before s or, if `num_steps`
    is given, the first that is not more than `num_steps` steps before s; these weights are kept,
    so save them every `num_steps` steps. Source: AWS's description of the rule. Our choice: the
    formula of the ratio, of which AWS names only the parts.
    """

    def __init__(
        self,
        base_trial: Trial,
        num_steps: int | None = None,
        large_threshold: float = 10.0,
        small_threshold: float = 1e-8,
        epsilon: float = 1e-9,
        action_str: str = "",
    ) -> None:
        super().__init__(base_trial, collections=["weights"], action_str=action_str)
        require(num_steps is None or num_steps >= 1, f"num_steps {num_steps}: at least one step")
        require(epsilon > 0, f"epsilon {epsilon}: it keeps the ratio from a division by 0")
        self.num_steps, self.epsilon = num_steps, epsilon
        self.large, self.small = large_threshold, small_threshold
        self.kept: defaultdict[str, deque[tuple[int, np.ndarray]]] = defaultdict(deque)
        self.compared = False

    def look(self, step: int, mode: ModeKeys) -> None:
        if mode in (ModeKeys.EVAL, ModeKeys.PREDICT):
            return
        for name, value in self.tensors(step, mode):
            kept = self.kept[name]
            self._drop(kept, step)
            if kept:
                self._compare(step, mode, name, kept[0][1], value)
            kept.append((step, value))

    def _drop(self, kept: deque, step: int) -> None:
        """Let go of the weights that this step is not compared with."""
        while kept and self.num_steps and kept[0][0] < step - self.num_steps:
            kept.popleft()
        while len(kept) > 1 and not self.num_steps:
            kept.popleft()

    def _compare(
        self, step: int, mode: ModeKeys, name: str, before: np.ndarray, now: np.ndarray
    ) -> None:
        update = np.abs(np.subtract(now, before, dtype=np.float64)).mean()
        ratio = update / (np.abs(before, dtype=np.float64).mean() + self.epsilon)
        self.compared = True
        if ratio > self.large:
            self.violation(step, mode, name, ratio, self.large, LEAPS)
        elif ratio < self.small:
            self.violation(step, mode, name, ratio, self.small, CREEPS)

    def unjudged(self) -> str | None:
        if self.compared:
            return None
        near = f" within {self.num_steps} steps" if self.num_steps else ""
        return f"nothing was compared: no weights were saved twice{near}"


class TensorVariance(TensorRule):
    """The variance of a tensor is too high or too low.

    Condition, for each tensor of more than one value at each saved step:
    var(x) > `max_threshold` or var(x) < `min_threshold`. Source: AWS's description of the rule.
    All tensors are looked at if neither `collection_names` nor `tensor_regex` is given; without a
    threshold there would be no condition, so one is needed.
    """

    def __init__(
        self,
        base_trial: Trial,
        collection_names: Names | None = None,
        tensor_regex: Names | None = None,
        max_threshold: float | None = None,
        min_threshold: float | None = None,
        action_str: str = "",
    ) -> None:
        super().__init__(base_trial, collection_names, tensor_regex, action_str)
        given = max_threshold is not None or min_threshold is not None
        require(given, "give max_threshold, min_threshold or both: AWS has no default for them")
        self.most = math.inf if max_threshold is None else max_threshold
        self.least = -math.inf if min_threshold is None else min_threshold
        self.compared = False

    def look(self, step: int, mode: ModeKeys) -> None:
        for name, value in self.tensors(step, mode):
            if value.size == 1:
                continue
            variance = value.var(dtype=np.float64)
            self.compared = True
            if variance > self.most:
                self.violation(step, mode, name, variance, self.most, WIDE)
            elif variance < self.least:
                self.violation(step, mode, name, variance, self.least, NARROW)

    def unjudged(self) -> str | None:
        return None if self.compared else "single numbers have no variance, and nothing else came"


class AllZero(TensorRule):
    """All values of a tensor are 0, or nearly all.

    Condition, for each tensor at each saved step: the percentage of values that are 0 >=
    `threshold`. Source: AWS's description of the rule. All tensors are looked at if neither
    `collection_names` nor `tensor_regex` is given.
    """

    def __init__(
        self,
        base_trial: Trial,
        collection_names: Names | None = None,
        tensor_regex: Names | None = None,
        threshold: float = 100.0,
        action_str: str = "",
    ) -> None:
        super().__init__(base_trial, collection_names, tensor_regex, action_str)
        require(0 < threshold <= 100, f"threshold {threshold}: it is a percentage above 0")
        self.threshold = threshold

    def look(self, step: int, mode: ModeKeys) -> None:
        for name, value in self.tensors(step, mode):
            percent = 100 * np.count_nonzero(value == 0) / value.size
            if percent >= self.threshold:
                self.violation(step, mode, name, percent, self.threshold, ZERO)
