"""`tools/test.py`: every part runs, a failing one is told, and the table has them all."""

import sys

import pytest

from tools import test as runner


def test_a_part_that_fails_does_not_keep_the_others_from_running(monkeypatch, capfd):
    """Its own later commands do not run."""

    def commands(part, slow):
        code = 3 if part == "docs" else 0
        return [[sys.executable, "-c", text] for text in (f"exit({code})", f"print('ran {part}')")]

    monkeypatch.setattr(runner, "commands", commands)
    assert runner.main(["lint", "docs", "notebooks"]) == 1
    said = capfd.readouterr().out.splitlines()
    assert [line for line in said if line.startswith("ran")] == ["ran lint", "ran notebooks"]
    results = [line.split()[::3] for line in said[-4:-1]]
    assert results == [["lint", "passed"], ["docs", "FAILED"], ["notebooks", "passed"]]


@pytest.mark.parametrize(("selection", "code"), [("serial", 0), ("not serial", 1)])
def test_a_project_without_tests_fails_but_not_one_without_serial_tests(
    monkeypatch, selection, code
):
    command = [sys.executable, "-c", "exit(5)", selection]
    monkeypatch.setattr(runner, "commands", lambda part, slow: [command])
    assert runner.main(["engine"]) == code


def test_projects_run_side_by_side_and_their_serial_tests_alone(monkeypatch, capfd, tmp_path):
    """Each first command waits for the other's; each second one looks for the other's."""
    text = """
import sys, time
from pathlib import Path
step, mine, other = sys.argv[1:]
Path(step + mine).touch()
found = Path(step + other)
end = time.monotonic() + (30 if step == "first" else 0.3)
while not found.exists() and time.monotonic() < end:
    time.sleep(0.01)
print(step, mine, "saw the other" if found.exists() else "was alone")
Path(step + mine).unlink() if step == "second" else None
"""
    other = {"engine": "course", "course": "engine"}

    def commands(part, slow):
        script = f"import os; os.chdir({str(tmp_path)!r})\n{text}"
        return [[sys.executable, "-c", script, s, part, other[part]] for s in ("first", "second")]

    monkeypatch.setattr(runner, "commands", commands)
    assert runner.main(["engine", "course"]) == 0
    said = capfd.readouterr().out.splitlines()
    assert sorted(line for line in said if line.startswith("first")) == [
        "first course saw the other",
        "first engine saw the other",
    ]
    assert [line for line in said if line.startswith("second")] == [
        "second engine was alone",
        "second course was alone",
    ]


@pytest.mark.parametrize("part", ["debugger", "engine", "course"])
def test_slow_tests_are_selected_only_if_asked_for(part):
    assert runner.commands(part)[0][-1] == "not serial and not slow"
    assert runner.commands(part, slow=True)[0][-1] == "not serial"


@pytest.mark.parametrize(("text", "found"), [("@pytest.mark." + "serial\n", True), ("", False)])
def test_serial_tests_have_a_call_of_their_own_where_there_are_any(
    monkeypatch, tmp_path, text, found
):
    (tmp_path / "tests" / "inner").mkdir(parents=True)
    (tmp_path / "tests" / "inner" / "test_one.py").write_text(text)
    monkeypatch.setitem(runner.PROJECTS, "engine", tmp_path)
    last = [command[-1] for command in runner.commands("engine")][1:]
    assert last == (["serial and not slow"] if found else [])


@pytest.mark.parametrize(("arguments", "asked"), [([], 0), (["--all"], 1), (["lessons"], 1)])
def test_the_lessons_outputs_are_compared_only_if_asked_for(monkeypatch, arguments, asked):
    ran = []

    def run_group(parts, slow):
        ran.extend(parts)
        return {}

    monkeypatch.setattr(runner, "run_group", run_group)
    assert runner.main(arguments) == 0
    assert ran.count("lessons") == asked
    assert runner.commands("lessons") == [["make", "--no-print-directory", "check-lessons"]]


def test_a_part_that_does_not_exist(capsys):
    with pytest.raises(SystemExit):
        runner.main(["motor"])
    assert "no part motor: there are lint, docs, engine, course" in capsys.readouterr().err
