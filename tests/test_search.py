"""Ranges become values, and the Bayesian search learns."""

import math
import statistics

import pytest

from local_sagemaker import search
from local_sagemaker.validation import ApiError


def config(strategy="Random", seed=7, goal="Minimize", **ranges):
    return {
        "Strategy": strategy,
        "RandomSeed": seed,
        "HyperParameterTuningJobObjective": {"Type": goal, "MetricName": "loss"},
        "ParameterRanges": {f"{kind}ParameterRanges": items for kind, items in ranges.items()},
    }


def between(name, low, high, scaling="Auto"):
    return {"Name": name, "MinValue": str(low), "MaxValue": str(high), "ScalingType": scaling}


def draws(configuration, count=200):
    ranges, study = search.ranges_of(configuration), search.study(configuration)
    return [search.draw(study.ask(), ranges) for _ in range(count)]


def test_values_are_strings_inside_their_ranges():
    found = draws(
        config(
            Integer=[between("epochs", 1, 4)],
            Continuous=[between("lr", 0.25, 0.5)],
            Categorical=[{"Name": "batch", "Values": ["16", "32"]}],
        )
    )
    assert {values["epochs"] for values in found} == {"1", "2", "3", "4"}
    assert {values["batch"] for values in found} == {"16", "32"}
    assert all(isinstance(v["lr"], str) and 0.25 <= float(v["lr"]) <= 0.5 for v in found)


@pytest.mark.parametrize(
    ("scaling", "low", "high", "median"),
    [
        ("Linear", 1e-5, 1e-1, 0.05),
        ("Logarithmic", 1e-5, 1e-1, 1e-3),
        ("Auto", 1e-5, 1e-1, 1e-3),
        ("Auto", 0.5, 0.9, 0.7),
        ("ReverseLogarithmic", 0.9, 0.999, 0.99),
    ],
)
def test_scaling_puts_the_median_where_it_belongs(scaling, low, high, median):
    found = draws(config(Continuous=[between("x", low, high, scaling)]), 400)
    got = statistics.median(float(values["x"]) for values in found)
    distance = math.log10(1 - got) if scaling == "ReverseLogarithmic" else math.log10(got)
    wanted = math.log10(1 - median) if scaling == "ReverseLogarithmic" else math.log10(median)
    assert distance == pytest.approx(wanted, abs=0.25)


def test_integers_on_a_log_scale_are_integers():
    found = draws(config(Integer=[between("units", 1, 1000, "Logarithmic")]))
    numbers = [int(values["units"]) for values in found]
    assert min(numbers) >= 1 and max(numbers) <= 1000
    assert statistics.median(numbers) < 120


def minimum(strategy, seed, jobs=25):
    """The best value that a search finds on a bowl around (0.3, 0.01)."""
    configuration = config(
        strategy, seed, Continuous=[between("x", 0, 1, "Linear"), between("lr", 1e-5, 1)]
    )
    ranges, study = search.ranges_of(configuration), search.study(configuration)
    for _ in range(jobs):
        trial = study.ask()
        values = {name: float(value) for name, value in search.draw(trial, ranges).items()}
        bowl = (values["x"] - 0.3) ** 2 + (math.log10(values["lr"]) + 2) ** 2 / 25
        study.tell(trial, bowl)
    return study.best_value


def test_bayesian_search_beats_random_search_on_a_bowl():
    seeds = range(12)
    bayesian = statistics.mean(minimum("Bayesian", seed) for seed in seeds)
    random = statistics.mean(minimum("Random", seed) for seed in seeds)
    assert bayesian < random / 1.5


@pytest.mark.parametrize("strategy", ["Bayesian", "Random"])
def test_a_seed_repeats_a_search_and_another_does_not(strategy):
    assert minimum(strategy, 3, jobs=8) == minimum(strategy, 3, jobs=8)
    assert minimum(strategy, 3, jobs=8) != minimum(strategy, 4, jobs=8)


def test_the_grid_is_tried_completely_and_once():
    configuration = config(
        "Grid",
        Categorical=[
            {"Name": "batch", "Values": ["16", "32", "64"]},
            {"Name": "net", "Values": ["vgg", "resnet"]},
        ],
    )
    ranges, study = search.ranges_of(configuration), search.study(configuration)
    found = []
    for _ in search.grid(ranges):
        trial = study.ask()
        found.append(tuple(search.draw(trial, ranges).values()))
        study.tell(trial, 1.0)
    assert sorted(found) == sorted((b, n) for b in ("16", "32", "64") for n in ("vgg", "resnet"))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (config(), "holds no range"),
        (config(Continuous=[between("lr", "low", 1)]), "no Continuous numbers"),
        (config(Integer=[between("n", 1.5, 3)]), "no Integer numbers"),
        (config(Continuous=[between("lr", 1, 1)]), "MinValue < MaxValue"),
        (config(Continuous=[between("lr", 0, 1, "Logarithmic")]), "MinValue > 0"),
        (config(Continuous=[between("m", 0.5, 2, "ReverseLogarithmic")]), "ReverseLogarithmic"),
        (config(Categorical=[{"Name": "c", "Values": []}]), "no values"),
        (config("Hyperband", Continuous=[between("lr", 0, 1)]), "Bayesian, Random, Grid"),
        (config("Grid", Continuous=[between("lr", 0, 1)]), "categorical ranges only"),
    ],
)
def test_what_cannot_be_searched_is_refused(wrong, words):
    with pytest.raises(ApiError, match=words):
        search.study(wrong)
