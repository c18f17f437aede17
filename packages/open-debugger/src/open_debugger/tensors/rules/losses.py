"""Rules on losses: do they fall, and does validation follow training?

A loss is saved step by step; a *pass* is a run of evaluation steps without a training step between
them, and its loss is their mean. AWS's documentation leaves open how training and validation
steps are set side by side: here a pass is compared with the training steps since the pass before.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Collection

from smdebug.core.modes import ModeKeys

from open_debugger.tensors.rule import Names, TensorRule, require
from open_debugger.tensors.trials import Trial


def _mean(values: Collection[float]) -> float:
    return sum(values) / len(values)  # statistics.fmean refuses inf beside -inf


class LossRule(TensorRule):
    """Follows the losses of training and evaluation.

    A loss is a single number. Several of one step count as their mean.
    """

    needs_training, needs_validation = True, False

    def __init__(
        self,
        base_trial: Trial,
        collections: Names | None = None,
        regex: Names | None = None,
        smoothing: int = 1,
        action_str: str = "",
    ) -> None:
        require(smoothing >= 1, f"smoothing {smoothing}: at least the last loss itself is needed")
        if not collections and not regex:
            collections = ["losses"]
        super().__init__(base_trial, collections, regex, action_str)
        self.recent: deque[float] = deque(maxlen=smoothing)
        self.validation: list[float] = []  # of the pass that is under way
        self.at = (0, "")  # its last step, and tensor
        self.modes: set[str] = set()

    def look(self, step: int, mode: ModeKeys) -> None:
        if mode == ModeKeys.PREDICT:
            return
        found = {n: value.item() for n, value in self.tensors(step, mode) if value.size == 1}
        if not found:
            return
        name, loss = min(found), _mean(found.values())
        self.modes.add(mode.name)
        if mode == ModeKeys.EVAL:
            self.validation.append(loss)
            self.at = (step, name)
        else:
            self._end_pass()
            self.recent.append(loss)
            self.train(step, mode, name, _mean(self.recent))

    def finish(self) -> None:
        self._end_pass()

    def _end_pass(self) -> None:
        if self.validation:
            loss, self.validation = _mean(self.validation), []
            self.evaluated(*self.at, loss)

    def train(self, step: int, mode: ModeKeys, tensor: str, loss: float) -> None:
        """A training loss, the mean of the last `smoothing` ones."""

    def evaluated(self, step: int, tensor: str, loss: float) -> None:
        """A pass has ended with this step; `loss` is its mean."""

    def missing(self) -> str | None:
        if reason := super().missing():
            return reason
        if not self.modes:
            return f"no tensor of {self._wanted()} is a single number, as a loss is"
        if self.needs_validation and "EVAL" not in self.modes:
            return (
                "no validation loss was saved: either the job ended before its first validation, "
                "or the losses need an eval.save_interval"
            )
        if self.needs_training and self.modes == {"EVAL"}:
            return "no training loss was saved: give the losses a train.save_interval"
        return None


class Overfit(LossRule):
    """The validation loss is much higher than the training loss.

    Condition: (V - T) / T > `ratio_threshold` in each of the last `patience` passes, where V is a
    pass's mean validation loss and T the mean of the training losses saved since the pass before,
    from training step `start_step` on. Source: AWS's description of the rule. Our choice: AWS
    speaks of steps; passes are the steps at which both losses are known. NaN is no overfitting.
    """

    needs_validation = True

    def __init__(
        self,
        base_trial: Trial,
        tensor_regex: Names | None = None,
        start_step: int = 0,
        patience: int = 1,
        ratio_threshold: float = 0.1,
        action_str: str = "",
    ) -> None:
        super().__init__(base_trial, regex=tensor_regex, action_str=action_str)
        require(patience >= 1, f"patience {patience}: at least one pass is needed")
        self.start_step, self.patience, self.ratio = start_step, patience, ratio_threshold
        self.losses: list[float] = []
        self.compared, self.beyond = 0, 0  # passes; in a row

    def train(self, step: int, mode: ModeKeys, tensor: str, loss: float) -> None:
        if step >= self.start_step:
            self.losses.append(loss)

    def evaluated(self, step: int, tensor: str, loss: float) -> None:
        train, self.losses = self.losses, []
        if not train or _mean(train) <= 0:  # nothing to compare with
            return
        self.compared += 1
        ratio = (loss - _mean(train)) / _mean(train)
        self.beyond = self.beyond + 1 if ratio > self.ratio else 0
        if self.beyond >= self.patience:
            advice = "Stop here, or train with more data, augmentation, dropout or weight decay."
            self.violation(step, ModeKeys.EVAL, tensor, ratio, self.ratio, advice)

    def unjudged(self) -> str | None:
        if self.compared:
            return None
        return f"nothing was compared: no validation follows a training loss from {self.start_step}"


class Overtraining(LossRule):
    """Training continues although neither loss improves.

    Condition: the training loss has not fallen by `delta` below its best value for
    `patience_train` saved steps, and the validation loss not for `patience_validation` passes.
    Source: AWS's description of the parameters. Our choices: both have to hold; a validation step
    is a pass. `smoothing`, which AWS has not: each training loss is the mean of so many.
    """

    needs_validation = True

    def __init__(
        self,
        base_trial: Trial,
        patience_train: int = 5,
        patience_validation: int = 10,
        delta: float = 0.01,
        smoothing: int = 1,
        action_str: str = "",
    ) -> None:
        super().__init__(base_trial, smoothing=smoothing, action_str=action_str)
        for name, patience in [("train", patience_train), ("validation", patience_validation)]:
            require(patience >= 1, f"patience_{name} {patience}: at least one step is needed")
        self.train_best = _Best(delta, patience_train)
        self.validation_best = _Best(delta, patience_validation)

    def train(self, step: int, mode: ModeKeys, tensor: str, loss: float) -> None:
        self.train_best.see(loss)
        self._compare(step, mode, tensor)

    def evaluated(self, step: int, tensor: str, loss: float) -> None:
        self.validation_best.see(loss)
        self._compare(step, ModeKeys.EVAL, tensor)

    def _compare(self, step: int, mode: ModeKeys, tensor: str) -> None:
        if self.train_best.is_over and self.validation_best.is_over:
            best = self.validation_best
            advice = f"The best validation loss was {best.loss:.4g}: stop there, keep that model."
            self.violation(step, mode, tensor, best.waited, best.patience, advice)


class _Best:
    """The best loss so far, and how long it has been the best."""

    def __init__(self, delta: float, patience: int) -> None:
        self.delta, self.patience = delta, patience
        self.loss, self.waited = math.inf, 0

    def see(self, loss: float) -> None:
        if loss < self.loss - self.delta or not math.isfinite(self.loss):
            self.loss, self.waited = loss, 0
        else:
            self.waited += 1

    @property
    def is_over(self) -> bool:
        return self.waited >= self.patience


class LossNotDecreasing(LossRule):
    """The loss does not decrease.

    Condition, every `num_steps` steps: 100 (p - c) / abs(p) < `diff_percent`, where c is the loss
    now and p the one that was saved at least `num_steps` steps before. A loss that is NaN does not
    fall. Source: AWS's description of the rule. Our choices: a rise gets other words, and so does
    one of more than `increase_threshold_percent`, since any meets the condition; the steps are
    those of the training (`mode` TRAIN or GLOBAL), or the passes of EVAL; a `tensor_regex` names
    the loss, and the collection `losses` is not looked at besides. `smoothing` and
    `patience`, which AWS has not: each training loss is the mean of so many, and the condition has
    to hold so many times in a row.
    """

    def __init__(
        self,
        base_trial: Trial,
        collection_names: Names | None = None,
        tensor_regex: Names | None = None,
        use_losses_collection: bool = True,
        num_steps: int = 10,
        diff_percent: float = 0.1,
        increase_threshold_percent: float = 5.0,
        mode: str = "GLOBAL",
        smoothing: int = 1,
        patience: int = 1,
        action_str: str = "",
    ) -> None:
        named = list(collection_names or ())
        known = use_losses_collection or named or tensor_regex
        require(bool(known), "without use_losses_collection, name collections or a regex")
        if use_losses_collection and "losses" not in named and not tensor_regex:
            named.append("losses")
        super().__init__(base_trial, named, tensor_regex, smoothing, action_str)
        require(num_steps >= 1, f"num_steps {num_steps}: at least one step apart")
        require(patience >= 1, f"patience {patience}: at least one comparison is needed")
        require(mode in MODES, f"mode '{mode}': it is one of {', '.join(MODES)}")
        self.num_steps, self.percent, self.mode = num_steps, diff_percent, mode
        self.rise, self.patience = increase_threshold_percent, patience
        self.needs_training, self.needs_validation = mode != "EVAL", mode == "EVAL"
        self.before: tuple[int, float] | None = None
        self.compared, self.flat = 0, 0  # in a row

    def train(self, step: int, mode: ModeKeys, tensor: str, loss: float) -> None:
        if self.mode != "EVAL":
            self._see(step, mode, tensor, loss)

    def evaluated(self, step: int, tensor: str, loss: float) -> None:
        if self.mode == "EVAL":
            self._see(step, ModeKeys.EVAL, tensor, loss)

    def unjudged(self) -> str | None:
        if self.compared:
            return None
        number = self.recent.maxlen
        losses = f"means of {number} losses" if number > 1 else "losses"
        return f"nothing was compared: no two {losses} are {self.num_steps} steps apart"

    def _see(self, step: int, mode: ModeKeys, tensor: str, loss: float) -> None:
        if len(self.recent) < self.recent.maxlen and self.mode != "EVAL":
            return  # the first means are of fewer losses, and noisier
        if self.before is None:
            self.before = (step, loss)
        elif step - self.before[0] >= self.num_steps:
            self._compare(step, mode, tensor, loss)
            self.before = (step, loss)

    def _compare(self, step: int, mode: ModeKeys, tensor: str, loss: float) -> None:
        fell = _fell(self.before[1], loss)
        self.compared += 1
        self.flat = 0 if fell >= self.percent else self.flat + 1
        if self.flat >= self.patience:
            advice = FLAT if fell >= 0 else WAVERS if fell >= -self.rise else RISES
            self.violation(step, mode, tensor, fell, self.percent, advice)


def _fell(former: float, loss: float) -> float:
    """By how many percent a loss fell; NaN if one of them is NaN."""
    if loss == former:
        return 0.0
    if former == 0 or math.isinf(former):
        return math.copysign(math.inf, former - loss) if loss == loss else math.nan
    return 100 * (former - loss) / abs(former)


MODES = ("TRAIN", "EVAL", "GLOBAL")
FLAT = "The loss stands still: raise the learning rate, or stop if it is low enough."
WAVERS = "The loss rose a little, perhaps by chance: compare it over more steps."
RISES = "The loss rises: lower the learning rate, and look for damaged data or labels."
