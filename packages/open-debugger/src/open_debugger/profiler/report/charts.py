"""What the report's charts show, as plain data that its script hands to plotly.

Times are seconds since the recording's start. Colours are names of the style sheet's variables, so
that the charts follow light, dark and print.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace

import numpy as np
import pandas as pd

from open_debugger.profiler.recording import Recording, Series
from open_debugger.profiler.report.envelope import Line, buckets, thin
from open_debugger.profiler.report.shares import lead, outlier_limit, phase_steps

MANY = 8  # lines that can still be told apart; more become a heat map
CELLS = 500  # columns of a heat map
BARS = 60  # of a histogram
LONG_TAIL = 20  # times the median: from here on a histogram's axis is logarithmic
LANES = {"initialization": "init", "training": "train", "evaluation": "eval", "checkpoint": "save"}
MARKED = 500  # outliers, one by one
SYMBOLS = {"train": "circle", "valid": "diamond", "test": "square"}
OTHER = "cross"  # of a phase that a script has named by itself
KILO, MEGA = 1e3, 1e6


@dataclass
class Panel:
    """One chart on the shared time axis; without `series` it is its `note`."""

    id: str
    title: str
    unit: str
    series: list[dict] = field(default_factory=list)
    kind: str = "lines"  # lines, heat or lanes
    top: float | None = None  # end of the y axis
    note: str = ""  # what there is to know of it, or why it is empty
    heat: dict | None = None

    @property
    def shown(self) -> bool:
        return bool(self.series or self.heat)


def timelines(recording: Recording, stddev: float = 3.0) -> list[Panel]:
    """The panels in their order; those without data say why.

    Steps longer than the mean by `stddev` standard deviations are marked as outliers.
    """
    cpu = "CPU utilization", "CPUUtilization"
    waiting = "I/O wait", "I/OWaitPercentage"
    made = [_lanes(recording), *_cores(recording, "cpu", *cpu), _gpu(recording)]
    made += [_memory(recording), *_cores(recording, "iowait", *waiting)]
    made += [_disk(recording), _network(recording), _power(recording)]
    made += [_steps(recording, stddev)]
    return [panel for panel in made if panel is not None]


def payload(recording: Recording, panels: list[Panel], stddev: float = 3.0) -> dict:
    """All that the script needs, ready for JSON: NaN has become None, arrays lists."""
    start, end = recording.start, recording.end
    return _jsonable(
        {
            "start": start,
            "end": None if start is None else end - start,
            "shades": shades(recording),
            "panels": [asdict(panel) for panel in panels if panel.shown],
            "histogram": histogram(recording, stddev),
        }
    )


def shades(recording: Recording) -> list[dict]:
    """The stretches in which the run did something else than train."""
    spans = recording.spans
    spans = spans[spans["name"].isin(set(LANES) - {"training"})].sort_values("start")
    firsts = spans["start"] - (recording.start or 0)
    rows = zip(spans["name"], firsts, spans["seconds"], strict=True)
    return [{"name": n, "start": first, "seconds": s} for n, first, s in dict.fromkeys(rows)]


def histogram(recording: Recording, stddev: float = 3.0) -> dict | None:
    """How many training steps took how long: bars with their edges, and the outliers one by one."""
    taken = phase_steps(recording, "train")["seconds"].to_numpy(float)
    taken = taken[np.isfinite(taken)]
    if not len(taken):
        return None
    median, limit = float(np.median(taken)), outlier_limit(taken, stddev)
    logarithmic = bool(taken.min() > 0 and taken.max() > LONG_TAIL * median)
    edges = _edges(taken, logarithmic)
    counts, _ = np.histogram(taken, edges)
    outliers = np.sort(taken[taken > limit])
    return {
        "edges": edges,
        "counts": counts,
        "logarithmic": logarithmic,
        "mean": float(np.mean(taken)),
        "median": median,
        "p95": float(np.percentile(taken, 95)),
        "limit": limit,
        "stddev": stddev,
        "outliers": outliers[-MARKED:],
        "outlier_count": len(outliers),
        "count": len(taken),
    }


def _edges(taken: np.ndarray, logarithmic: bool) -> np.ndarray:
    """Freedman and Diaconis' bars (2 IQR n^-1/3 wide), at least ten and at most `BARS`."""
    kept = np.log10(taken) if logarithmic else taken
    if np.ptp(kept) == 0:
        half = 0.05 * abs(kept[0]) or 0.5
        edges = np.array([kept[0] - half, kept[0] + half])
    else:
        wide = 2 * np.subtract(*np.percentile(kept, [75, 25])) / len(kept) ** (1 / 3)
        bars = int(np.clip(np.ceil(np.ptp(kept) / wide) if wide else BARS, 10, BARS))
        edges = np.linspace(kept.min(), kept.max(), bars + 1)
    edges = 10**edges if logarithmic else edges
    edges[0], edges[-1] = min(edges[0], taken.min()), max(edges[-1], taken.max())
    return edges


# ------------------------------------------------------------------------------------------- panels


def _lanes(recording: Recording) -> Panel | None:
    """When the run trained, evaluated, and saved: a lane each."""
    bars = [{**each, "text": each["name"]} for each in shades(recording)]
    bars += list(_training(recording))
    if not bars:
        return None
    lanes = [name for name in LANES if any(bar["name"] == name for bar in bars)]
    lane = Panel("activity", "What the run did", "", kind="lanes")
    for name in lanes:
        own = [bar for bar in bars if bar["name"] == name]
        columns = {key: [bar[key] for bar in own] for key in ("start", "seconds", "text")}
        lane.series.append({"name": name, "lane": LANES[name], "color": f"--{name}", **columns})
    return lane


def _training(recording: Recording) -> Iterator[dict]:
    steps = lead(phase_steps(recording, "train"))
    for epoch, own in steps.groupby("epoch", dropna=False):
        first, last = own["start"].min(), (own["start"] + own["seconds"]).max()
        text = f"training, {len(own):,} steps"
        text = text if pd.isna(epoch) else f"{text}, epoch {epoch:g}"
        start = first - recording.start
        yield {"name": "training", "start": start, "seconds": last - first, "text": text}


def _cores(recording: Recording, id: str, title: str, dimension: str) -> Iterator[Panel]:
    """Each core and their mean; of many cores a heat map, with the least and the busiest core."""
    cores = recording.select("cpu", dimension)
    if not cores:
        yield Panel(id, title, "%", note=f"No {title} was recorded.")
        return
    measure = _relative(recording)
    if len(cores) <= MANY:
        named = _ordered(cores)
        lines = [_line(name, measure(named[name]), i, 1) for i, name in enumerate(named)]
        mean = [_line("mean", measure(across(list(cores.values()), "mean")), "--ink", 2)]
        yield Panel(id, title, "%", [*lines, *(mean if len(cores) > 1 else [])], top=100)
        return
    kinds = {"busiest core": ("max", 1), "mean": ("mean", "--ink"), "least busy": ("min", 0)}
    if id == "iowait":
        kinds = {"most waiting core": ("max", 1), "mean": ("mean", "--ink")}
    together = {name: across(list(cores.values()), how) for name, (how, _) in kinds.items()}
    lines = [_line(n, measure(s), kinds[n][1], 1.5) for n, s in together.items()]
    yield Panel(id, f"{title} of {len(cores)} cores", "%", lines, top=100)
    heat = _heat(_ordered(cores), recording.start)
    yield Panel(f"{id}-map", f"{title} of each core", "%", kind="heat", heat=heat)


def _gpu(recording: Recording) -> Panel:
    found = recording.select("gpu", "GPUUtilization")
    note = "" if found else "No GPU in this run."
    if not recording.system:
        note = "No GPU utilization was recorded."
    return Panel("gpu", "GPU utilization", "%", _each(recording, found), top=100, note=note)


def _memory(recording: Recording) -> Panel:
    memory = recording.select("memory", "MemoryUsedPercent")
    named = {"main memory" if len(memory) == 1 else f"{n}, main": s for n, s in memory.items()}
    gpus = recording.select("gpu", "GPUMemoryUtilization")
    named |= {f"{name} memory": series for name, series in gpus.items()}
    note = "" if named else "No memory was recorded."
    return Panel("memory", "Memory in use", "%", _each(recording, named), top=100, note=note)


def _disk(recording: Recording) -> Panel:
    ways = {"read": "ReadThroughputInBytesPerSecond", "write": "WriteThroughputInBytesPerSecond"}
    panel = Panel("disk", "Disk", "", note="No disk throughput was recorded.")
    return _throughput(panel, recording, "i/o", ways)


def _network(recording: Recording) -> Panel:
    ways = {"receive": "ReceiveBytesPerSecond", "transmit": "TransmitBytesPerSecond"}
    panel = Panel("network", "Network", "", note="No network traffic was recorded.")
    return _throughput(panel, recording, "network", ways)


def _throughput(panel: Panel, recording: Recording, type: str, ways: dict[str, str]) -> Panel:
    """The panel with the series of both ways; kilobytes if there is little, else megabytes."""
    named = {}
    for way, dimension in ways.items():
        found = recording.select(type, dimension)
        named |= {way if len(found) == 1 else f"{way} {n}": s for n, s in found.items()}
    highest = max((np.nanmax(each.values, initial=0) for each in named.values()), default=0)
    unit, size = ("kB/s", KILO) if 0 < highest < MEGA / 10 else ("MB/s", MEGA)
    scaled = {name: Series(s.times, s.values / size) for name, s in named.items()}
    note = "" if named else panel.note
    return replace(panel, unit=unit, series=_each(recording, scaled), note=note)


def _power(recording: Recording) -> Panel | None:
    power = recording.select("gpu", "GPUPowerInWatts")
    return Panel("power", "GPU power", "W", _each(recording, power)) if power else None


def _steps(recording: Recording, stddev: float) -> Panel:
    steps = recording.steps
    panel = Panel("steps", "Step time", "s")
    if not len(steps):
        panel.note = "No step times were recorded."
        return panel
    ranks = steps.groupby(["node", "rank"]).ngroups
    by = ["phase", "node", "rank"] if 1 < ranks <= MANY else ["phase"]
    order = {phase: place for place, phase in enumerate(SYMBOLS)}  # others come after these
    groups = sorted(steps.groupby(by), key=lambda group: order.get(group[0][0], len(order)))
    for index, (key, own) in enumerate(groups):
        name = key[0] if len(by) == 1 else f"{key[0]} {key[1]}-{key[2]}"
        line = {
            **_line(name, _taken(recording, own), index, 1.5),
            "symbol": SYMBOLS.get(key[0], OTHER),
        }
        panel.series.append(line)
    outliers = _outliers(phase_steps(recording, "train"), stddev)
    if len(outliers):
        x = outliers["start"].to_numpy(float) - recording.start
        line = _line("outliers", Line(x, outliers["seconds"].to_numpy(float)), "--bad", 1.5)
        panel.series.append({**line, "symbol": "x"})
    return panel


def _taken(recording: Recording, steps: pd.DataFrame) -> Line:
    steps = steps.sort_values("start")
    started, taken = (steps[name].to_numpy(float) for name in ("start", "seconds"))
    return thin(started - recording.start, taken, lasting=taken)


def _outliers(train: pd.DataFrame, stddev: float) -> pd.DataFrame:
    """The longest training steps beyond the limit."""
    if not len(train):
        return train
    limit = outlier_limit(train["seconds"].to_numpy(float), stddev)
    return train[train["seconds"] > limit].nlargest(MARKED, "seconds").sort_values("start")


# ------------------------------------------------------------------------------------------- pieces


def across(cores: list[Series], how: str) -> Series:
    """One series of many: at each time their mean, min or max; NaN are left out."""
    first = cores[0].times
    if all(np.array_equal(first, core.times) for core in cores):
        values = pd.DataFrame(np.array([core.values for core in cores], float).T)
        return Series(first, values.agg(how, axis=1).to_numpy())
    times = np.concatenate([core.times for core in cores])
    interval = min(np.median(np.diff(c.times)) if len(c.times) > 1 else 1.0 for c in cores)
    frame = pd.DataFrame({"time": times, "value": np.concatenate([c.values for c in cores])})
    grouped = frame.groupby(np.round((times - times.min()) / (interval or 1.0)))
    return Series(grouped["time"].mean().to_numpy(), grouped["value"].agg(how).to_numpy())


def _heat(cores: dict[str, Series], start: float) -> dict:
    times = np.concatenate([core.times for core in cores.values()])
    first, last = times.min(), times.max()
    longest = max(len(core.times) for core in cores.values())
    count = min(CELLS, longest)
    edges = np.linspace(first, last, count + 1)
    mean, high = (np.full((len(cores), count), np.nan) for _ in range(2))
    for row, core in enumerate(cores.values()):
        cell = buckets(np.concatenate([[first], core.times, [last]]), count)[1:-1]
        grouped = pd.Series(core.values).groupby(cell)
        mean[row, grouped.mean().index] = grouped.mean()
        high[row, grouped.max().index] = grouped.max()
    return {"names": list(cores), "edges": edges - start, "mean": mean, "high": high}


def _relative(recording: Recording) -> Callable[[Series], Line]:
    return lambda series: thin(series.times - recording.start, series.values)


def _each(recording: Recording, named: dict[str, Series]) -> list[dict]:
    measure = _relative(recording)
    return [_line(name, measure(named[name]), i, 1.5) for i, name in enumerate(_ordered(named))]


def _line(name: str, line: Line, color: int | str, width: float) -> dict:
    dash = "solid" if isinstance(color, str) else ("solid", "dot", "dash")[color // 4 % 3]
    color = color if isinstance(color, str) else f"--s{color % 8 + 1}"
    return {"name": name, "color": color, "width": width, "dash": dash, **asdict(line)}


def _ordered(named: dict) -> dict:
    """By the numbers in their names: cpu2 before cpu10; a mixture keeps its order."""
    digits = {name: "".join(filter(str.isdigit, name)) for name in named}
    if not all(digits.values()) or any("/" in name for name in named):
        return named
    return {name: named[name] for name in sorted(named, key=lambda n: int(digits[n]))}


def _jsonable(value: object) -> object:
    """Arrays as lists of five significant digits (times: milliseconds suffice), NaN as None."""
    if isinstance(value, dict):
        return {key: _numbers(v, key) for key, v in value.items()}
    if isinstance(value, list):
        return [_jsonable(each) for each in value]
    if isinstance(value, (float, np.floating)):
        return float(value) if np.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value


def _numbers(value: object, key: str) -> object:
    if not isinstance(value, np.ndarray):
        return _jsonable(value)
    if value.ndim > 1:
        return [_numbers(row, key) for row in value]
    if key in ("x", "edges"):
        return [round(v, 4) if v == v else None for v in value.tolist()]
    return [float(f"{v:.5g}") if np.isfinite(v) else None for v in value.tolist()]
