"""Where the time of a run and of its steps goes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from open_debugger.profiler.recording import PARTS, Recording

NAMES = {"host_to_device": "host to device"}
EVALUATING = ("valid", "test")
SPANS = ("initialization", "evaluation", "checkpoint")


@dataclass(frozen=True)
class Part:
    """A share of a time; `seconds` is None where it was not measured."""

    name: str
    seconds: float | None
    share: float | None


def phase_steps(recording: Recording, phase: str) -> pd.DataFrame:
    """The steps of a phase: train, valid or test."""
    return recording.steps[recording.steps["phase"] == phase]


def lead(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of the first process only: ranks run at the same time."""
    if not len(frame):
        return frame
    first = frame[["node", "rank"]].sort_values(["rank", "node"]).iloc[0]
    return frame[(frame["node"] == first["node"]) & (frame["rank"] == first["rank"])]


def outlier_limit(taken: np.ndarray, stddev: float) -> float:
    """Mean + `stddev` standard deviations, in seconds: the condition of AWS's StepOutlier."""
    return float(np.nanmean(taken) + stddev * np.nanstd(taken))


def parts(steps: pd.DataFrame) -> list[Part]:
    """The parts of some steps' time in their order, and what is left: other.

    A part that was never measured is None, and what is left is then that part's, too.
    """
    whole = float(steps["seconds"].sum())
    if not len(steps) or not whole > 0:
        return []
    sums = {name: pd.to_numeric(steps[name]).sum(min_count=1) for name in PARTS}
    found = [Part(NAMES.get(n, n), *_of(s, whole)) for n, s in sums.items()]
    left = whole - sum(part.seconds or 0.0 for part in found)
    return [*found, Part("other", *_of(max(0.0, left), whole))]


def measured(steps: pd.DataFrame) -> bool:
    """Whether any part of any step is known."""
    return bool(len(steps)) and bool(steps[list(PARTS)].notna().to_numpy().any())


def epochs(recording: Recording) -> list[tuple[str, pd.DataFrame]]:
    """The training steps by epoch, if there are several."""
    grouped = phase_steps(recording, "train").groupby("epoch")
    named = [(f"{epoch:g}", steps) for epoch, steps in grouped]
    return named if len(named) > 1 else []


def activity(recording: Recording) -> list[Part]:
    """How the recorded time was spent, by the first process: what no step or span covers is other.

    Evaluation is its spans' time, or without them the valid and test steps'.
    """
    if not len(recording.steps) and not len(recording.spans):
        return []
    whole = recording.end - recording.start
    steps, spans = lead(recording.steps), lead(recording.spans)
    sums = {name: spans.loc[spans["name"] == name, "seconds"].sum(min_count=1) for name in SPANS}
    if pd.isna(sums["evaluation"]):
        evaluating = steps["phase"].isin(EVALUATING)
        sums["evaluation"] = steps.loc[evaluating, "seconds"].sum(min_count=1)
    training = steps.loc[steps["phase"] == "train", "seconds"].sum(min_count=1)
    order = {"initialization": sums["initialization"], "training": training, **sums}
    found = [Part(name, *_of(value, whole)) for name, value in order.items() if pd.notna(value)]
    left = whole - sum(part.seconds for part in found)
    return [*found, Part("other", *_of(left, whole))] if left > 0.001 * whole else found


def _of(value: float, whole: float) -> tuple[float | None, float | None]:
    return (None, None) if pd.isna(value) else (float(value), float(value) / whole if whole else 0)
