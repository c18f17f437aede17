"""What rules said, by their names; printed or shown in a notebook, it is a table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

import pandas as pd

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
