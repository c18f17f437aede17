"""`make test`: run its parts one after the other and print a table of their seconds.

    python -m tools.test [--all] [PART ...]

All parts run, even after one has failed; the exit code is 1 if any did. `--all` includes the tests
that are marked slow.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

from course.workspace import ROOT

PYTHON = sys.executable
BIN = Path(PYTHON).parent
PROJECTS = {  # the folders that have tests of their own
    "debugger": ROOT / "packages" / "open-debugger",
    "engine": ROOT / "packages" / "local-sagemaker",
    "course": ROOT,
}
PARTS = ("lint", "docs", *PROJECTS, "notebooks")
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


def run(part: str, slow: bool) -> tuple[float, bool]:
    """Run a part to its first failing command; return its seconds and whether it passed."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    if part in PROJECTS:
        environment["OMP_NUM_THREADS"] = "1"  # two workers share two cores
    began = time.monotonic()
    for command in commands(part, slow):
        print(f"\n== {part}: {' '.join(map(os.path.basename, command))}", flush=True)
        code = subprocess.run(command, cwd=PROJECTS.get(part, ROOT), env=environment).returncode
        if code == NONE_SELECTED and command[-1].startswith("serial"):
            code = 0  # a project may have no test that has to run alone
        if code:
            break
    return time.monotonic() - began, code == 0


def table(results: dict[str, tuple[float, bool]]) -> str:
    """A line for each part: its name, its seconds, and whether it passed."""
    lines = [
        f"{part:<12}{seconds:>6.0f} s  {'passed' if passed else 'FAILED'}"
        for part, (seconds, passed) in results.items()
    ]
    total = sum(seconds for seconds, _ in results.values())
    return "\n".join([*lines, f"{'in all':<12}{total:>6.0f} s"])


def main(arguments: list[str] | None = None) -> int:
    """Run the parts that the command line names, or all; return the exit code."""
    parser = argparse.ArgumentParser(description="Run the parts of make test.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--all", action="store_true", help="slow tests, too")
    options = parser.parse_args(arguments)
    if unknown := sorted(set(options.parts) - set(PARTS)):
        parser.error(f"no part {', '.join(unknown)}: there are {', '.join(PARTS)}")
    results = {part: run(part, options.all) for part in options.parts or PARTS}
    print(f"\n{table(results)}")
    return 0 if all(passed for _, passed in results.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
