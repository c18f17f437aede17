"""What a tuning job tried."""

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from course.figures.style import BLUE, ORANGE, QUIET, in_style

FEW = 4  # values of a hyperparameter that may all be named on the axis


_NO_PARAMETERS = {
    "trainingjobname", "trainingjobstatus", "trainingstarttime", "trainingendtime",
    "trainingelapsedtimeseconds", "trainingjobarn", "status", "name", "job", "seconds",
    "finalobjectivevalue", "objective",
}  # fmt: skip


_DONE = {"completed", "succeeded"}


@in_style
def tuning(table: pd.DataFrame, objective: str | None = None, lowest: bool = False) -> Figure:
    """The objective against each hyperparameter, the best job highlighted.

    Args:
        table: one row a job: the hyperparameters, the objective and the status, in columns named
            as HyperparameterTuningJobAnalytics names them (FinalObjectiveValue,
            TrainingJobStatus) or plainly (objective, status).
        objective: the objective's column, where it is neither.
        lowest: the best objective is the lowest (a loss).

    A logarithmic axis is drawn where the values span more than a decade.

    Raises:
        ValueError: no objective column, no hyperparameter columns, or no job with an objective.
    """
    objective = objective or _column(table, ("FinalObjectiveValue", "objective"))
    status = _column(table, ("TrainingJobStatus", "status"), required=False)
    names = [
        name for name in table if name != objective and str(name).lower() not in _NO_PARAMETERS
    ]
    scores = pd.to_numeric(table[objective], errors="coerce")
    if scores.notna().sum() == 0 or not names:
        lacks = "job with an objective value" if names else "hyperparameter column"
        raise ValueError(f"there is no {lacks} among {len(table)} jobs, {list(table)}.")
    done = scores.notna()
    if status:
        done &= table[status].astype(str).str.lower().isin(_DONE)
    best = (scores[done] if done.any() else scores).agg("idxmin" if lowest else "idxmax")
    figure, axes = plt.subplots(
        1, len(names), figsize=(min(10.5, 2.6 * len(names) + 0.8), 2.9), sharey=True, squeeze=False
    )
    for axis, name in zip(axes.flat, names, strict=True):
        _range(axis, table[name], scores, done, best)
        axis.set_xlabel(name)
    axes[0, 0].set_ylabel(objective if objective != "FinalObjectiveValue" else "objective")
    stopped = " (hollow: stopped early or failed)" if not done[scores.notna()].all() else ""
    figure.suptitle(
        f"best of {len(table)} jobs: {scores[best]:.4g}{stopped}", x=0.01, ha="left", fontsize=11
    )
    return figure


def _column(table: pd.DataFrame, names: Sequence[str], required: bool = True) -> str | None:
    for name in names:
        if name in table:
            return name
    if required:
        raise ValueError(
            f"the table has no column {' or '.join(names)}, but {list(table)}. "
            "Name the objective's column: tuning(table, objective=...)."
        )
    return None


def _range(axis, values: pd.Series, scores: pd.Series, done: pd.Series, best: Any) -> None:
    """One panel: the objective against one hyperparameter."""
    numbers = pd.to_numeric(values, errors="coerce")
    if numbers.notna().sum() < values.notna().sum():  # categories
        names = sorted(values.dropna().astype(str).str.strip('"').unique())
        numbers = values.astype(str).str.strip('"').map({n: i for i, n in enumerate(names)})
        axis.set_xticks(range(len(names)), names)
        axis.set_xlim(-0.6, len(names) - 0.4)
    elif (numbers > 0).all() and numbers.max() > 10 * numbers.min():
        axis.set_xscale("log")
        axis.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
        axis.xaxis.set_major_formatter("{x:g}")
        axis.xaxis.set_minor_formatter(NullFormatter())
    elif numbers.nunique() <= FEW:
        axis.set_xticks(sorted(numbers.unique()))
    axis.scatter(numbers[done], scores[done], 34, color=BLUE, alpha=0.75, linewidth=0)
    axis.scatter(numbers[~done], scores[~done], 34, facecolor="none", edgecolor=QUIET)
    axis.scatter(
        [numbers[best]], [scores[best]], 130, color=ORANGE, marker="*", zorder=3, label="best"
    )
