"""`beside_job/protocol.py`: what an evaluator and its starter say to each other."""

import json
import subprocess
import sys

import pytest

from open_debugger.beside_job import protocol

PROGRAM = """
import os, subprocess, sys
from open_debugger.beside_job import protocol

with protocol.standard_output() as output:
    print("what a rule prints")
    subprocess.run(["echo", "what its child prints"])
    print(protocol.told_to_end(0), file=sys.stderr)
    protocol.tell(output, "a", "InProgress", None, results=True)
    while not protocol.told_to_end(60):
        protocol.tell(output, "a", "NoIssuesFound", "said")
"""


def test_only_statuses_are_told_until_standard_input_closes():
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    process = subprocess.Popen([sys.executable, "-c", PROGRAM], text=True, bufsize=1, **pipes)
    first = json.loads(process.stdout.readline())
    process.stdin.write("a line is no end\n")
    process.stdin.flush()
    second = json.loads(process.stdout.readline())
    rest, errors = process.communicate(timeout=30)
    assert (rest, process.returncode) == ("", 0)
    asked = {"RuleConfigurationName": "a", "RuleEvaluationStatus": "InProgress"}
    assert first == {**asked, "StatusDetails": None, "Results": True}
    asked["RuleEvaluationStatus"] = "NoIssuesFound"
    assert second == {**asked, "StatusDetails": "said"}
    assert errors.splitlines() == ["what a rule prints", "what its child prints", "False"]


@pytest.mark.parametrize(
    ("name", "folder"), [("Overfit", "Overfit"), ("../up", "___up"), (".", "_"), ("/etc", "_etc")]
)
def test_no_name_leads_out_of_the_folder(tmp_path, name, folder):
    place = protocol.results(tmp_path / "results", name)
    assert place == tmp_path / "results" / folder and place.is_dir()
