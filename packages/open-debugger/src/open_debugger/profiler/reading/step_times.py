"""What the training script recorded: its steps and spans, its loaders, and what it ran."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import pandas as pd

from open_debugger.profiler.reading.lines import LeftOut, objects
from open_debugger.profiler.reading.system_metrics import LATEST, NUMBERS
from open_debugger.profiler.recording import PARTS, SPAN_COLUMNS, STEP_COLUMNS

KEYS = dict(zip(PARTS, ("Data", "HostToDevice", "Forward", "Backward", "Optimizer"), strict=True))
FRAME = ("Type", "NodeId", "Rank", "Timestamp")  # what every line has
IDENTITY = ["node", "rank", "phase", "step", "start"]
TYPES = {"rank": "int64", "step": "int64"}
NAN = float("nan")


@dataclass
class Script:
    """A script's own recording, as `Recording` holds it."""

    steps: pd.DataFrame
    spans: pd.DataFrame
    loaders: list[dict] = field(default_factory=list)
    run: dict = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def collect(files: Iterable[tuple[str, bytes]], left: LeftOut) -> Script:
    """Everything in the files; steps and spans by their start."""
    rows: dict[str, list] = {"step": [], "span": [], "loader": [], "run": []}
    for file, data in files:
        for line in objects(file, data, left):
            try:
                rows[line["Type"]].append(READERS[line["Type"]](line))
            except KeyError as error:
                key = error.args[0]
                left.line(file, "of unknown Type" if key == line.get("Type") else f"without {key}")
            except (TypeError, ValueError, OverflowError) as error:
                left.line(file, f"with a wrong {error}" if type(error) is ValueError else "wrong")
    return _script(rows)


def frame(rows: list[tuple], columns: tuple[str, ...], identity: list[str]) -> pd.DataFrame:
    """Rows by their start, of those with the same `identity` the first."""
    made = pd.DataFrame(rows, columns=list(columns))
    for name in set(columns) - {"node", "phase", "name"}:
        made[name] = made[name].astype(TYPES.get(name, "float64"))
    made = made.drop_duplicates(identity)
    return made.sort_values(["start", "node", "rank"], kind="stable", ignore_index=True)


def _script(rows: dict[str, list]) -> Script:
    steps = frame(rows["step"], STEP_COLUMNS, IDENTITY)
    spans = frame(rows["span"], SPAN_COLUMNS, ["node", "rank", "name", "start"])
    doubles = len(rows["step"]) - len(steps) + len(rows["span"]) - len(spans)
    found = Script(steps, spans)
    if doubles:
        found.notes.append(f"{doubles} steps and spans were there twice; one of each was taken.")
    for loader in rows["loader"]:
        if loader not in found.loaders:  # each epoch may make the same one anew
            found.loaders.append(loader)
    ordered = sorted(rows["run"], key=lambda each: each[0])
    found.run = ordered[0][1] if ordered else {}
    return found


def _step(line: dict) -> tuple:
    lead = text(line, "NodeId"), count(line, "Rank"), text(line, "Phase")
    when = seconds(line, "Timestamp"), seconds(line, "Seconds")
    parts = [_optional(line, key) for key in (*KEYS.values(), "Images")]
    return *lead, _optional(line, "Epoch"), count(line, "Step"), *when, *parts


def _span(line: dict) -> tuple:
    lead = text(line, "NodeId"), count(line, "Rank"), text(line, "Name")
    return *lead, seconds(line, "Timestamp"), seconds(line, "Seconds")


def _loader(line: dict) -> dict:
    """With its node and rank: several ranks have a loader each."""
    text(line, "Name")
    kept = {key: value for key, value in line.items() if key not in FRAME}
    return {"NodeId": text(line, "NodeId"), "Rank": count(line, "Rank"), **kept}


def _run(line: dict) -> tuple[tuple[int, float], dict]:
    kept = {key: value for key, value in line.items() if key not in FRAME}
    return (count(line, "Rank"), seconds(line, "Timestamp")), kept


READERS: dict[str, Callable[[dict], object]] = {
    "step": _step,
    "span": _span,
    "loader": _loader,
    "run": _run,
}


def text(line: dict, key: str) -> str:
    if not isinstance(line[key], str) or not line[key]:
        raise ValueError(key)
    return line[key]


def count(line: dict, key: str) -> int:
    if type(line[key]) is not int or not 0 <= line[key] < 2**63:
        raise ValueError(key)
    return line[key]


def seconds(line: dict, key: str) -> float:
    """A number of seconds, be it a time or a length."""
    value = line[key]
    if type(value) not in NUMBERS or not 0 <= value < LATEST:
        raise ValueError(key)
    return float(value)


def _optional(line: dict, key: str) -> float:
    """A number, or NaN for what was not measured."""
    value = line.get(key)
    return NAN if value is None or value != value else seconds(line, key)
