"""Training jobs beside each other."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from course.figures.style import BLUE, FAINT, GREEN, ORANGE, PURPLE, in_style

_PANELS = {  # column -> title, how a value is written
    "accuracy": ("test accuracy", "{:.1%}"),
    "seconds": ("training, seconds", "{:,.0f}"),
    "megabytes": ("model, megabytes", "{:,.0f}"),
}


@in_style
def comparison(rows: pd.DataFrame) -> Figure:
    """Models beside each other in three panels: accuracy, seconds, megabytes.

    Args:
        rows: one row a model, named by the index or a column `model`; columns `accuracy` (0 to 1),
            `seconds` and `megabytes`.

    Raises:
        ValueError: a column is missing, or there is no row.
    """
    absent = [name for name in _PANELS if name not in rows]
    if absent or not len(rows):
        raise ValueError(
            f"comparison needs the columns {', '.join(_PANELS)} and a row for each model; "
            f"missing: {', '.join(absent) or 'the rows'}."
        )
    names = [str(name) for name in rows.get("model", rows.index)]
    figure, axes = plt.subplots(1, 3, figsize=(9, 0.42 * len(names) + 0.8), sharey=True)
    for axis, (column, (title, form)) in zip(axes, _PANELS.items(), strict=True):
        values = rows[column].astype(float).to_numpy()
        best = values.max() if column == "accuracy" else values.min()
        colours = [BLUE if value == best else "#9DBFD6" for value in values]
        bars = axis.barh(range(len(names)), values, 0.62, color=colours)
        axis.bar_label(bars, [form.format(value) for value in values], padding=4, fontsize=9)
        top = np.nanmax(values) if np.isfinite(values).any() else 1
        axis.set(title=title, xlim=(0, 1.3 * max(top, 1e-9)), xticks=[])
        axis.grid(visible=False)
        axis.spines[["bottom", "left"]].set_visible(False)
    axes[0].set_yticks(range(len(names)), names)
    axes[0].invert_yaxis()
    return figure


_PART_COLOURS = (ORANGE, PURPLE, "#9DBFD6", BLUE, GREEN, FAINT)  # what waits stands out


@in_style
def parts(table: pd.DataFrame) -> Figure:
    """Where a training step's time goes: a stacked bar a run, in milliseconds.

    Args:
        table: as `course.step_times.parts` gives it.

    Raises:
        ValueError: there is no run.
    """
    if table.empty:
        raise ValueError("there is no profiled run to draw")
    figure, axis = plt.subplots(figsize=(7.5, 0.55 * len(table) + 1.2))
    start = np.zeros(len(table))
    for colour, (name, values) in zip(_PART_COLOURS, table.items(), strict=True):
        if values.sum() < 0.005 * table.to_numpy().sum():
            continue  # too thin to be seen
        axis.barh(range(len(table)), values, 0.62, left=start, color=colour, label=name)
        start += values.to_numpy()
    for row, total in enumerate(start):
        axis.annotate(
            f"{total:.0f} ms", (total, row), xytext=(5, 0), textcoords="offset points", va="center"
        )
    axis.set(xlabel="milliseconds a training step", xlim=(0, 1.15 * start.max()))
    axis.set_yticks(range(len(table)), [str(name) for name in table.index])
    axis.invert_yaxis()
    axis.grid(visible=False, axis="y")
    figure.legend(loc="outside upper left", ncols=6, frameon=False)
    return figure
