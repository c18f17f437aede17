"""What docs/tuning.md says about its measured tables is true of them."""

import re

from course.workspace import ROOT

PAGE = (ROOT / "docs" / "tuning.md").read_text()
NUMBER = r"(\d+(?:\.\d+)?)%"


def row(name):
    """The percentages in the row with this name: a mean, then the two ends of its range."""
    [line] = re.findall(rf"^\| {re.escape(name)} \|(.+)$", PAGE, re.M)
    return [float(value) for value in re.findall(NUMBER, line)]


def test_random_and_bayesian_search():
    random, bayesian = row("Random"), row("Bayesian")
    assert random[:3] == bayesian[:3]  # after three jobs
    after_six, after_twelve = bayesian[3] - random[3], bayesian[6] - random[6]
    assert abs(after_six) < 0.5 and 0 < after_twelve < 1
    assert after_six < random[5] - random[4] and after_twelve < random[8] - random[7]
    assert random[4] - random[1] > 3 and bayesian[4] - bayesian[1] > 3


def test_early_stopping():
    whole, stopped = row("without early stopping"), row("with early stopping")
    assert 55 <= stopped[0] <= 65
    assert abs(whole[1] - stopped[1]) < 0.5


def test_a_warm_start():
    cold, warm = row("from nothing"), row("after a warm start from 6 other jobs")
    assert cold[0] == warm[0]
