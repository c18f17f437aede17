"""How a search went: the best so far, and a title that holds for any outcome."""

import pandas as pd
import pytest
from sagemaker.core.parameter import CategoricalParameter

from course import figures
from tests.support.drawn import texts

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
    assert title(figure) == "Best of jobs 1 to 3: 70.0%, of job 4: 60.0%"
    assert figure.axes[1].get_yscale() == "log"
    assert figure.axes[1].collections[0].get_offsets()[:, 1].tolist() == LR


def test_the_title_has_the_best_of_the_first_jobs_and_of_the_later_ones():
    figure = figures.search(table([0.4, 0.7, 0.75, 0.6]), first=2)
    assert title(figure) == "Best of jobs 1 to 2: 70.0%, of jobs 3 to 4: 75.0%"
    assert {"first 2 jobs", "later jobs"} <= set(texts(figure))


@pytest.mark.parametrize("scores", [[0.4, 0.7], [None, None, None, 0.7]])
def test_a_search_without_first_or_later_results_has_one_best(scores):
    found = title(figures.search(table(scores)))
    assert found == f"Best of {len(scores)} jobs: 70.0%, job {len(scores)}"


def test_the_colours_span_what_the_search_found():
    dots = figures.search(table([0.71, 0.70, 0.74, 0.72])).axes[1].collections[0]
    assert dots.get_clim() == (0.70, 0.74)
    low, high = figures.search(table([0.7, 0.7])).axes[1].collections[0].get_clim()
    assert low < 0.7 < high


def test_percentages_that_lie_close_are_told_apart():
    figure = figures.search(table([0.741, 0.745, 0.749, 0.743]))
    figure.canvas.draw()
    for axis in (figure.axes[0].yaxis, figure.axes[2].xaxis):
        shown = [label.get_text() for label in axis.get_ticklabels()]
        assert len(set(shown)) == len(shown) > 2


def test_later_jobs_are_compared_with_the_best_of_the_first():
    ranges = {"lr": object(), "batch-size": CategoricalParameter(["16", "32", "64"])}
    jobs = table([0.4, 0.7, 0.6, 0.75]).assign(**{"batch-size": [16, 32, 16, 16]})
    assert figures.searched(jobs, ranges, first=2).splitlines() == [
        "The best of the first 2 jobs is job 2: 70.0%.",
        "The best of the 2 later ones is job 4: 75.0%.",
        "So the search got better by 5.0 points: 1 of 2 later jobs beat the best of the first 2.",
        "No job tried batch-size 64.",
    ]
    jobs["batch-size"] = [16, 32, 64, 16]
    assert figures.searched(jobs, ranges).endswith(
        "1 of 1 later jobs beat the best of the first 3."
    )
    jobs["FinalObjectiveValue"] = [0.4, 0.7, 0.6, 0.7]
    assert "So the search did not get better: 0 of 1 later" in figures.searched(jobs, ranges)


@pytest.mark.parametrize("scores", [[0.7, 0.4], [None, None, None, 0.6]])
def test_too_few_jobs_are_not_compared(scores):
    assert figures.searched(table(scores), {}).startswith("Too few jobs completed")


def test_a_stopped_job_is_no_best_one_and_a_failed_one_has_no_dot():
    status = ["Failed", "Stopped", "Completed", "Completed"]
    figure = figures.search(table([None, 0.9, 0.7, 0.8], status))
    assert title(figure) == "Best of jobs 1 to 3: 70.0%, of job 4: 80.0%"
    assert line(figure) == [0.7, 0.8]
    labels = {each.get_label(): len(each.get_offsets()) for each in figure.axes[0].collections}
    assert labels == {"one job": 2, "stopped or failed": 1}
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
        "training jobs, in order of their start",
    ]
