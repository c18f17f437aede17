"""What the report of a long run costs: `make bench` in this package's folder.

    python benchmarks/report.py [--hours 6] [--interval 0.5]

One process makes up a recording of eight cores and four GPUs and writes its files; another reads
them, runs the rules and writes the report. Seconds and peak memory stand beside their goals.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
GOAL_SECONDS, GOAL_BYTES, GOAL_REPORT = 30.0, 1.5e9, 10.0
GOAL_FILE = 6e6


def measure(hours: float, interval: float) -> dict[str, float]:
    """Seconds by part, peak bytes, and the report's size, of a made-up recording."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "profiler-output"
        _child("write", place, hours, interval)
        return json.loads(_child("read", place, hours, interval))


def show(found: dict[str, float]) -> None:
    """Print what was measured, as shares of the goals."""
    whole = found["read"] + found["rules"] + found["report"]
    rows = [(name, found[name], None, "s") for name in ("read", "rules")]
    rows += [("report", found["report"], GOAL_REPORT, "s"), ("together", whole, GOAL_SECONDS, "s")]
    rows += [("peak memory", found["peak"] / 1e9, GOAL_BYTES / 1e9, "GB")]
    rows += [("file", found["file"] / 1e6, GOAL_FILE / 1e6, "MB")]
    for name, value, goal, unit in rows:
        of = f"{value / goal:6.2f} of the goal, {goal:g} {unit}" if goal else ""
        print(f"{name:<12} {value:7.2f} {unit:<2} {of}")


def _child(what: str, place: Path, hours: float, interval: float) -> str:
    command = [sys.executable, __file__, "--hours", str(hours), "--interval", str(interval)]
    command += ["--child", what, str(place)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def _write(place: Path, hours: float, interval: float) -> None:
    sys.path.insert(0, str(ROOT / "tests"))  # whose helpers make up recordings
    from debugger_support import recordings

    large = {"cores": 8, "gpus": 4, "seconds": 3600 * hours, "interval": interval}
    recordings.write(recordings.make("starved", **large), place)


def _read(place: Path) -> dict[str, float]:
    """Imports are counted: one who wants a report waits for them, too."""
    marks = [time.perf_counter()]
    from open_debugger.profiler.reading.reader import read

    recording = read(str(place))
    marks.append(time.perf_counter())
    from open_debugger.profiler.diagnosis import diagnose
    from open_debugger.profiler.evaluation import evaluate

    findings = list(evaluate(recording))
    diagnosis = diagnose(recording, findings)
    marks.append(time.perf_counter())
    from open_debugger.profiler import report

    file = report.write(recording, findings, diagnosis, place.parent / "report.html")
    marks.append(time.perf_counter())
    parts = zip(("read", "rules", "report"), marks, marks[1:], strict=False)
    seconds = {name: end - start for name, start, end in parts}
    return {**seconds, "peak": _peak(), "file": file.stat().st_size}


def _peak() -> int:
    """The most bytes this process has had in memory (Linux).

    Not getrusage's: that counts what the parent had when it started this process.
    """
    status = Path("/proc/self/status").read_text()
    return 1024 * int(re.search(r"VmHWM:\s+(\d+) kB", status)[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hours", type=float, default=6.0)
    parser.add_argument("--interval", type=float, default=0.5, help="seconds between two samples")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if not arguments.child:
        show(measure(arguments.hours, arguments.interval))
        return
    what, place = arguments.child[0], Path(arguments.child[1])
    if what == "write":
        _write(place, arguments.hours, arguments.interval)
    else:
        print(json.dumps(_read(place)))


if __name__ == "__main__":
    main()
