"""What a profiler rule found, and what is to be made of a whole run."""

from __future__ import annotations

from dataclasses import dataclass, field

from open_debugger.results import Named


@dataclass
class Finding:
    """A profiler rule's result; `status` is one of SageMaker's RuleEvaluationStatus.

    `triggered`, `violations`, `details` and `datapoints` are as in AWS's rule reports.
    """

    name: str  # RuleConfigurationName
    rule: str
    status: str  # IssuesFound, NoIssuesFound or Error
    summary: str  # what was found, with its figures; of an Error, why
    advice: str = ""  # what to change, if something was found
    parameters: dict = field(default_factory=dict)  # as used
    scaled: dict = field(default_factory=dict)  # what was asked for where a short run got less
    triggered: int = 0
    violations: int = 0
    datapoints: int = 0
    details: dict = field(default_factory=dict)
    skipped: str = ""  # why there was nothing to look at, such as "No GPU in this run"


CHANGE = "the change below"


@dataclass(frozen=True)
class Diagnosis:
    """The verdict on a run in three sentences, and the most that the change can save.

    `limit` is data, io, compute, cpu, memory, balance, outliers or unknown. `gain` is the share of
    a training step's time that the change saves at most; where no steps were recorded, of the run's
    time: `gain_of` says which. `gain_by` names what saves it, if the change offers two ways.
    """

    limit: str
    what: str
    evidence: str
    change: str
    gain: float | None = None
    gain_of: str = "a training step"
    gain_by: str = CHANGE


class Findings(Named[Finding]):
    """The findings of an evaluation in the order of their rules; printed, they are a table."""

    told = "summary"
    members = ("name", "status", "summary", "advice")
