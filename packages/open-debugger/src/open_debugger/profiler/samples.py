"""What is asked of samples again and again: a node's series, common times, windows, a rise."""

from __future__ import annotations

import re

import numpy as np

from open_debugger.profiler.recording import Recording, Series

QUANTILES = (25, 50, 75, 95)
RISE_BLOCKS = 10


class NotRecorded(ValueError):
    """What a rule looks at is not in the recording."""


def nodes(recording: Recording) -> list[str]:
    """The nodes that system metrics were recorded of."""
    return sorted({metric.node for metric in recording.system})


def series(recording: Recording, node: str, type: str, dimension: str) -> dict[str, Series]:
    """A node's series of one dimension by their plain names, cpu2 before cpu10; finite values."""
    found = {
        metric.name: clean
        for metric, each in recording.system.items()
        if (metric.node, metric.type, metric.dimension) == (node, type, dimension)
        and len((clean := _finite(each)).times)
    }
    return {name: found[name] for name in sorted(found, key=_natural)}


def at(times: np.ndarray, each: Series) -> np.ndarray:
    """A series' values at `times`: its nearest samples; NaN where none is near.

    Near is within one and a half of the usual time between two samples, for samplers read one
    metric after the other, and some of them late.
    """
    if not len(each.times):
        return np.full(len(times), np.nan)
    after = np.searchsorted(each.times, times).clip(0, len(each.times) - 1)
    before = (after - 1).clip(0)
    closer = np.abs(each.times[before] - times) <= np.abs(each.times[after] - times)
    nearest = np.where(closer, before, after)
    far = np.abs(each.times[nearest] - times) > 1.5 * max(interval(times), interval(each.times))
    return np.where(far, np.nan, each.values[nearest])


def interval(times: np.ndarray) -> float:
    """The usual time between two samples in seconds; of fewer than two, one second."""
    return float(np.median(np.diff(times))) if len(times) > 1 else 1.0


def table(times: np.ndarray, found: dict[str, Series]) -> np.ndarray:
    """The values of several series at common times: an array (series, times)."""
    return np.array([at(times, each) for each in found.values()]).reshape(len(found), len(times))


def mean(values: np.ndarray) -> np.ndarray:
    """The means of columns; NaN, and no warning, where a column holds nothing."""
    there = np.isfinite(values)
    counts = there.sum(axis=0)
    sums = np.where(there, values, 0).sum(axis=0)
    return np.divide(sums, counts, out=np.full(counts.shape, np.nan), where=counts > 0)


def windows(values: np.ndarray, patience: int, window: int) -> np.ndarray:
    """The windows after the first `patience` values, side by side up to the last value.

    Returns:
        An array (windows, window); what is left over at the start is in none of them.
    """
    count = max(0, len(values) - patience) // window
    return values[len(values) - count * window :].reshape(count, window)


def box(values: np.ndarray) -> dict[str, float]:
    """Quartiles and whiskers (Tukey's: the last values within 1.5 interquartile ranges)."""
    p25, p50, p75, p95 = (float(each) for each in np.percentile(values, QUANTILES))
    reach = 1.5 * (p75 - p25)
    upper = float(values[values <= p75 + reach].max())
    lower = float(values[values >= p25 - reach].min())
    return {"p25": p25, "p50": p50, "p75": p75, "p95": p95, "upper": upper, "lower": lower}


def steady_rise(values: np.ndarray) -> float:
    """By how much values rise steadily from a run's start to its end; 0 where they don't.

    Of the medians of ten equal parts (fewer of few values, but five) nearly none may fall, and
    most must rise: a leak does so; a jump when validation starts, or noise, does not.
    """
    blocks = min(RISE_BLOCKS, len(values) // 2)
    if blocks < 5:
        return 0.0
    medians = np.array([np.median(part) for part in np.array_split(values, blocks)])
    changes = np.diff(medians)
    steady = np.mean(changes > 0) >= 0.6 and np.mean(changes >= 0) >= 0.85
    return float(medians[-1] - medians[0]) if steady else 0.0


def training(recording: Recording) -> tuple[float, float] | None:
    """The first training step's start and the last one's end; None if none was recorded."""
    steps = recording.steps
    steps = steps[steps["phase"] == "train"]
    ends = (steps["start"].min(), (steps["start"] + steps["seconds"]).max())
    return (float(ends[0]), float(ends[1])) if len(steps) and np.isfinite(ends).all() else None


def histogram(values: np.ndarray) -> dict[str, list]:
    """Counts in a hundred bins between the least and the greatest value, with the bins' edges."""
    counts, edges = np.histogram(values, bins=100)
    return {"probs": counts.tolist(), "binedges": edges.tolist()}


def _finite(each: Series) -> Series:
    times, values = np.asarray(each.times, float), np.asarray(each.values, float)
    there = np.isfinite(times) & np.isfinite(values)
    return Series(times[there], values[there])


def _natural(name: str) -> list:
    return [(1, int(part), "") if part.isdigit() else (0, 0, part) for part in _parts(name)]


def _parts(name: str) -> list[str]:
    return re.findall(r"[0-9]+|[^0-9]+", name)
