"""AWS's system metrics, one sample a line, as series; and what is odd about their times."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from datetime import UTC, datetime
from math import isfinite

import numpy as np

from open_debugger.profiler.reading.lines import SHOWN, LeftOut, objects
from open_debugger.profiler.recording import Metric, Series

NUMBERS = (float, int)  # by type(), for which True is no number
LATEST = 1e11  # the year 5138; what is later was not written in seconds
# Where Name says what was measured, Dimension is empty, or whose traffic a network's is.
SCOPES = ("", "Algorithm", "Platform")


def collect(
    files: Iterable[tuple[str, bytes]], left: LeftOut
) -> tuple[dict[Metric, Series], list[str]]:
    """All series of the files, in ascending time, and notes on duplicates, clocks and gaps."""
    samples: dict[Metric, tuple[array, array]] = {}
    known: dict[tuple, tuple[array, array]] = {}
    names: set[str] = set()
    for file, data in files:
        names.add(file.rpartition("/")[2])
        if not data and _minute_before(file) in names:
            continue  # a sampler's last file: smdebug reads up to its name
        for event in objects(file, data, left):
            try:
                time, value = event["Timestamp"], event["Value"]
                key = event["NodeId"], event["Type"], event.get("Name"), event.get("Dimension")
                if not _is_sample(time, value):
                    raise ValueError
                if (columns := known.get(key)) is None:
                    metric = _metric(*key)
                    columns = known[key] = samples.setdefault(metric, (array("d"), array("d")))
            except (KeyError, TypeError, ValueError, OverflowError):
                left.line(file, _complaint(event))
            else:
                columns[0].append(time)
                columns[1].append(value)
    return _ordered(samples)


def _minute_before(file: str) -> str | None:
    """The name of a node's file of the minute before `file`."""
    minute, dot, ending = file.rpartition("/")[2].partition(".")
    return f"{int(minute) - 60}{dot}{ending}" if minute.isdecimal() else None


def _is_sample(time: object, value: object) -> bool:
    right = type(time) in NUMBERS and type(value) in NUMBERS
    return right and isfinite(value) and 0 <= time < LATEST


def _metric(node: object, type_: object, name: object, dimension: object) -> Metric:
    """The metric by our names; ValueError if it has none."""
    name, dimension = ("" if each is None else each for each in (name, dimension))
    if not all(isinstance(each, str) for each in (node, type_, name, dimension)):
        raise ValueError
    if type_ not in ("cpu", "gpu") and dimension in SCOPES:
        name, dimension = dimension, name
    if not (node and type_ and dimension):
        raise ValueError
    return Metric(node, type_, type_ if name in ("", dimension) else name, dimension)


def _complaint(event: dict) -> str:
    for key in ("Type", "Dimension", "Value", "NodeId", "Timestamp"):
        if key not in event:
            return f"without {key}"
    if type(event["Value"]) not in NUMBERS or not _finite(event["Value"]):
        return "with a Value that is no number"
    if type(event["Timestamp"]) not in NUMBERS or not 0 <= event["Timestamp"] < LATEST:
        return "with a Timestamp that is no time in seconds"
    return "of no metric"


def _finite(value: float) -> bool:
    try:
        return isfinite(value)
    except OverflowError:  # an integer beyond any float
        return False


def _ordered(
    samples: dict[Metric, tuple[array, array]],
) -> tuple[dict[Metric, Series], list[str]]:
    series: dict[Metric, Series] = {}
    doubles, back = 0, {}
    for metric, columns in sorted(samples.items()):
        times, values = (np.array(column) for column in columns)
        order = np.unique(times, return_index=True)[1]  # of each time the first
        doubles += len(times) - len(order)
        series[metric] = Series(times[order], values[order])
        jump = _backward(times[np.sort(order)])
        back[metric.node] = max(back.get(metric.node, (0.0, 0.0)), jump)
    notes = [f"{doubles} samples were there twice; of each the first was taken."] if doubles else []
    for node in back:
        own = [each for metric, each in series.items() if metric.node == node]
        notes += _clock(node, own, *back[node]) + _gaps(node, own)
    return series, notes


def _backward(times: np.ndarray) -> tuple[float, float]:
    """The farthest that the clock went back, in seconds, and when."""
    if len(times) < 2:
        return 0.0, 0.0
    steps = np.diff(times)
    at = int(steps.argmin())
    return max(0.0, -float(steps[at])), float(times[at])


def _interval(series: list[Series]) -> float:
    """The median time between the samples of the longest series of a node, in seconds."""
    times = max(series, key=lambda each: len(each.times)).times
    return float(np.median(np.diff(times))) if len(times) > 1 else 0.0


def _clock(node: str, series: list[Series], by: float, at: float) -> list[str]:
    if by <= _interval(series):  # threads that write in turn are no clock's fault
        return []
    moved = f"went back by {by:.1f} s at {moment(at)}"
    return [f"{node}: the clock {moved}; the samples were sorted by time."]


def _gaps(node: str, series: list[Series]) -> list[str]:
    """Times longer than five intervals, and than 5 s, of which a node has no sample at all."""
    times = np.unique(np.concatenate([each.times for each in series]))
    lasting = np.diff(times)
    found = np.flatnonzero(lasting > max(5 * _interval(series), 5.0))
    notes = [
        f"{node}: no samples for {lasting[at]:.1f} s from {moment(times[at])}."
        for at in found[:SHOWN]
    ]
    if rest := lasting[found[SHOWN:]].tolist():
        notes.append(f"{node}: no samples in {len(rest)} further gaps, {sum(rest):.1f} s in all.")
    return notes


def moment(time: float) -> str:
    """A time as notes show it."""
    return f"{datetime.fromtimestamp(time, UTC):%Y-%m-%d %H:%M:%S} UTC"
