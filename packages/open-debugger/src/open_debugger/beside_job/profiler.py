"""The process that evaluates a job's profiler rules while the job runs.

``python -m open_debugger.beside_job.profiler RECORDING RULES RESULTS [--job FILE]``: reads the
recording below RECORDING (a folder or an ``s3://`` address) again and again, at most once a minute,
and once more at the end; RULES is a file with the job's ProfilerRuleConfigurations. Whoever started
it hears of each change of a rule's status, and says when nothing more will be recorded
(`open_debugger.beside_job.protocol`); it may write what DescribeTrainingJob answers to FILE, at any
time.

In the folder RESULTS lies what the rules have found, as ``<RuleConfigurationName>/<Rule>.json``; of
a ProfilerReport ``profiler-output/profiler-report.html`` and ``profiler-output/profiler-reports/``
below its name, as on AWS, at each look. A rule tells of an issue at once; a ProfilerReport, which
is complete only then, at the end.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from open_debugger.beside_job import protocol
from open_debugger.profiler import diagnosis, report, rule_reports
from open_debugger.profiler.catalogue import REPORT
from open_debugger.profiler.evaluation import evaluate
from open_debugger.profiler.findings import Finding
from open_debugger.profiler.reading import reader
from open_debugger.profiler.recording import Recording
from open_debugger.results import condition_met

LOOK_S = 60.0
QUIET = 20  # a look may take one part in so many of the time, while the job runs
NICENESS = 10  # the job is to have the machine


def run(look: Callable[[bool], None], wait: Callable[[float], bool]) -> None:
    """Look until `wait`, which sleeps so many seconds, says that all is recorded.

    `look` is told whether it is the last time.
    """
    ended = wait(0)
    while True:
        started = time.monotonic()
        look(ended)
        if ended:
            return
        ended = wait(max(LOOK_S, QUIET * (time.monotonic() - started)))


@dataclass
class Looks:
    """Looks at one recording; `tell` gets what `protocol.tell` takes after the output."""

    place: str
    rules: list[dict]
    results: Path
    tell: Callable[..., None]
    job: Path | None = None
    told: dict[str, tuple] = field(default_factory=dict)

    def __call__(self, ended: bool) -> None:
        """Evaluate all rules on what is recorded by now."""
        try:
            recording = reader.read(self.place, job=self._job())
        except Exception as error:
            traceback.print_exc()
            if ended:  # else there may be more to read the next time
                for rule in self.rules:
                    self.tell(rule["RuleConfigurationName"], "Error", _words(error))
            return
        for rule in self.rules:
            self._evaluate(recording, rule, ended)

    def _job(self) -> dict | None:
        return json.loads(self.job.read_text()) if self.job and self.job.exists() else None

    def _evaluate(self, recording: Recording, rule: dict, ended: bool) -> None:
        name = rule["RuleConfigurationName"]
        try:
            findings = list(evaluate(recording, [rule]))
            is_report, found = findings[0].rule == REPORT, _told(findings[0])
            folder = protocol.results(self.results, name)
            (write_report if is_report else _write)(recording, findings, folder)
        except Exception as error:
            traceback.print_exc()
            is_report, found = False, ("Error", _words(error))
        if ended:
            self.tell(name, *found)
        elif is_report:
            self.tell(name, "InProgress", None, results=True)
        elif found[0] == "IssuesFound" and self.told.get(name) != found:
            self.told[name] = found
            self.tell(name, *found)


def _told(finding: Finding) -> tuple[str, str]:
    """A finding's status and its StatusDetails, which begin with AWS's sentence on an issue."""
    if finding.status != "IssuesFound":
        return finding.status, finding.summary
    awss = condition_met(finding.rule, 0)  # these rules count no steps
    return finding.status, f"{awss}\n{finding.summary}"


def write_report(recording: Recording, findings: list[Finding], folder: Path) -> None:
    """Write the HTML report and the JSON reports of the rules it is made of, in AWS's layout."""
    place, rules = folder / "profiler-output", [each for each in findings if each.rule != REPORT]
    rule_reports.write(rules, place / "profiler-reports")
    made = diagnosis.diagnose(recording, rules)
    report.write(recording, rules, made, place / "profiler-report.html")


def _write(_recording: Recording, findings: list[Finding], folder: Path) -> None:
    rule_reports.write(findings, folder)


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__


def main() -> None:
    parser = argparse.ArgumentParser(description="Evaluate a job's profiler rules while it runs.")
    parser.add_argument("recording", help="folder or s3:// address of what is recorded")
    parser.add_argument("rules", type=Path, help="file with the ProfilerRuleConfigurations")
    parser.add_argument("results", type=Path, help="folder for the results")
    parser.add_argument("--job", type=Path, help="file with DescribeTrainingJob's answer")
    options = parser.parse_args()
    rules = json.loads(options.rules.read_text())
    os.nice(NICENESS)
    with protocol.standard_output() as output:
        tell = functools.partial(protocol.tell, output)
        looks = Looks(options.recording, rules, options.results, tell, options.job)
        run(looks, protocol.told_to_end)


if __name__ == "__main__":
    main()
