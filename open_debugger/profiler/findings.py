"""Several rules' findings together: printed or shown in a notebook, they are a table."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from open_debugger.profiler.finding import Finding


class Findings:
    """The findings of an evaluation in the order of their rules."""

    def __init__(self, findings: list[Finding]) -> None:
        self.findings = findings

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def __len__(self) -> int:
        return len(self.findings)

    def __getitem__(self, name: str) -> Finding:
        """The finding of a RuleConfigurationName."""
        for finding in self.findings:
            if finding.name == name:
                return finding
        raise KeyError(f"no rule '{name}': there are {[each.name for each in self.findings]}")

    def __contains__(self, name: str) -> bool:
        return any(finding.name == name for finding in self.findings)

    def __str__(self) -> str:
        width = max((len(each.name) for each in self.findings), default=0)
        return "\n".join(f"{f.name:<{width}}  {f.status:<14}  {f.summary}" for f in self.findings)

    def _repr_html_(self) -> str:
        with pd.option_context("display.max_colwidth", None):  # summaries are sentences
            return self.frame().to_html()

    def frame(self) -> pd.DataFrame:
        """One row a rule: name, status, summary, advice."""
        members = ("name", "status", "summary", "advice")
        rows = [{name: getattr(each, name) for name in members} for each in self.findings]
        return pd.DataFrame(rows, columns=members).set_index("name")
