"""What rules say: verdicts, and a rule's result with its status."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field

import pandas as pd


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


class Results:
    """The results of an evaluation, in the order of their rules; printed, they are a table."""

    def __init__(self, results: list[RuleResult]) -> None:
        self.results = results

    def __iter__(self) -> Iterator[RuleResult]:
        return iter(self.results)

    def __len__(self) -> int:
        return len(self.results)

    def __getitem__(self, name: str) -> RuleResult:
        for result in self.results:
            if result.name == name:
                return result
        raise KeyError(f"no rule '{name}': there are {[result.name for result in self.results]}")

    def __str__(self) -> str:
        width = max((len(result.name) for result in self.results), default=0)
        lines = [f"{r.name:<{width}}  {r.status:<14}  {r.details}" for r in self.results]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        with pd.option_context("display.max_colwidth", None):  # details are sentences
            return self.frame().to_html()

    def frame(self) -> pd.DataFrame:
        """One row a rule: name, status, violations, datapoints, details."""
        members = ("name", "status", "violations", "datapoints", "details")
        rows = [{name: getattr(result, name) for name in members} for result in self.results]
        return pd.DataFrame(rows, columns=members).set_index("name")

    def verdicts(self) -> pd.DataFrame:
        """One row a verdict: rule, step, mode, tensor, value, threshold, advice."""
        rows = [asdict(verdict) for result in self.results for verdict in result.verdicts]
        return pd.DataFrame(rows, columns=list(Verdict.__dataclass_fields__))
