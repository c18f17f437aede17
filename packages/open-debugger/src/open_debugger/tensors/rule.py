"""The base of all tensor rules: smdebug's Rule, with parameters, verdicts and an end."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
from smdebug.core.modes import ModeKeys
from smdebug.exceptions import TensorUnavailableForStep
from smdebug.rules.rule import Rule

from open_debugger.parameters import require
from open_debugger.results import Verdict
from open_debugger.tensors.actions import Actions
from open_debugger.tensors.trials import Trial

Names = list[str] | tuple[str, ...]  # of collections, or regular expressions of tensors' names
KEPT = 200  # verdicts of a rule; later ones are counted only


class TensorRule(Rule):
    """A condition on saved tensors.

    The constructor's arguments after `base_trial` are the rule's parameters, by AWS's names and
    with AWS's defaults; what AWS has not comes after them and changes nothing by default.
    """

    def __init__(
        self,
        base_trial: Trial,
        collections: Names | None = None,
        regex: Names | None = None,
        action_str: str = "",
    ) -> None:
        """The rule looks at the tensors of `collections` and those that match `regex`; all if None.

        `action_str` is an ``action_json``, as ``[{"name": "stoptraining", ...}]``.

        Raises:
            ValueError: a regex or an action is none.
        """
        super().__init__(base_trial, "")
        self._actions = Actions(action_str)
        self.collections, self.regex = list(collections or ()), list(regex or ())
        for each in self.regex:
            require(_compiles(each), f"'{each}' is no regular expression")
        self.verdicts: list[Verdict] = []
        self.reduced: set[str] = set()  # tensors of which only reductions were saved

    @property
    def notes(self) -> list[str]:
        """What the rule's actions did, a sentence each."""
        return self._actions.notes

    def summary(self) -> str:
        """The first verdict, and how many there are."""
        first, count = self.verdicts[0], self.report["Violations"]
        where = f"{first.tensor} at {first.mode} step {first.step}"
        value = f"{first.value:.4g}, threshold {first.threshold:g}"
        times = f" ({count} times)" if count > 1 else ""
        return f"{where}: {value}{times}. {first.advice}"

    # For the rules

    def look(self, step: int, mode: ModeKeys) -> None:
        """Compare what was saved at a mode's step; report by `violation`."""
        raise NotImplementedError

    def finish(self) -> None:
        """No step will follow."""

    def missing(self) -> str | None:
        """Why nothing could be looked at, once no step will follow; None if something was."""
        if self.report["Datapoints"]:
            return None
        if self.reduced:
            return f"of {sorted(self.reduced)[0]} only reductions were saved: save it whole"
        there = ", ".join(
            f"{name} ({len(found)})"
            for name in sorted(self.base_trial.collections())
            if (found := self.base_trial.tensor_names(collection=name))
        )
        return f"no tensor of {self._wanted()} was saved; there are: {there or 'none at all'}"

    def unjudged(self) -> str | None:
        """Why tensors were there and nothing could be compared; None if something was."""
        return None

    def unmatched(self) -> str | None:
        """Which of the rule's regular expressions matches no saved tensor; None if all do."""
        blind = [each for each in self.regex if not self.base_trial.tensor_names(regex=[each])]
        return f"No tensor matches its regex {' or '.join(map(repr, blind))}." if blind else None

    def _wanted(self) -> str:
        names = [f"the collection '{name}'" for name in self.collections]
        names += [f"the regex '{regex}'" for regex in self.regex]
        return " or ".join(names) or "any kind"

    def tensors(
        self,
        step: int,
        mode: ModeKeys,
        collections: Names | None = None,
        regex: Names | None = None,
    ) -> Iterator[tuple[str, np.ndarray]]:
        """Names and values of the rule's tensors, or of others, at a mode's step.

        All of them numbers (bool, int, float), of any shape, none empty; of several workers the
        first one's.

        Raises:
            TrialError: a tensor is in no state to be read.
        """
        if collections is None and regex is None:
            collections, regex = self.collections, self.regex
        for name in self._names(step, mode, collections or (), regex or ()):
            try:
                value = np.asarray(self.base_trial.tensor(name).value(step, mode=mode))
            except TensorUnavailableForStep:
                self.reduced.add(name)
                continue
            if value.size and value.dtype.kind in "biuf":
                self.report["Datapoints"] += 1
                yield name, value

    def _names(self, step: int, mode: ModeKeys, collections: Names, regex: Names) -> list[str]:
        ask = self.base_trial.tensor_names
        if not collections and not regex:
            return ask(step=step, mode=mode)
        found: set[str] = set()
        for name in collections:
            found.update(ask(step=step, mode=mode, collection=name))
        if regex:
            found.update(ask(step=step, mode=mode, regex=list(regex)))
        return sorted(found)

    def violation(
        self, step: int, mode: ModeKeys, tensor: str, value: float, threshold: float, advice: str
    ) -> None:
        """The condition is met."""
        self.report["Violations"] += 1
        if len(self.verdicts) < KEPT:
            verdict = Verdict(
                self.rule_name, step, mode.name, tensor, float(value), float(threshold), advice
            )
            self.verdicts.append(verdict)

    # For smdebug

    def invoke_at_step(self, step: int) -> bool:
        """Look at a global step; True where the condition is met first, for smdebug acts on it."""
        mode, mode_step = self.base_trial.mode_modestep(step)
        before = self.report["Violations"]
        self.look(mode_step, mode)
        return self._is_first(before)

    def end(self) -> bool:
        """No step will follow; True if the condition is met by that, for the first time."""
        before = self.report["Violations"]
        self.finish()
        return self._is_first(before)

    def _is_first(self, before: int) -> bool:
        self.report["RuleTriggered"] = self.report["Violations"]
        return before == 0 < self.report["Violations"]


def _compiles(regex: str) -> bool:
    try:
        return bool(re.compile(regex))
    except re.error:
        return False
