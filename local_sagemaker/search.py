"""Search strategies: SageMaker's parameter ranges, drawn by Optuna."""

from __future__ import annotations

import itertools
import math
import warnings

import optuna

from local_sagemaker.validation import invalid

optuna.logging.set_verbosity(optuna.logging.WARNING)
warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)

STRATEGIES = ("Bayesian", "Random", "Grid")
RANDOM_FIRST = 3  # jobs before the Bayesian model has something to learn from
LOG_FROM = 100  # Auto scaling: ranges of at least this ratio are searched on a log scale


def ranges_of(config: dict) -> dict[str, dict]:
    """All parameter ranges by name, each with its ``Type``, checked.

    Raises:
        ApiError: ValidationException for limits that are no numbers, out of order, or cannot be
            scaled as asked.
    """
    found = {}
    for kind in ("Integer", "Continuous", "Categorical"):
        for item in config.get("ParameterRanges", {}).get(f"{kind}ParameterRanges", []):
            found[item["Name"]] = {**item, "Type": kind}
    if not found:
        raise invalid("HyperParameterTuningJobConfig.ParameterRanges holds no range")
    for item in found.values():
        if item["Type"] != "Categorical":
            _check_limits(item)
        elif not item["Values"]:
            raise invalid(f"the categorical range '{item['Name']}' has no values")
    return found


def _limits(item: dict) -> tuple[float, float]:
    number = int if item["Type"] == "Integer" else float
    return number(item["MinValue"]), number(item["MaxValue"])


def _check_limits(item: dict) -> None:
    name, scaling = item["Name"], item.get("ScalingType", "Auto")
    try:
        low, high = _limits(item)
    except ValueError:
        limits = f"'{item['MinValue']}' and '{item['MaxValue']}'"
        raise invalid(f"the limits {limits} of '{name}' are no {item['Type']} numbers") from None
    if low >= high:
        raise invalid(f"the range '{name}' needs MinValue < MaxValue, not {low} and {high}")
    if scaling == "Logarithmic" and low <= 0:
        raise invalid(f"Logarithmic scaling of '{name}' needs MinValue > 0, not {low}")
    if scaling == "ReverseLogarithmic" and not 0 <= low < high < 1:
        raise invalid(f"ReverseLogarithmic scaling of '{name}' needs 0 <= MinValue < MaxValue < 1")


def study(config: dict) -> optuna.Study:
    """An Optuna study for a tuning job's configuration.

    Raises:
        ApiError: ValidationException for a strategy that is not done here.
    """
    strategy, seed = config["Strategy"], config.get("RandomSeed")
    ranges = ranges_of(config)
    if strategy == "Bayesian":
        # Constant liar: jobs running in parallel do not all try the same place.
        sampler = optuna.samplers.TPESampler(
            n_startup_trials=RANDOM_FIRST, multivariate=True, constant_liar=True, seed=seed
        )
    elif strategy in {"Random", "Grid"}:
        sampler = optuna.samplers.RandomSampler(seed=seed)
    else:
        known = ", ".join(STRATEGIES)
        raise invalid(f"Strategy '{strategy}': local_sagemaker searches by {known}")
    goal = config["HyperParameterTuningJobObjective"]["Type"].lower()
    made = optuna.create_study(direction=goal, sampler=sampler)
    # Optuna's own GridSampler ends its study by itself, which ask-and-tell does not survive.
    for combination in grid(ranges) if strategy == "Grid" else ():
        made.enqueue_trial(combination)
    return made


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


def draw(trial: optuna.Trial, ranges: dict[str, dict]) -> dict[str, str]:
    """One value for each range, as the strings that a training job gets."""
    return {name: _draw_one(trial, item) for name, item in ranges.items()}


def _draw_one(trial: optuna.Trial, item: dict) -> str:
    name, scaling = item["Name"], item.get("ScalingType", "Auto")
    if item["Type"] == "Categorical":
        return trial.suggest_categorical(name, item["Values"])
    low, high = _limits(item)
    by_ratio = scaling == "Auto" and low > 0 and high / low >= LOG_FROM
    is_log = scaling == "Logarithmic" or by_ratio
    if item["Type"] == "Integer":
        return str(trial.suggest_int(name, low, high, log=is_log))
    if scaling == "ReverseLogarithmic":  # fine steps near 1: the logarithm of 1 - x is uniform
        distance = trial.suggest_float(name, math.log(1 - high), math.log(1 - low))
        return str(min(max(1 - math.exp(distance), low), high))
    return str(trial.suggest_float(name, low, high, log=is_log))
