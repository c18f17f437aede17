"""What rules say: verdicts, and a rule's result with its status."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

import pandas as pd

from open_debugger.named import Named


@dataclass(frozen=True)
class Verdict:
    """A condition that was met: by which tensor, when, how far, and what to do about it."""

    rule: str
    step: int  # of its mode
    mode: str  # TRAIN, EVAL, PREDICT or GLOBAL
    tensor: str
    value: float
    threshold: float
    advice: str

    def __str__(self) -> str:
        where = f"{self.tensor}, {self.mode} step {self.step}"
        return (
            f"{self.rule}: {where}: {self.value:.4g} (threshold {self.threshold:g}). {self.advice}"
        )


@dataclass
class RuleResult:
    """How a rule ended; `status` is one of SageMaker's RuleEvaluationStatus."""

    name: str  # RuleConfigurationName
    rule: str
    status: str
    details: str
    parameters: dict = field(default_factory=dict)
    verdicts: list[Verdict] = field(default_factory=list)  # the first ones
    violations: int = 0  # all of them
    datapoints: int = 0  # tensors that were looked at


class Results(Named[RuleResult]):
    """The results of an evaluation, in the order of their rules; printed, they are a table."""

    told = "details"
    members = ("name", "status", "violations", "datapoints", "details")

    def verdicts(self) -> pd.DataFrame:
        """One row a verdict: rule, step, mode, tensor, value, threshold, advice."""
        rows = [asdict(verdict) for result in self.items for verdict in result.verdicts]
        return pd.DataFrame(rows, columns=list(Verdict.__dataclass_fields__))
