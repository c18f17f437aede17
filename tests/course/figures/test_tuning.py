"""How a search went: the best so far, and a title that holds for any outcome."""

import pandas as pd
import pytest
from sagemaker.core.parameter import CategoricalParameter

from course import figures

LR = [1e-3, 3e-4, 3e-3, 1e-4]


def table(scores, status=None):
    columns = {"lr": LR[: len(scores)], "FinalObjectiveValue": scores}
    if status:
        columns["TrainingJobStatus"] = status
    return pd.DataFrame(columns)


def title(figure):
    return figure._suptitle.get_text()


def line(figure):
    """The heights of the line of the best so far."""
    return figure.axes[0].lines[0].get_ydata().tolist()


def test_the_line_is_the_best_of_the_jobs_up_to_there():
    figure = figures.search(table([0.5, 0.4, 0.7, 0.6]))
    assert line(figure) == [0.5, 0.5, 0.7, 0.7]
    assert title(figure) == "Largest gain: 50.0% to 70.0% with job 3, the best"
    assert figure.axes[1].get_yscale() == "log"
    assert figure.axes[1].collections[0].get_offsets()[:, 1].tolist() == LR


@pytest.mark.parametrize("scores", [[0.7, 0.4, 0.7, 0.6], [0.7]])
def test_a_search_that_found_nothing_better_is_called_that(scores):
    assert title(figures.search(table(scores))) == "No later job beat job 1: 70.0%"


def test_the_title_names_the_largest_gain_and_not_only_the_ends():
    figure = figures.search(table([0.4, 0.7, 0.75, 0.6]))
    assert title(figure) == "Largest gain: 40.0% to 70.0% with job 2; best: 75.0%, job 3"


def test_later_jobs_are_compared_with_the_best_of_the_first():
    ranges = {"lr": object(), "batch-size": CategoricalParameter(["16", "32", "64"])}
    jobs = table([0.4, 0.7, 0.6, 0.75]).assign(**{"batch-size": [16, 32, 16, 16]})
    assert figures.searched(jobs, ranges, first=2).splitlines() == [
        "The best of the first 2 jobs is job 2: 70.0%.",
        "The best of the 2 later ones is job 4: 75.0%.",
        "Later jobs that beat the best of the first: 1 of 2.",
        "No job tried batch-size 64.",
    ]
    jobs["batch-size"] = [16, 32, 64, 16]
    assert figures.searched(jobs, ranges).endswith("beat the best of the first: 1 of 1.")


@pytest.mark.parametrize("scores", [[0.7, 0.4], [None, None, None, 0.6]])
def test_too_few_jobs_are_not_compared(scores):
    assert figures.searched(table(scores), {}).startswith("Too few jobs completed")


def test_a_stopped_job_is_no_best_one_and_a_failed_one_has_no_dot():
    status = ["Failed", "Stopped", "Completed", "Completed"]
    figure = figures.search(table([None, 0.9, 0.7, 0.8], status))
    assert title(figure) == "Largest gain: 70.0% to 80.0% with job 4, the best"
    assert line(figure) == [0.7, 0.8]
    labels = {each.get_label(): len(each.get_offsets()) for each in figure.axes[0].collections}
    assert labels == {"job": 2, "stopped or failed": 1}
    assert len(figure.axes[1].collections[0].get_offsets()) == 3


def test_what_is_missing_is_told():
    with pytest.raises(ValueError, match="no column momentum, but"):
        figures.search(table([0.5]), parameter="momentum")
    with pytest.raises(ValueError, match="no job among 1 completed"):
        figures.search(table([0.5], ["Stopped"]))


def test_axes_are_named():
    figure = figures.search(table([0.5, 0.4]))
    names = [figure.axes[0].get_ylabel(), figure.axes[1].get_ylabel(), figure.axes[1].get_xlabel()]
    assert names == [
        "validation accuracy",
        "learning rate",
        "training job, in the order of their start",
    ]
