"""What rules say: verdicts, a rule's result with its status, and several of them as a table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Generic, TypeVar

import pandas as pd

AWSS = "RuleEvaluationConditionMet"
Item = TypeVar("Item")  # with a name (RuleConfigurationName) and a status


class Named(Generic[Item]):
    """The items of an evaluation in the order of their rules.

    `told` is the member that tells an item in a sentence, `members` are the columns of `frame`.
    """

    told: str
    members: tuple[str, ...]

    def __init__(self, items: list[Item]) -> None:
        self.items = items

    def __iter__(self) -> Iterator[Item]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, name: str) -> Item:
        for item in self.items:
            if item.name == name:
                return item
        raise KeyError(f"no rule '{name}': there are {[item.name for item in self.items]}")

    def __contains__(self, name: str) -> bool:
        return any(item.name == name for item in self.items)

    def __str__(self) -> str:
        width = max((len(item.name) for item in self.items), default=0)
        rows = [(item.name, item.status, getattr(item, self.told)) for item in self.items]
        return "\n".join(f"{name:<{width}}  {status:<14}  {told}" for name, status, told in rows)

    def _repr_html_(self) -> str:
        with pd.option_context("display.max_colwidth", None):  # what is told are sentences
            return self.frame().to_html()

    def frame(self) -> pd.DataFrame:
        """One row a rule, named; a column a member."""
        rows = [{name: getattr(item, name) for name in self.members} for item in self.items]
        return pd.DataFrame(rows, columns=self.members).set_index("name")


def condition_met(rule: str, step: int) -> str:
    """What AWS tells of a rule that has found something: all of its StatusDetails."""
    text = f"{AWSS}: Evaluation of the rule {rule} at step {step} "
    return f"{text}resulted in the condition being met"


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
    step: int | None = None  # the global one at which the condition was first met

    @property
    def status_details(self) -> str:
        """SageMaker's StatusDetails: AWS's sentence, where there is an issue, above `details`."""
        if self.step is None or self.details.startswith(AWSS):  # a rule of one's own says it itself
            return self.details
        return f"{condition_met(self.rule, self.step)}\n{self.details}"


class Results(Named[RuleResult]):
    """The results of an evaluation, in the order of their rules; printed, they are a table."""

    told = "details"
    members = ("name", "status", "violations", "datapoints", "details")

    def verdicts(self) -> pd.DataFrame:
        """One row a verdict: rule, step, mode, tensor, value, threshold, advice."""
        rows = [asdict(verdict) for result in self.items for verdict in result.verdicts]
        return pd.DataFrame(rows, columns=list(Verdict.__dataclass_fields__))
