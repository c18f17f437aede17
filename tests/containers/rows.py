"""The table's rows, and what fills them: scripts asked in an environment, jobs timed."""

import json
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import venvs


@dataclass(frozen=True)
class Row:
    """A line of the table; `verdict` is OK or what differs."""

    path: str
    arguments: str
    value: str
    verdict: str = "OK"


def show(rows: list[Row]) -> None:
    """Print the table."""
    lines = [Row("path", "arguments", "first-step loss", "result"), *rows]
    cells = [(r.path, r.arguments, r.value, r.verdict) for r in lines]
    widths = [max(len(line[i]) for line in cells) for i in range(3)]
    print()
    for line in cells:
        shown = zip(line, [*widths, 0], strict=True)
        print("  ".join(cell.ljust(width) for cell, width in shown).rstrip())


def timed(what: str, start: Callable) -> Any:
    """Call `start`, print the seconds, return what it returns."""
    begin = time.perf_counter()
    result = start()
    print(f"{what}: {time.perf_counter() - begin:.0f} s", flush=True)
    return result


def reason(log: str) -> str:
    """Return the line of a log that says best why it ended."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    errors = [line for line in lines if "Error: " in line and "CalledProcess" not in line]
    return (errors or lines or ["no output"])[-1][:200]


def ask(
    python: Path, mark: str, script: Path, *arguments: Path, code: Path | None = None
) -> dict | str:
    """Run a script of this folder in an environment; return its JSON, or why there is none."""
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(venvs.BUILD), "OMP_NUM_THREADS": "1"}
    environment |= {"SAGEMAKER_PROGRAM": "inference.py", "AWS_REGION": "us-east-1"}
    environment |= {"PYTHONPATH": str(code)} if code else {}
    done = subprocess.run(
        [python, script, *arguments], capture_output=True, text=True, env=environment
    )
    for line in done.stdout.splitlines():
        if line.startswith(mark):
            return json.loads(line.removeprefix(mark))
    return reason(done.stdout + done.stderr)
