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


@pytest.mark.parametrize("part", ["debugger", "engine", "course"])
def test_slow_tests_are_selected_only_if_asked_for(part):
    selected = [command[-1] for command in runner.commands(part)]
    assert selected == ["not serial and not slow", "serial and not slow"]
    assert [command[-1] for command in runner.commands(part, slow=True)] == ["not serial", "serial"]


def test_a_part_that_does_not_exist(capsys):
    with pytest.raises(SystemExit):
        runner.main(["motor"])
    assert "no part motor: there are lint, docs, debugger, engine" in capsys.readouterr().err
