"""Ranges become values, and the Bayesian search learns."""

import math
import statistics

import pytest

from local_sagemaker.core.errors import ApiError
from local_sagemaker.tuning import ranges, search


def searching(strategy="Random", seed=7, goal="Minimize", **kinds):
    asked = {f"{kind}ParameterRanges": items for kind, items in kinds.items()}
    return search.Search(strategy, ranges.of(asked), goal, seed)


def between(name, low, high, scaling="Auto"):
    return {"Name": name, "MinValue": str(low), "MaxValue": str(high), "ScalingType": scaling}


def draws(one, count=200):
    return [one.draw()[1] for _ in range(count)]


def test_values_are_strings_inside_their_ranges():
    found = draws(
        searching(
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
    found = draws(searching(Continuous=[between("x", low, high, scaling)]), 400)
    got = statistics.median(float(values["x"]) for values in found)
    distance = math.log10(1 - got) if scaling == "ReverseLogarithmic" else math.log10(got)
    wanted = math.log10(1 - median) if scaling == "ReverseLogarithmic" else math.log10(median)
    assert distance == pytest.approx(wanted, abs=0.25)


def test_integers_on_a_log_scale_are_integers():
    found = draws(searching(Integer=[between("units", 1, 1000, "Logarithmic")]), 40)
    numbers = [int(values["units"]) for values in found]
    assert min(numbers) >= 1 and max(numbers) <= 1000
    assert statistics.median(numbers) < 120


def minimum(strategy, seed, jobs=25):
    """The best value that a search finds on a bowl around (0.3, 0.01)."""
    one = searching(
        strategy, seed, Continuous=[between("x", 0, 1, "Linear"), between("lr", 1e-5, 1)]
    )
    for _ in range(jobs):
        trial, drawn = one.draw()
        values = {name: float(value) for name, value in drawn.items()}
        bowl = (values["x"] - 0.3) ** 2 + (math.log10(values["lr"]) + 2) ** 2 / 25
        one.study.tell(trial, bowl)
    return one.study.best_value


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
    one = searching(
        "Grid",
        Categorical=[
            {"Name": "batch", "Values": ["16", "32", "64"]},
            {"Name": "net", "Values": ["vgg", "resnet"]},
        ],
    )
    found = [tuple(one.draw()[1].values()) for _ in range(6)]
    assert sorted(found) == sorted((b, n) for b in ("16", "32", "64") for n in ("vgg", "resnet"))


def test_the_grid_takes_categories_only():
    with pytest.raises(ApiError, match="categorical ranges only"):
        searching("Grid", Continuous=[between("lr", 0, 1)])


@pytest.mark.parametrize("strategy", ["Random", "Bayesian"])
def test_no_choice_is_tried_twice_while_there_are_others(strategy):
    net = {"Name": "net", "Values": ["vgg", "resnet"]}
    one = searching(strategy, Categorical=[net], Integer=[between("n", 1, 3)])
    found = [tuple(values.values()) for values in draws(one, 6)]
    assert len(set(found)) == 6
    trial, _ = one.draw()  # and then it goes on all the same
    one.study.tell(trial, 1.0)


def test_what_others_found_is_learnt_if_it_fits():
    one = searching(
        "Bayesian",
        Categorical=[{"Name": "net", "Values": ["vgg", "resnet"]}],
        Integer=[between("n", 1, 8)],
        Continuous=[between("m", 0.9, 0.999, "ReverseLogarithmic"), between("lr", 1e-3, 1)],
    )
    fits = {"net": "vgg", "n": "2", "m": "0.99", "lr": "0.1", "unknown": "static"}
    assert one.learn(fits, 0.5)
    wrong = [{"net": "alexnet"}, {"n": "9"}, {"n": "many"}, {"m": "0.5"}, {"lr": "2"}]
    assert not any(one.learn({**fits, **change}, 0.1) for change in wrong)
    assert not one.learn({"net": "vgg"}, 0.1)
    assert one.study.best_value == 0.5


def test_the_bayesian_search_begins_where_others_ended():
    """After 20 results around x = 0.2 its first choices lie there; uniform ones would not."""
    one = searching("Bayesian", Continuous=[between("x", 0, 1, "Linear")])
    for step in range(20):
        x = step / 20
        assert one.learn({"x": str(x)}, (x - 0.2) ** 2)
    first = [float(values["x"]) for values in draws(one, 5)]
    assert statistics.mean(abs(x - 0.2) for x in first) < 0.1
