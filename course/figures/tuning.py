"""How a tuning job's search went: what it tried, and how good that was."""

from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from course.figures.style import BLUE, INK, ORANGE, QUIET, in_style

STATUS, OBJECTIVE = "TrainingJobStatus", "FinalObjectiveValue"
# Blues without their palest, which would look like the hollow dot of a stopped job.
SCALE = ListedColormap(plt.get_cmap("Blues")(np.linspace(0.2, 1, 256)))


@in_style
def search(table: pd.DataFrame, parameter: str = "lr", first: int = 3) -> Figure:
    """The accuracy of each job beside the best so far, and the values that the search proposed.

    The upper panel has the objective of each job, in the order of their start, and a line for the
    best of the jobs up to there. The lower panel has the value of one hyperparameter in each job on
    a logarithmic axis; the darker the dot, the higher the objective, from the lowest to the highest
    of this search. A line separates the first jobs from the later ones, and the title has the best
    of both.

    Args:
        table: one row for each job, in the order of their start, with the columns of
            HyperparameterTuningJobAnalytics: FinalObjectiveValue (a share, 0 to 1),
            TrainingJobStatus if there is one, and the hyperparameters. Jobs without an objective
            are left out; those that did not complete are drawn hollow and are no best ones.
        parameter: the hyperparameter of the lower panel; all values must be positive.
        first: how many jobs count as the first ones.

    Raises:
        ValueError: a column is missing, or no job completed with an objective.
    """
    scores, done = _completed(table, parameter)
    values = pd.to_numeric(table[parameter], errors="coerce").to_numpy(dtype=float)
    figure, (upper, lower) = plt.subplots(2, 1, figsize=(5.6, 5), sharex=True)
    numbers = np.arange(1, len(table) + 1)
    ranked = np.where(done, scores, -np.inf)
    _scores(upper, numbers, scores, done, np.maximum.accumulate(ranked))
    _proposals(lower, numbers, values, scores, parameter)
    if first < len(table):
        _divide(upper, lower, first)
    figure.suptitle(_finding(ranked, first), x=0.01, ha="left", fontsize=11)
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
    lines = [*_compared(ranked[:first], ranked[first:])]
    for name, span in ranges.items():
        tried = set(table[name].dropna().astype(str))
        left = [value for value in map(str, getattr(span, "values", ())) if value not in tried]
        if left:
            lines.append(f"No job tried {name} {' or '.join(left)}.")
    return "\n".join(lines)


def _compared(first: np.ndarray, later: np.ndarray) -> list[str]:
    """The best of the first jobs beside those of the later ones; -inf is a job without a result."""
    if not np.isfinite(first).any() or not np.isfinite(later).any():
        return ["Too few jobs completed to compare the first ones with the later ones."]
    top, ended = first.max(), later[np.isfinite(later)]
    proposed, better = len(first) + int(np.argmax(later)) + 1, int((ended > top).sum())
    gain = 100 * (ended.max() - top)
    verdict = f"got better by {gain:.1f} points" if better else "did not get better"
    return [
        f"The best of the first {len(first)} jobs is job {int(np.argmax(first)) + 1}: {top:.1%}.",
        f"The best of the {len(ended)} later ones is job {proposed}: {ended.max():.1%}.",
        f"So the search {verdict}: {better} of {len(ended)} later jobs beat the best of the first "
        f"{len(first)}.",
    ]


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


def _percent(share: float, _: int | None = None) -> str:
    """A share as a tick's text, with as many digits as it needs."""
    return f"{100 * share:.4g}%"


def _scores(
    axis: Axes, numbers: np.ndarray, scores: np.ndarray, done: np.ndarray, best: np.ndarray
) -> None:
    known = np.isfinite(best)
    axis.step(
        numbers[known], best[known], where="post", color=ORANGE, linewidth=2, label="best so far"
    )
    axis.scatter(numbers[done], scores[done], 50, color=BLUE, zorder=3, label="one job")
    stopped = ~done & ~np.isnan(scores)
    if stopped.any():
        axis.scatter(
            numbers[stopped], scores[stopped], 50, facecolor="white", edgecolor=QUIET,
            zorder=3, label="stopped or failed",
        )  # fmt: skip
    axis.set_ylabel("validation accuracy")
    axis.yaxis.set_major_formatter(_percent)
    axis.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    axis.margins(y=0.15)
    axis.legend(loc="best", frameon=False)


def _proposals(
    axis: Axes, numbers: np.ndarray, values: np.ndarray, scores: np.ndarray, parameter: str
) -> None:
    known = ~np.isnan(scores)
    low, high = np.nanmin(scores), np.nanmax(scores)
    if low == high:  # one colour for all, in the middle of a scale
        low, high = low - 0.01, high + 0.01
    dots = axis.scatter(
        numbers[known], values[known], 90, c=scores[known], cmap=SCALE, edgecolor=BLUE,
        vmin=low, vmax=high, zorder=3,
    )  # fmt: skip
    axis.set_yscale("log")
    axis.yaxis.set_major_locator(LogLocator(subs=(1, 3)))
    axis.yaxis.set_major_formatter("{x:g}")
    axis.yaxis.set_minor_formatter(NullFormatter())
    axis.margins(y=0.2)
    axis.set_ylabel({"lr": "learning rate"}.get(parameter, parameter))
    axis.set_xlabel("training jobs, in order of their start")
    axis.set_xticks(numbers)
    bar = axis.figure.colorbar(dots, ax=axis, orientation="horizontal", aspect=40, pad=0.02)
    bar.set_label("colour of a dot: validation accuracy of the job")
    bar.ax.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    bar.ax.xaxis.set_major_formatter(_percent)
    bar.outline.set_visible(False)


def _divide(upper: Axes, lower: Axes, first: int) -> None:
    """A line between the first jobs and the later ones, with their names above."""
    for axis in (upper, lower):
        axis.axvline(first + 0.5, color=QUIET, linewidth=1, linestyle=":")
    for words, side, away in ((f"first {first} jobs", "right", -5), ("later jobs", "left", 5)):
        upper.annotate(
            words, (first + 0.5, 1), (away, 2), textcoords="offset points", fontsize=9, ha=side,
            xycoords=upper.get_xaxis_transform(), color=INK,
        )  # fmt: skip


def _finding(ranked: np.ndarray, first: int) -> str:
    """The best of the first jobs beside that of the later ones; -inf is a job without a result."""
    groups = {(1, first): ranked[:first], (first + 1, len(ranked)): ranked[first:]}
    if not all(np.isfinite(group).any() for group in groups.values()):
        return f"Best of {len(ranked)} jobs: {ranked.max():.1%}, job {int(np.argmax(ranked)) + 1}"
    told = [
        f"{f'jobs {start} to {end}' if start < end else f'job {start}'}: {group.max():.1%}"
        for (start, end), group in groups.items()
    ]
    return f"Best of {told[0]}, of {told[1]}"
