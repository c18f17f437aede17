"""The Hyperband strategy: which training jobs of a tuning job go on, epoch by epoch.

A job prints its objective once an epoch. Optuna's Hyperband compares jobs at a few epochs (rungs)
and lets the best third of each rung go on.
"""

from __future__ import annotations

import optuna

from local_sagemaker.core.errors import invalid

# Where Hyperband finds the epochs of a job, and their limit, by AWS's HyperbandStrategyConfig.
EPOCHS = ("epochs", "numepochs", "n-epochs", "n_epochs", "num_epochs")
MAX_RESOURCE = 20_000


class Hyperband:
    """Decides which training jobs of one definition are stopped."""

    def __init__(self, low: int, high: int) -> None:
        """A job runs for `low` to `high` epochs."""
        self.high = high
        self.pruner = optuna.pruners.HyperbandPruner(
            min_resource=low, max_resource=high, reduction_factor=3
        )

    def stops(self, trial: optuna.Trial, series: list[float]) -> bool:
        """Whether the job of `trial` is stopped after it has printed `series`."""
        epoch = len(series)
        if epoch < self.high:
            trial.report(series[-1], epoch)
            return trial.should_prune()
        return epoch > self.high  # in the last one it is about to end by itself, with its model


def check(config: dict) -> None:
    """Refuse what excludes the Hyperband strategy, or needs it.

    Args:
        config: HyperParameterTuningJobConfig.

    Raises:
        ApiError: ValidationException.
    """
    strategy = config["Strategy"]
    if strategy == "Hyperband" and config["TrainingJobEarlyStoppingType"] != "Off":
        raise invalid("TrainingJobEarlyStoppingType must be Off for the Hyperband strategy")
    if "StrategyConfig" in config and strategy != "Hyperband":
        raise invalid(f"StrategyConfig is for the Hyperband strategy, not for {strategy}")


def of(config: dict, static: dict[str, str]) -> Hyperband | None:
    """The Hyperband of one definition; None under another strategy.

    Args:
        config: HyperParameterTuningJobConfig.
        static: the definition's StaticHyperParameters, which may hold the number of epochs.

    Raises:
        ApiError: ValidationException, if the epochs cannot be told or are out of order.
    """
    return Hyperband(*epochs(config, static)) if config["Strategy"] == "Hyperband" else None


def epochs(config: dict, static: dict[str, str]) -> tuple[int, int]:
    """The least and the most epochs of a job; arguments and errors are those of `of`."""
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
