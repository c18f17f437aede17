"""The process that evaluates a job's rules while the job runs.

``python -m open_debugger.beside_job.tensors TENSORS RULES RESULTS``: reads the tensors below
TENSORS (a folder or an ``s3://`` address) as they come; RULES is a file with the job's
DebugRuleConfigurations. Whoever started it hears of each change of a rule's status, and says when
no more tensors will come (`open_debugger.beside_job.protocol`). What a rule has found by then is in
the folder RESULTS, as ``<RuleConfigurationName>/<rule>.json``.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable
from pathlib import Path

from open_debugger.beside_job import protocol
from open_debugger.results import RuleResult, Verdict
from open_debugger.tensors.evaluation import Evaluation
from open_debugger.tensors.trials import TrialError, Unreachable, open_trial

POLL_S = 1.0


def run(tensors: str, rules: list[dict], wait: Callable[[], bool], tell: Callable) -> Evaluation:
    """Evaluate until `wait`, which sleeps between two looks, says that all is written.

    `tell` gets each result whose status or details have changed.
    """
    evaluation, told = Evaluation(rules), {}

    def tell_changes() -> None:
        for result in evaluation.results:
            if told.get(result.name) != (result.status, result.details):
                told[result.name] = (result.status, result.details)
                tell(result)

    ended = False
    while not ended:
        tell_changes()
        ended = wait()
        try:
            _look(evaluation, tensors, ended)
        except TrialError as error:
            if ended or (evaluation.trial and not isinstance(error, Unreachable)):
                evaluation.fail(str(error))
                break
    tell_changes()
    return evaluation


def _look(evaluation: Evaluation, tensors: str, ended: bool) -> None:
    if evaluation.trial is None:
        evaluation.begin(open_trial(tensors, passing=True))
    if ended:
        evaluation.finish()
    else:
        evaluation.advance()


def write(result: RuleResult, folder: Path) -> None:
    """Write a rule's result in the form of AWS's rule reports, with its verdicts."""
    place = protocol.results(folder, result.name)
    report = {
        "RuleTriggered": result.violations,
        "Violations": result.violations,
        "Details": {
            "Status": result.status,
            "StatusDetails": result.status_details,
            "Verdicts": [_written(verdict) for verdict in result.verdicts],
        },
        "Datapoints": result.datapoints,
        "RuleParameters": ", ".join(f"{k}:{v}" for k, v in result.parameters.items()),
    }
    name = result.rule if result.rule.isidentifier() else "rule"  # it need not be one that there is
    (place / f"{name}.json").write_text(json.dumps(report, indent=2) + "\n")


def _written(verdict: Verdict) -> dict:
    """A verdict for JSON, which has neither NaN nor inf."""
    members = vars(verdict)
    odd = {k: str(v) for k, v in members.items() if isinstance(v, float) and not math.isfinite(v)}
    return members | odd


def main() -> None:
    parser = argparse.ArgumentParser(description="Evaluate a job's Debugger rules while it runs.")
    parser.add_argument("tensors", help="folder or s3:// address of the saved tensors")
    parser.add_argument("rules", type=Path, help="file with the DebugRuleConfigurations")
    parser.add_argument("results", type=Path, help="folder for the results")
    options = parser.parse_args()
    rules = json.loads(options.rules.read_text())

    def tell(result: RuleResult) -> None:
        write(result, options.results)
        protocol.tell(output, result.name, result.status, result.status_details)

    def wait() -> bool:
        return protocol.told_to_end(POLL_S)

    with protocol.standard_output() as output:
        run(options.tensors, rules, wait, tell)


if __name__ == "__main__":
    main()
