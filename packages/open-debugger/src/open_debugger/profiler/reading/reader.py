"""Reading a recording: a folder, an ``s3://`` prefix or an archive, whole or damaged."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pandas as pd

from open_debugger.profiler.reading import managed, places, step_times, system_metrics, timelines
from open_debugger.profiler.reading.job import from_description
from open_debugger.profiler.reading.lines import LeftOut
from open_debugger.profiler.reading.places import Files
from open_debugger.profiler.recording import OPERATOR_COLUMNS, Job, Recording, RecordingError

SYSTEM = re.compile(r"system/incremental/.*\.json$")
STEPS = re.compile(r"framework/steps/.*\.json$")
OPERATORS = re.compile(r"framework/trace/[^/]+\.operators\.json$")
# What a recording's folder is known by.
KNOWN = re.compile(
    r"(?P<root>(?:.*?/)??)(?:system/incremental|framework/(?:steps|trace|pevents))/.+"
)
LOOKED_FOR = (
    "profiler-output/ with system/incremental, framework/steps or framework/pevents in it, "
    "output.tar.gz with such a folder, or profiler-reports/*.json"
)


def read(place: str | Path, job: Job | dict | None = None) -> Recording:
    """Read all that is known of a run.

    Args:
        place: a profiler-output folder, a folder or ``s3://`` prefix above it (such as a job's), or
            an ``output.tar.gz`` that holds it. Rule reports of AWS in ``rule-output`` beside it,
            or a folder of them alone, are read too.
        job: the run's job, or what DescribeTrainingJob answered of it.

    Returns:
        The recording. Whatever is damaged or missing is left out, and its `notes` say so.

    Raises:
        RecordingError: there is nothing at all to read.
    """
    job = from_description(job) if isinstance(job, dict) else job
    recording, left = Recording(str(place), job=job), LeftOut()
    with ExitStack() as stack:
        files = places.opened(place)
        reports = _reports(files.names)
        recording.managed = managed.collect(_contents(files, reports, left), left)
        if not _roots(files.names) and (archive := _archive(files.names)):
            files = stack.enter_context(places.unpacked(files, archive, recording.notes))
        root = _root(files.names, job, recording.notes)
        if root is None and not reports:
            said = " ".join(["", *recording.notes])
            raise RecordingError(f"no recording at {place}: looked for {LOOKED_FOR}.{said}")
        if root is not None:
            _read(recording, files, root, left)
    recording.notes += left.notes()
    return recording


def _read(recording: Recording, files: Files, root: str, left: LeftOut) -> None:
    """Read the files of a recording's folder into `recording`."""

    def contents(pattern: re.Pattern) -> Iterator[tuple[str, bytes]]:
        matching = [name for name in files.names if name.startswith(root)]
        names = [name for name in matching if pattern.match(name.removeprefix(root))]
        return _contents(files, names, left)

    recording.system, notes = system_metrics.collect(contents(SYSTEM), left)
    script = step_times.collect(contents(STEPS), left)
    old = timelines.collect(contents(timelines.NAME), left)
    recording.steps = old if script.steps.empty else script.steps
    recording.spans, recording.loaders, recording.run = script.spans, script.loaders, script.run
    recording.operators = _operators(contents(OPERATORS), left)
    recording.notes += [*notes, *script.notes]


def _contents(files: Files, names: list[str], left: LeftOut) -> Iterator[tuple[str, bytes]]:
    for name, data in files.contents(names):
        if isinstance(data, Exception):
            left.file(name, f"it cannot be read: {type(data).__name__}")
        else:
            yield name, data


def _roots(names: list[str]) -> list[str]:
    """The folders that hold recordings, with a slash at their end, or the empty string."""
    return sorted({match["root"] for name in names if (match := KNOWN.fullmatch(name))})


def _root(names: list[str], job: Job | None, notes: list[str]) -> str | None:
    """The folder to read: of several the job's, or the one that was written to last."""
    roots = _roots(names)
    if len(roots) < 2:
        return roots[0] if roots else None
    own = [root for root in roots if job is not None and job.name in root.split("/")]
    chosen = max(own or roots, key=lambda root: _written(names, root))
    others = ", ".join(root or "." for root in roots if root != chosen)
    notes.append(f"Of several recordings {chosen or '.'} was read; there are also {others}.")
    return chosen


def _written(names: list[str], root: str) -> str:
    """The name of the last file whose name begins with a time."""
    files = [name.rpartition("/")[2] for name in names if name.startswith(root)]
    return max((file for file in files if file[:1].isdigit()), default="")


def _archive(names: list[str]) -> str | None:
    found = [name for name in names if name.endswith(places.ARCHIVES)]
    outputs = [name for name in found if name.rpartition("/")[2].startswith("output.")]
    return next(iter([*outputs, *(found if len(names) == 1 else [])]), None)


def _reports(names: list[str]) -> list[str]:
    """Rule reports; where there is nothing else, any JSON files at the top are taken for such."""
    reports = [name for name in names if managed.NAME.search(name)]
    if reports or _roots(names):
        return reports
    return [name for name in names if "/" not in name and name.endswith(".json")]


def _operators(files: Iterator[tuple[str, bytes]], left: LeftOut) -> pd.DataFrame:
    """Operators of all ranks together, the costliest first.

    `share` is of all device seconds, or where nothing ran on a device of all CPU seconds.
    """
    rows = []
    for file, data in files:
        try:
            rows += [_operator(each) for each in json.loads(data.decode())]
        except (ValueError, TypeError, KeyError, RecursionError, OverflowError) as error:
            left.file(file, f"not a list of operators: {type(error).__name__}")
    frame = pd.DataFrame(rows, columns=list(OPERATOR_COLUMNS[:-1]))
    frame = frame.groupby("name", as_index=False, sort=False).sum()
    decisive = "device_seconds" if frame["device_seconds"].sum() > 0 else "cpu_seconds"
    frame["share"] = frame[decisive] / frame[decisive].sum()
    return frame.sort_values("share", ascending=False, kind="stable", ignore_index=True)


def _operator(row: dict) -> tuple[str, int, float, float]:
    seconds = (step_times.seconds(row, key) for key in ("CpuSeconds", "DeviceSeconds"))
    return step_times.text(row, "Name"), step_times.count(row, "Calls"), *seconds
