"""How a search went: the best so far, and a title that holds for any outcome."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from course import figures

LR = [1e-3, 3e-4, 3e-3, 1e-4]


@pytest.fixture(autouse=True)
def nothing_stays_open():
    yield
    assert plt.get_fignums() == []


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
    assert title(figure) == "Best so far: 50.0% after job 1, 70.0% from job 3 on"
    assert figure.axes[1].get_yscale() == "log"
    assert figure.axes[1].collections[0].get_offsets()[:, 1].tolist() == LR


@pytest.mark.parametrize("scores", [[0.7, 0.4, 0.7, 0.6], [0.7]])
def test_a_search_that_found_nothing_better_is_called_that(scores):
    assert title(figures.search(table(scores))) == "No later job beat job 1: 70.0%"


def test_a_stopped_job_is_no_best_one_and_a_failed_one_has_no_dot():
    status = ["Failed", "Stopped", "Completed", "Completed"]
    figure = figures.search(table([None, 0.9, 0.7, 0.8], status))
    assert title(figure) == "Best so far: 70.0% after job 3, 80.0% from job 4 on"
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
