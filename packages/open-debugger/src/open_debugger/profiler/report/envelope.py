"""Long series made short without hiding anything: the extremes of every stretch survive."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

EVERY = 2000  # samples up to which each of them is drawn
BUCKETS = 1000  # stretches of time into which longer series are summed up
GAP = 3.0  # so many usual intervals without a sample are a gap


@dataclass(frozen=True)
class Line:
    """What is drawn of a series; between two stretches of samples lies a NaN, so lines break there.

    Of a long series `y` is the mean of each stretch of time, `low` and `high` its extremes.
    """

    x: np.ndarray
    y: np.ndarray
    low: np.ndarray | None = None
    high: np.ndarray | None = None


def thin(times: np.ndarray, values: np.ndarray, lasting: np.ndarray | float = 0.0) -> Line:
    """All samples of a short series, or the minimum, mean and maximum of `BUCKETS` stretches.

    `lasting` is how long each sample lasts, in seconds: a long step is no gap.
    """
    times, values = np.asarray(times, float), np.asarray(values, float)
    values = np.where(np.isfinite(values), values, np.nan)
    stretch = stretches(times, lasting)
    if len(times) <= EVERY:
        return Line(*_broken(stretch, times, values))
    frame = pd.DataFrame({"time": times, "value": values})
    grouped = frame.groupby([stretch, buckets(times)])
    x, parts = grouped["time"].mean(), grouped["value"].agg(["mean", "min", "max"])
    groups = parts.index.get_level_values(0).to_numpy()
    return Line(*_broken(groups, x.to_numpy(), *(parts[name].to_numpy() for name in parts)))


def buckets(times: np.ndarray, count: int = BUCKETS) -> np.ndarray:
    """In which of `count` equal stretches of time each sample lies."""
    span = times[-1] - times[0]
    return np.minimum((times - times[0]) / (span or 1.0) * count, count - 1).astype(int)


def stretches(times: np.ndarray, lasting: np.ndarray | float = 0.0) -> np.ndarray:
    """The number of the unbroken stretch that each sample belongs to."""
    apart = np.diff(times)
    if not len(apart):
        return np.zeros(len(times), int)
    longest = GAP * np.median(apart) + np.broadcast_to(np.nan_to_num(lasting), times.shape)[:-1]
    return np.concatenate([[0], np.cumsum(apart > longest)])


def _broken(stretch: np.ndarray, x: np.ndarray, *columns: np.ndarray) -> list[np.ndarray]:
    """The columns with a NaN between the stretches, halfway in time."""
    after = np.flatnonzero(np.diff(stretch)) + 1
    between = (x[after - 1] + x[after]) / 2
    return [np.insert(x, after, between), *(np.insert(each, after, np.nan) for each in columns)]
