"""The step times that smdebug's profiler left in containers before PyTorch 2.0, as AWS wrote them.

Timelines are Chrome traces: their events ``Step:ModeKeys.TRAIN`` say how long a step took, and
nothing of its parts. smdebug's own parser reads them.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterable

import pandas as pd

from open_debugger.profiler.reading.lines import LeftOut
from open_debugger.profiler.reading.step_times import IDENTITY, NAN, frame
from open_debugger.profiler.recording import PARTS, STEP_COLUMNS

NAME = re.compile(r"(?:^|/)framework/pevents/.*_(?:python|model_)timeline\.json$")
STEP = "Step:ModeKeys."
PHASES = {"TRAIN": "train", "EVAL": "valid", "PREDICT": "test"}
# A host and its rank or process: the parser makes algo-1-51 of 51-algo-1, other hosts stay.
WORKER = re.compile(r"(?P<before>\d+)-(?P<host>.+)|(?P<node>.+)-(?P<after>\d+)")


def collect(files: Iterable[tuple[str, bytes]], left: LeftOut) -> pd.DataFrame:
    """The steps of timelines, as `Recording.steps`, with NaN for the parts."""
    found: list[tuple[str, object]] = []
    for file, data in files:
        try:
            found += _events(file, data)
        except Exception as error:  # whatever smdebug's parser meets in a damaged file
            left.file(file, f"not a timeline: {type(error).__name__}")
    workers = sorted({worker for worker, _ in found}, key=lambda worker: (worker[1], worker[0]))
    ranks = {worker: rank for rank, worker in enumerate(workers)}
    rows = [_row(worker[0], ranks[worker], event) for worker, event in found]
    return frame(rows, STEP_COLUMNS, IDENTITY)


def _events(file: str, data: bytes) -> list[tuple[tuple[str, int], object]]:
    """Each step's event with its worker: a host and the number of a rank or process."""
    from smdebug.profiler.tf_profiler_parser import SMProfilerEvents  # seconds, seldom needed

    parser = SMProfilerEvents()
    parser.logger = logging.getLogger("smdebug.timelines")  # it warns of each file's first line
    parser.logger.setLevel(logging.ERROR)
    parser.read_events_from_json_data(_traced(data), file.rpartition("/")[2].split("_")[1])
    return [
        (_worker(event.node_id), event)
        for event in parser.get_all_events()
        if event.event_name.startswith(STEP)
    ]


def _traced(data: bytes) -> list:
    """A trace's events; a job that was killed leaves the list open."""
    text = data.decode()
    try:
        return json.loads(text)
    except ValueError:
        return json.loads(text[: text.rindex("}") + 1] + "]")


def _worker(node_id: str) -> tuple[str, int]:
    if match := WORKER.fullmatch(node_id):
        return match["host"] or match["node"], int(match["before"] or match["after"])
    return node_id, 0


def _row(node: str, rank: int, event) -> tuple:
    mode = event.event_name.removeprefix(STEP)
    phase, step = PHASES.get(mode, mode.lower()), int((event.event_args or {})["step_num"])
    times = event.start_time / 1e6, event.duration / 1e6
    return node, rank, phase, NAN, step, *times, *(NAN for _ in PARTS), NAN
