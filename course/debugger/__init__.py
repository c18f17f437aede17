"""SageMaker Debugger: a trainer that takes its arguments, what the hook saved, what rules said.

| module | holds |
|---|---|
| `trainer` | `DebuggedTrainer`: a `ModelTrainer` with Debugger's arguments |
| `rules` | the course's parameters of the rules, for each network |
| `verdicts` | where a job's tensors lie, and what its rules said |
| `tensors` | what was saved, as tables for plots |
"""

from typing import Any

from course.debugger.rules import REASONS, activations, built_in, compared, parameters
from course.debugger.tensors import (
    TRAIN,
    gradient_norms,
    in_order,
    inventory,
    lowest_loss,
    saving_steps,
    statistic,
    weight_shares,
    zero_gradients,
)
from course.debugger.verdicts import (
    NothingWatched,
    curves,
    diagnosis,
    profile,
    saved,
    tested,
    trial,
    verdicts,
    with_defaults,
)

__all__ = [
    "REASONS",
    "TRAIN",
    "DebuggedTrainer",
    "NothingWatched",
    "activations",
    "built_in",
    "compared",
    "curves",
    "diagnosis",
    "gradient_norms",
    "in_order",
    "inventory",
    "lowest_loss",
    "parameters",
    "profile",
    "saved",
    "saving_steps",
    "statistic",
    "tested",
    "trial",
    "verdicts",
    "weight_shares",
    "with_defaults",
    "zero_gradients",
]


def __getattr__(name: str) -> Any:
    # The trainer imports sagemaker, which takes seconds: only who asks for it waits.
    if name == "DebuggedTrainer":
        from course.debugger.trainer import DebuggedTrainer

        return DebuggedTrainer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
