"""When a training job of a tuning job is stopped before its end.

A job prints its objective once an epoch; the values so far are the job's series.
"""

from __future__ import annotations

import statistics

import optuna

from local_sagemaker.validation import invalid

# Where Hyperband finds the epochs of a job, and their limit, by AWS's HyperbandStrategyConfig.
EPOCHS = ("epochs", "numepochs", "n-epochs", "n_epochs", "num_epochs")
MAX_RESOURCE = 20_000


def is_worse_than_median(series: list[float], earlier: list[list[float]], goal: str) -> bool:
    """AWS's rule for `TrainingJobEarlyStoppingType` Auto.

    The last value of `series` is worse than the median, over the earlier jobs that came as far,
    of the average of their values up to the same epoch (AWS's developer guide, "Stop Training
    Jobs Early"). In the epoch that was the last of all earlier jobs nothing is worse: the job is
    about to end by itself, and stopping it would save nothing and lose its model.
    """
    epoch = len(series)
    if epoch >= max(map(len, earlier), default=0):
        return False
    median = statistics.median(
        statistics.fmean(other[:epoch]) for other in earlier if len(other) >= epoch
    )
    return series[-1] < median if goal == "Maximize" else series[-1] > median


def hyperband_resources(config: dict, static: dict[str, str]) -> tuple[int, int]:
    """The least and the most epochs of a job under the Hyperband strategy.

    Args:
        config: HyperParameterTuningJobConfig.
        static: the definition's StaticHyperParameters, which may hold the number of epochs.

    Raises:
        ApiError: ValidationException, if they cannot be told or are out of order.
    """
    asked = config.get("StrategyConfig", {}).get("HyperbandStrategyConfig", {})
    low, high = asked.get("MinResource", 1), asked.get("MaxResource")
    if high is None:
        texts = [static[name].strip('"') for name in EPOCHS if name in static]
        if not texts or not texts[0].isdecimal():
            raise invalid(
                "Hyperband needs MaxResource in the HyperbandStrategyConfig, or a whole number in "
                f"one of the StaticHyperParameters {', '.join(EPOCHS)}"
            )
        high = int(texts[0])
    if not low <= high <= MAX_RESOURCE:
        raise invalid(
            f"Hyperband needs MinResource <= MaxResource <= {MAX_RESOURCE}, not {low} and {high}"
        )
    return low, high


def hyperband(low: int, high: int) -> optuna.pruners.HyperbandPruner:
    """Optuna's Hyperband between `low` and `high` epochs: a third of each rung goes on."""
    return optuna.pruners.HyperbandPruner(min_resource=low, max_resource=high, reduction_factor=3)
