"""Rules of one's own: classes derived from smdebug's `Rule`, in a Python file at an S3 address."""

from __future__ import annotations

import contextlib
import importlib.util
import inspect
import math
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from smdebug.exceptions import (
    RuleEvaluationConditionMet,
    StepUnavailable,
    TensorUnavailable,
    TensorUnavailableForStep,
)
from smdebug.rules.rule import Rule

from open_debugger.results import condition_met
from open_debugger.tensors.rule import TensorRule
from open_debugger.tensors.trials import Trial

SOURCE = "source_s3_uri"
# A step that has nothing for a rule is no error, for smdebug either.
ABSENT = (StepUnavailable, TensorUnavailable, TensorUnavailableForStep)
# As in AWS's evaluator: rules call the constructor with the trial alone.
Rule.__init__.__defaults__ = ("", None)


class CustomRule(TensorRule):
    """A rule of one's own among ours: its first issue is its last, as on AWS."""

    def __init__(self, base_trial: Trial, own: Rule, action_str: str = "") -> None:
        super().__init__(base_trial, action_str=action_str)
        self.own, self.rule_name = own, type(own).__name__
        base_trial.passing = False  # it may look back

    def invoke_at_step(self, step: int) -> bool:
        if self.verdicts:
            return False
        try:
            self.own.invoke(step)
        except RuleEvaluationConditionMet:
            mode, mode_step = self.base_trial.mode_modestep(step)
            text = condition_met(self.rule_name, step)
            self.violation(mode_step, mode, "its own condition", math.nan, math.nan, text)
        except ABSENT:
            return False
        except SystemExit as error:
            raise RuntimeError(f"the rule ended its process with {error.code!r}") from error
        self.report["Datapoints"] += 1
        return bool(self.verdicts)

    def summary(self) -> str:
        return f"{self.verdicts[0].advice}."

    def missing(self) -> str | None:
        return None if self.report["Datapoints"] else "the tensors that it asks for were not saved"


def make(trial: Trial, parameters: Mapping[str, str], action: str = "") -> CustomRule:
    """The rule that `parameters` name by ``source_s3_uri`` and ``rule_to_invoke``, on `trial`.

    Its constructor gets all others as they are: strings, if they come from the API.

    Raises:
        ValueError: it cannot be had, or does not take these parameters.
    """
    name, source = parameters.get("rule_to_invoke"), parameters[SOURCE]
    if others := [key for key in parameters if key.startswith("other_trial")]:
        raise ValueError(f"{others[0]}: rules on several trials are not evaluated here")
    own = {SOURCE, "rule_to_invoke", "action_json"}
    given = {key: value for key, value in parameters.items() if key not in own}
    file = _fetch(source)
    with _running(source):
        module = _load(file)
    rule = _find(module, name, source)
    with _running(source):
        return CustomRule(trial, rule(trial, **given), action)


@contextlib.contextmanager
def _running(source: str) -> Iterator[None]:
    """Somebody's code runs in the block, whatever it does."""
    try:
        yield
    except (Exception, SystemExit) as error:
        raise ValueError(f"{source}: {type(error).__name__}: {error}") from error


def _find(module: ModuleType, name: str | None, source: str) -> type[Rule]:
    found = getattr(module, name or "", None)
    if not (inspect.isclass(found) and issubclass(found, Rule)):
        raise ValueError(f"{source} has no class '{name}' derived from smdebug's Rule")
    return found


def _load(file: Path) -> ModuleType:
    name = f"custom_rules.{file.parent.name}.{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file)
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _fetch(source: str) -> Path:
    """The Python file at `source`, which may be on this machine."""
    if not source.endswith(".py"):
        raise ValueError(f"{source}: a rule of one's own is one Python file (.py)")
    if not source.startswith("s3://"):
        return Path(source)
    bucket, _, key = source.removeprefix("s3://").partition("/")
    file = Path(tempfile.mkdtemp(prefix="rule-"), key.rpartition("/")[2])
    try:
        boto3.client("s3").download_file(bucket, key, str(file))
    except (BotoCoreError, ClientError) as error:
        raise ValueError(f"{source} cannot be read: {error}") from None
    return file
