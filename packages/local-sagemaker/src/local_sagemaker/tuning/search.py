"""Search strategies: SageMaker's parameter ranges, drawn by Optuna."""

from __future__ import annotations

import itertools
import math
import warnings

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from local_sagemaker.core.errors import invalid
from local_sagemaker.tuning.ranges import limits

optuna.logging.set_verbosity(optuna.logging.WARNING)
warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)

RANDOM_FIRST = 3  # jobs before the Bayesian model has something to learn from
LOG_FROM = 100  # Auto scaling: ranges of at least this ratio are searched on a log scale
ATTEMPTS = 100  # draws after which a choice of values that was tried is tried again


class Search:
    """Choosing values for the ranges of one training job definition.

    The same strategy, seed and results make the same choices.
    """

    def __init__(
        self,
        strategy: str,
        ranges: dict[str, dict],
        goal: str,
        seed: int | None = None,
        pruner: optuna.pruners.BasePruner | None = None,
    ) -> None:
        """`goal` is ``Maximize`` or ``Minimize``; `pruner` answers `trial.should_prune`.

        Raises:
            ApiError: ValidationException, if the Grid strategy gets other than categories.
        """
        self.ranges = ranges
        self.distributions = {name: _distribution(item) for name, item in ranges.items()}
        self.study = optuna.create_study(
            direction=goal.lower(),
            sampler=_sampler(strategy, seed),
            pruner=pruner or optuna.pruners.NopPruner(),
            study_name="tuning",  # Hyperband's brackets depend on it
        )
        self._tried: set[tuple[str, ...]] = set()
        # Optuna's own GridSampler ends its study by itself, which ask-and-tell does not survive.
        for combination in grid(ranges) if strategy == "Grid" else ():
            self.study.enqueue_trial(combination)

    def draw(self) -> tuple[optuna.Trial, dict[str, str]]:
        """One value for each range, as the strings that a training job gets.

        What was drawn before is drawn again only when nothing else is found.
        """
        for attempt in range(ATTEMPTS):
            trial = self.study.ask(self.distributions)
            values = {n: _text(item, trial.params[n]) for n, item in self.ranges.items()}
            if tuple(values.values()) not in self._tried or attempt == ATTEMPTS - 1:
                break
            self.study.tell(trial, state=optuna.trial.TrialState.FAIL)
        self._tried.add(tuple(values.values()))
        return trial, values

    def learn(self, values: dict[str, str], objective: float) -> bool:
        """Take in what another tuning job found; False if `values` do not fit these ranges."""
        try:
            params = {name: _number(item, values[name]) for name, item in self.ranges.items()}
            trial = optuna.create_trial(
                params=params, distributions=self.distributions, value=objective
            )
        except (KeyError, ValueError):  # Optuna's error for a value outside its distribution
            return False
        self.study.add_trial(trial)
        return True


def grid(ranges: dict[str, dict]) -> list[dict[str, str]]:
    """All combinations of the values of categorical ranges.

    Raises:
        ApiError: ValidationException if a range is of another type.
    """
    wrong = [name for name, item in ranges.items() if item["Type"] != "Categorical"]
    if wrong:
        raise invalid(f"the Grid strategy takes categorical ranges only, and {wrong} are not")
    values = [item["Values"] for item in ranges.values()]
    return [dict(zip(ranges, chosen, strict=True)) for chosen in itertools.product(*values)]


def _sampler(strategy: str, seed: int | None) -> optuna.samplers.BaseSampler:
    if strategy == "Bayesian":
        # Constant liar: jobs running in parallel do not all try the same place.
        return optuna.samplers.TPESampler(
            n_startup_trials=RANDOM_FIRST, multivariate=True, constant_liar=True, seed=seed
        )
    return optuna.samplers.RandomSampler(seed=seed)


def _distribution(item: dict) -> BaseDistribution:
    if item["Type"] == "Categorical":
        return CategoricalDistribution(item["Values"])
    low, high = limits(item)
    scaling = item.get("ScalingType", "Auto")
    by_ratio = scaling == "Auto" and low > 0 and high / low >= LOG_FROM
    is_log = scaling == "Logarithmic" or by_ratio
    if item["Type"] == "Integer":
        return IntDistribution(low, high, log=is_log)
    if scaling == "ReverseLogarithmic":  # fine steps near 1: the logarithm of 1 - x is uniform
        return FloatDistribution(math.log(1 - high), math.log(1 - low))
    return FloatDistribution(low, high, log=is_log)


def _text(item: dict, drawn: str | float) -> str:
    """A value of the distribution as the hyperparameter."""
    if item.get("ScalingType") == "ReverseLogarithmic":
        low, high = limits(item)
        return str(min(max(1 - math.exp(drawn), low), high))
    return str(drawn)


def _number(item: dict, text: str) -> str | float:
    """A hyperparameter as the value of the distribution, the inverse of `_text`."""
    if item["Type"] == "Categorical":
        return text
    if item.get("ScalingType") == "ReverseLogarithmic":
        return math.log(1 - float(text))
    return int(text) if item["Type"] == "Integer" else float(text)
