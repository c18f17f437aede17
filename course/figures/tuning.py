"""How a tuning job's search went: what it tried, and how good that was."""

from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, PercentFormatter

from course.figures.style import BLUE, ORANGE, QUIET, in_style

STATUS, OBJECTIVE = "TrainingJobStatus", "FinalObjectiveValue"


@in_style
def search(table: pd.DataFrame, parameter: str = "lr") -> Figure:
    """The accuracy of each job beside the best so far, and the values that the search proposed.

    The upper panel has the objective of each job, in the order of their start, and a line for the
    best of the jobs up to there. The lower panel has the value of one hyperparameter in each job on
    a logarithmic axis; the darker the dot, the higher the objective.

    Args:
        table: one row a job, in the order of their start, with the columns of
            HyperparameterTuningJobAnalytics: FinalObjectiveValue (a share, 0 to 1),
            TrainingJobStatus if there is one, and the hyperparameters. Jobs without an objective
            are left out; those that did not complete are drawn hollow and are no best ones.
        parameter: the hyperparameter of the lower panel; all values must be positive.

    Raises:
        ValueError: a column is missing, or no job completed with an objective.
    """
    scores, done = _completed(table, parameter)
    values = pd.to_numeric(table[parameter], errors="coerce").to_numpy(dtype=float)
    figure, (upper, lower) = plt.subplots(2, 1, figsize=(5.6, 5), sharex=True)
    numbers = np.arange(1, len(table) + 1)
    best = np.maximum.accumulate(np.where(done, scores, -np.inf))
    _scores(upper, numbers, scores, done, best)
    _proposals(lower, numbers, values, scores, parameter)
    figure.suptitle(_finding(best), x=0.01, ha="left", fontsize=11)
    return figure


def searched(table: pd.DataFrame, ranges: Mapping[str, Any], first: int = 3) -> str:
    """Whether the later jobs of a search beat its first ones, and what it left out, in words.

    Args:
        table: as for `search`, with a column for each of the `ranges`.
        ranges: the hyperparameters that were searched; those that have `values`, such as a
            CategoricalParameter, are looked through for values that no job had.
        first: how many jobs count as the first ones.

    Raises:
        ValueError: a column is missing, or no job completed with an objective.
    """
    scores, done = _completed(table, *ranges)
    ranked = np.where(done, scores, -np.inf)
    lines = [_compared(ranked[:first], ranked[first:])]
    for name, span in ranges.items():
        tried = set(table[name].dropna().astype(str))
        left = [value for value in map(str, getattr(span, "values", ())) if value not in tried]
        if left:
            lines.append(f"No job tried {name} {' or '.join(left)}.")
    return "\n".join(lines)


def _compared(first: np.ndarray, later: np.ndarray) -> str:
    """The best of the first jobs beside those of the later ones; -inf is a job without a result."""
    if not np.isfinite(first).any() or not np.isfinite(later).any():
        return "Too few jobs completed to compare the first ones with the later ones."
    top, ended = first.max(), later[np.isfinite(later)]
    proposed = len(first) + int(np.argmax(later)) + 1
    return (
        f"The best of the first {len(first)} jobs is job {int(np.argmax(first)) + 1}: {top:.1%}.\n"
        f"The best of the {len(ended)} later ones is job {proposed}: {ended.max():.1%}.\n"
        f"Later jobs that beat the best of the first: {int((ended > top).sum())} of {len(ended)}."
    )


def _completed(table: pd.DataFrame, *parameters: str) -> tuple[np.ndarray, np.ndarray]:
    """The objective of each job, NaN for none, and which jobs completed with one."""
    missing = [name for name in (OBJECTIVE, *parameters) if name not in table]
    if missing:
        raise ValueError(f"the table has no column {', '.join(missing)}, but {list(table)}")
    scores = pd.to_numeric(table[OBJECTIVE], errors="coerce").to_numpy(dtype=float)
    done = ~np.isnan(scores)
    if STATUS in table:
        done &= (table[STATUS] == "Completed").to_numpy()
    if not done.any():
        raise ValueError(f"no job among {len(table)} completed with an objective")
    return scores, done


def _scores(
    axis: Axes, numbers: np.ndarray, scores: np.ndarray, done: np.ndarray, best: np.ndarray
) -> None:
    known = np.isfinite(best)
    axis.step(
        numbers[known], best[known], where="post", color=ORANGE, linewidth=2, label="best so far"
    )
    axis.scatter(numbers[done], scores[done], 50, color=BLUE, zorder=3, label="job")
    stopped = ~done & ~np.isnan(scores)
    if stopped.any():
        axis.scatter(
            numbers[stopped], scores[stopped], 50, facecolor="white", edgecolor=QUIET,
            zorder=3, label="stopped or failed",
        )  # fmt: skip
    axis.set_ylabel("validation accuracy")
    axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axis.yaxis.set_major_locator(MaxNLocator(5))
    axis.margins(y=0.15)
    axis.legend(loc="best", frameon=False)


def _proposals(
    axis: Axes, numbers: np.ndarray, values: np.ndarray, scores: np.ndarray, parameter: str
) -> None:
    known = ~np.isnan(scores)
    dots = axis.scatter(
        numbers[known], values[known], 90, c=scores[known], cmap="Blues", edgecolor=BLUE,
        vmin=max(0.0, 2 * np.nanmin(scores) - np.nanmax(scores)), zorder=3,
    )  # fmt: skip
    axis.set_yscale("log")
    axis.yaxis.set_major_locator(LogLocator(subs=(1, 3)))
    axis.yaxis.set_major_formatter("{x:g}")
    axis.yaxis.set_minor_formatter(NullFormatter())
    axis.margins(y=0.2)
    axis.set_ylabel({"lr": "learning rate"}.get(parameter, parameter))
    axis.set_xlabel("training job, in the order of their start")
    axis.set_xticks(numbers)
    bar = axis.figure.colorbar(dots, ax=axis, orientation="horizontal", aspect=40, pad=0.02)
    bar.set_label("validation accuracy")
    bar.ax.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    bar.outline.set_visible(False)


def _finding(best: np.ndarray) -> str:
    """The largest gain of the best so far, and where it ended, for any outcome."""
    known = np.flatnonzero(np.isfinite(best))  # from the first job that completed on
    gains = np.diff(best[known])
    last = int(np.argmax(best == best[-1]))
    if not gains.any():
        return f"No later job beat job {last + 1}: {best[-1]:.1%}"
    jump = int(known[1 + np.argmax(gains)])
    found = f"Largest gain: {best[jump - 1]:.1%} to {best[jump]:.1%} with job {jump + 1}"
    return (
        f"{found}, the best" if jump == last else f"{found}; best: {best[-1]:.1%}, job {last + 1}"
    )
