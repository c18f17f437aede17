"""Rules on what goes into a training: images, and labels with their predictions."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from smdebug.core.modes import ModeKeys

from open_debugger.tensors.rule import Names, TensorRule, require
from open_debugger.tensors.trials import Trial

NORMALISE = "Normalise images with their channels' mean and deviation (ImageNet's, if pretrained)."


class CheckInputImages(TensorRule):
    """Input images are not normalised.

    Condition, each time that `threshold_samples` images more of a mode have been saved:
    abs(mean(x)) > `threshold_mean` for a channel x of these images. Source: AWS's description of
    the rule. Our choices: each channel by itself, and each so many images afresh. An image is the
    first dimension of a tensor, `channel` the number of the dimension with the channels.
    """

    def __init__(
        self,
        base_trial: Trial,
        threshold_mean: float = 0.2,
        threshold_samples: int = 500,
        regex: Names = (".*hybridsequential0_input_0",),
        channel: int = 1,
        action_str: str = "",
    ) -> None:
        super().__init__(base_trial, regex=regex, action_str=action_str)
        require(threshold_samples >= 1, f"threshold_samples {threshold_samples}: at least one")
        require(channel >= 1, f"channel {channel}: dimension 0 are the images")
        self.mean, self.samples, self.channel = threshold_mean, threshold_samples, channel
        self.seen: dict[ModeKeys, _Images] = defaultdict(_Images)
        self.compared, self.most = False, 0  # the most images of a mode

    def look(self, step: int, mode: ModeKeys) -> None:
        for name, value in self.tensors(step, mode):
            self.seen[mode].add(value, self.channel)
            self.most = max(self.most, self.seen[mode].count)
            if self.seen[mode].count >= self.samples:
                self._compare(step, mode, name, self.seen.pop(mode))

    def _compare(self, step: int, mode: ModeKeys, name: str, images: _Images) -> None:
        means = images.sums / images.pixels
        self.compared = True
        worst = np.abs(means).max()
        if worst > self.mean:
            self.violation(step, mode, name, worst, self.mean, NORMALISE)

    def missing(self) -> str | None:
        reason = super().missing()
        return f"{reason}. PyTorch's ResNet has its images in ResNet_input_0" if reason else None

    def unjudged(self) -> str | None:
        return None if self.compared else f"only {self.most} of {self.samples} images were saved"


class _Images:
    """What is known of some images."""

    def __init__(self) -> None:
        self.count, self.pixels, self.sums = 0, 0, np.zeros(1)

    def add(self, images: np.ndarray, channel: int) -> None:
        if images.ndim <= channel:
            raise ValueError(f"the images have shape {images.shape}: no dimension {channel}")
        others = tuple(axis for axis in range(images.ndim) if axis != channel)
        self.sums = self.sums + images.sum(axis=others, dtype=np.float64)
        self.pixels += images.size // images.shape[channel]
        self.count += len(images)


class ClassImbalance(TensorRule):
    """Some classes are too rare to be learnt.

    Conditions, each time that `samples` labels more have been saved in training steps, any of:
    max(n) / min(n) > `threshold_imbalance`, with n the number of labels of each class that is
    among them; m / n > `threshold_misprediction` for a class, with m the number of its labels that
    were predicted wrongly. Source: AWS's description of the rule. Our choice: each so many labels
    afresh, so that an untrained network's mistakes do not count for ever. A prediction is a
    class or, with `argmax`, a row of scores.
    """

    def __init__(
        self,
        base_trial: Trial,
        threshold_imbalance: float = 10.0,
        threshold_misprediction: float = 0.7,
        samples: int = 500,
        argmax: bool = False,
        labels_regex: Names = (".*labels",),
        predictions_regex: Names = (".*predictions",),
        action_str: str = "",
    ) -> None:
        regex = [*labels_regex, *predictions_regex]
        super().__init__(base_trial, regex=regex, action_str=action_str)
        self.labels_regex, self.predictions_regex = labels_regex, predictions_regex
        require(samples >= 1, f"samples {samples}: at least one label is needed")
        self.imbalance, self.misprediction = threshold_imbalance, threshold_misprediction
        self.samples, self.argmax = samples, argmax
        self.labels: list[np.ndarray] = []
        self.wrong: list[np.ndarray] = []
        self.compared = False

    def look(self, step: int, mode: ModeKeys) -> None:
        if mode in (ModeKeys.EVAL, ModeKeys.PREDICT):
            return
        labels = dict(self.tensors(step, mode, regex=self.labels_regex))
        predictions = dict(self.tensors(step, mode, regex=self.predictions_regex))
        if not labels or not predictions:
            return
        name = min(labels)
        self._add(labels[name].ravel(), predictions[min(predictions)])
        if sum(map(len, self.labels)) >= self.samples:
            self._compare(step, mode, name)
            self.labels, self.wrong = [], []

    def _add(self, labels: np.ndarray, predictions: np.ndarray) -> None:
        if self.argmax:
            predictions = predictions.argmax(axis=-1)
        if predictions.size != labels.size:
            what = f"{labels.size} labels, but predictions of shape {predictions.shape}"
            raise ValueError(what if self.argmax else f"{what}: scores need argmax=True")
        self.labels.append(labels)
        self.wrong.append(predictions.ravel() != labels)

    def _compare(self, step: int, mode: ModeKeys, name: str) -> None:
        labels, wrong = np.concatenate(self.labels), np.concatenate(self.wrong)
        classes, places, counts = np.unique(labels, return_inverse=True, return_counts=True)
        self.compared = True
        if counts.max() / counts.min() > self.imbalance:
            few, many = classes[counts.argmin()], classes[counts.argmax()]
            advice = f"Class {few} is rare beside class {many}: weight or resample the classes."
            ratio = counts.max() / counts.min()
            self.violation(step, mode, name, ratio, self.imbalance, advice)
        missed = np.bincount(places, weights=wrong) / counts
        if missed.max() > self.misprediction:
            worst = classes[missed.argmax()]
            advice = f"Class {worst} is hardly learnt: weight it, or find more samples of it."
            self.violation(step, mode, name, missed.max(), self.misprediction, advice)

    def missing(self) -> str | None:
        if self.compared or self.labels:
            return None
        return (
            f"no training step has a tensor of labels ({', '.join(self.labels_regex)}) and one of "
            f"predictions ({', '.join(self.predictions_regex)}). PyTorch's cross entropy has them "
            "in CrossEntropyLoss_input_1 and, with argmax=True, CrossEntropyLoss_input_0"
        )

    def unjudged(self) -> str | None:
        seen = sum(map(len, self.labels))
        return None if self.compared else f"only {seen} of {self.samples} labels were saved"
