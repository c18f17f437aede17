"""The process that evaluates a job's profiler rules while the job runs.

``python -m open_debugger.profiler.evaluator RECORDING RULES RESULTS [--job FILE]``: reads the
recording below RECORDING (a folder or an ``s3://`` address) again and again, at most once a minute,
and once more at the end; RULES is a file with the job's ProfilerRuleConfigurations. Whoever started
it hears of each change of a rule's status, and says when nothing more will be recorded
(`open_debugger.protocol`); it may write what DescribeTrainingJob answers to FILE, at any time.

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

from open_debugger import protocol
from open_debugger.profiler import diagnosis, reader, report, reports
from open_debugger.profiler.evaluation import evaluate
from open_debugger.profiler.finding import Finding
from open_debugger.profiler.recording import Recording

LOOK_S = 60.0
QUIET = 20  # a look may take one part in so many of the time, while the job runs
NICENESS = 10  # the job is to have the machine
REPORT = "ProfilerReport"
LISTED = 3  # findings that the details of a report's status name


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
        is_report = rule.get("RuleParameters", {}).get("rule_to_invoke") == REPORT
        try:
            findings = list(evaluate(recording, [rule]))
            found = verdict(findings, is_report)
            folder = protocol.results(self.results, name)
            (write_report if is_report else _write)(recording, findings, folder)
        except Exception as error:
            traceback.print_exc()
            found = "Error", _words(error)
        if ended or (found[0] == "IssuesFound" and not is_report):
            if ended or self.told.get(name) != found:
                self.tell(name, *found)
            self.told[name] = found
        elif is_report and found[0] != "Error":
            self.tell(name, "InProgress", None, results=True)


def verdict(findings: list[Finding], is_report: bool) -> tuple[str, str]:
    """The RuleEvaluationStatus and StatusDetails of one rule, or of a report on many."""
    own = [finding for finding in findings if (finding.rule == REPORT) == is_report]
    if len(own) == 1:
        return own[0].status, own[0].summary
    counts = {
        status: [finding for finding in findings if finding.status == status]
        for status in ("IssuesFound", "NoIssuesFound", "Error")
    }
    issues, _, errors = counts.values()
    if len(errors) == len(findings):
        return "Error", "; ".join(f"{each.rule}: {each.summary}" for each in errors[:LISTED])
    found = "; ".join(f"{each.rule}: {each.summary}" for each in issues[:LISTED])
    more = f"; and {len(issues) - LISTED} more" if len(issues) > LISTED else ""
    failed = f"; not evaluated: {', '.join(each.rule for each in errors)}" if errors else ""
    head = f"{len(issues)} of {len(findings)} rules found issues"
    status = "IssuesFound" if issues else "NoIssuesFound"
    return status, f"{head}{': ' if found else ''}{found}{more}{failed}"


def write_report(recording: Recording, findings: list[Finding], folder: Path) -> None:
    """Write the HTML report and the JSON reports of the rules it is made of, in AWS's layout."""
    place = folder / "profiler-output"
    rules = [finding for finding in findings if finding.rule != REPORT]
    _write(recording, rules, place / "profiler-reports")
    made = diagnosis.diagnose(recording, rules)
    report.write(recording, rules, made, place / "profiler-report.html")


def _write(_recording: Recording, findings: list[Finding], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    reports.write(findings, folder)


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
