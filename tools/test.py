"""`make test`: run its parts and print a table of their seconds.

    python -m tools.test [--all] [PART ...]

The tests of two projects at a time run side by side, since they often wait; serial tests run alone
after them. All parts run, even after one has failed; the exit code is 1 if any did. `--all`
includes the tests that are marked slow, and the part `lessons`.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from course.workspace import ROOT

PYTHON = sys.executable
BIN = Path(PYTHON).parent
PROJECTS = {  # the folders that have tests of their own, the slowest tests first
    "engine": ROOT / "packages" / "local-sagemaker",
    "course": ROOT,
    "debugger": ROOT / "packages" / "open-debugger",
}
SIDE_BY_SIDE = 2
GROUPS = (("lint",), ("docs",), tuple(PROJECTS), ("notebooks",), ("lessons",))  # in turn
SLOW = {"lessons"}  # run with --all, or by name
PARTS = tuple(part for group in GROUPS for part in group)
NONE_SELECTED = 5  # pytest's exit code


def commands(part: str, slow: bool = False) -> list[list[str]]:
    """What a part consists of."""
    if part == "lint":
        ruff = str(BIN / "ruff")
        return [[ruff, "check", "."], [ruff, "format", "--check", "."], [str(BIN / "lint-imports")]]
    if part == "docs":  # generated anew, the tables are those that are committed
        return [[PYTHON, "-m", "tools.docs"], ["git", "diff", "--exit-code", "--", "*.md"]]
    if part == "notebooks":
        return [[PYTHON, "-m", "tools.smoke"]]
    if part == "lessons":
        return [["make", "--no-print-directory", "check-lessons"]]
    # Without nbval, which costs each process 4 s: it imports jsonschema, which builds a grammar.
    pytest = [PYTHON, "-m", "pytest", "--quiet", "-p", "no:nbval"]
    fast = "" if slow else " and not slow"
    parallel = [*pytest, "-n", "2", "--dist", "loadfile", "-m", f"not serial{fast}"]
    serial = [*pytest, "-m", f"serial{fast}"]  # what measures memory or time, or owns a port
    return [parallel, serial] if has_serial_tests(PROJECTS[part]) else [parallel]


def has_serial_tests(project: Path) -> bool:
    """Whether a test below `project`/tests is marked serial; collecting none takes 14 s."""
    files = (project / "tests").rglob("*.py")
    return any("pytest.mark.serial" in file.read_text() for file in files)


def run(part: str, command: list[str], capture: bool = False) -> tuple[float, bool]:
    """Run a command of a part; return its seconds and whether it passed.

    With `capture`, its output is printed in one piece when it has ended.
    """
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    if part in PROJECTS:
        environment["OMP_NUM_THREADS"] = "1"  # the workers share the cores
    title = f"\n== {part}: {' '.join(map(os.path.basename, command))}"
    if not capture:
        print(title, flush=True)
    began = time.monotonic()
    ended = subprocess.run(
        command,
        cwd=PROJECTS.get(part, ROOT),
        env=environment,
        stdout=subprocess.PIPE if capture else None,
        stderr=subprocess.STDOUT if capture else None,
        text=True,
    )
    seconds = time.monotonic() - began
    if capture:
        print(f"{title}\n{ended.stdout}", flush=True)
    # A project may have no test that has to run alone.
    empty = ended.returncode == NONE_SELECTED and command[-1].startswith("serial")
    return seconds, empty or ended.returncode == 0


def run_group(parts: list[str], slow: bool) -> dict[str, tuple[float, bool]]:
    """Run the first commands of the parts, two at a time, then the others one by one.

    A part ends at its first failing command. Returns its seconds and whether it passed.
    """
    todo = {part: commands(part, slow) for part in parts}
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        first = pool.map(lambda part: run(part, todo[part][0], len(parts) > 1), parts)
    results = dict(zip(parts, first, strict=True))
    for part in parts:
        for command in todo[part][1:]:
            seconds, passed = results[part]
            if passed:
                more, passed = run(part, command)
                results[part] = (seconds + more, passed)
    return results


def table(results: dict[str, tuple[float, bool]], total: float) -> str:
    """Return a line for each part: name, seconds, and whether it passed; then the total."""
    lines = [
        f"{part:<12}{seconds:>6.0f} s  {'passed' if passed else 'FAILED'}"
        for part, (seconds, passed) in results.items()
    ]
    return "\n".join([*lines, f"{'in all':<12}{total:>6.0f} s"])


def main(arguments: list[str] | None = None) -> int:
    """Run the parts that the command line names, or all; return the exit code."""
    parser = argparse.ArgumentParser(description="Run the parts of make test.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--all", action="store_true", help="slow tests, too")
    options = parser.parse_args(arguments)
    if unknown := sorted(set(options.parts) - set(PARTS)):
        parser.error(f"no part {', '.join(unknown)}: there are {', '.join(PARTS)}")
    began, results = time.monotonic(), {}
    usual = [part for part in PARTS if options.all or part not in SLOW]
    for group in GROUPS:
        if chosen := [part for part in group if part in (options.parts or usual)]:
            results |= run_group(chosen, options.all)
    print(f"\n{table(results, time.monotonic() - began)}")
    return 0 if all(passed for _, passed in results.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
