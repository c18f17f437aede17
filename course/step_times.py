"""Profiled runs beside each other: what their steps took, and what that would cost."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from course import costs
from course.workspace import ROOT
from open_debugger.profiler import Profile, analyse
from open_debugger.profiler.recording import PARTS

RECORDINGS = ROOT / "notebooks" / "recordings"
PHOTOS = 6_680  # training photos of dogImages
WORDS = {
    "data": "waiting for data",
    "host_to_device": "to the device",
    "forward": "forward",
    "backward": "backward",
    "optimizer": "optimiser",
}
OTHER = "other"


def parts(runs: Mapping[str, Profile]) -> pd.DataFrame:
    """Where a training step's time goes: a row a run, a column a part, mean milliseconds.

    Raises:
        ValueError: a run has no training steps.
    """
    rows = {}
    for name, run in runs.items():
        steps = _training(name, run)
        means = 1000 * steps[list(PARTS)].fillna(0).mean()
        rest = max(0.0, 1000 * steps["seconds"].mean() - means.sum())
        rows[name] = {WORDS[part]: means[part] for part in PARTS} | {OTHER: rest}
    return pd.DataFrame.from_dict(rows, orient="index")


def compared(
    runs: Mapping[str, Profile], instance: str, epochs: int = 5, photos: int = PHOTOS
) -> pd.DataFrame:
    """A row a run: photos a second, the share of a step that waits for data, and what follows.

    Minutes and dollars are those of `epochs` passes over `photos` training photos at this speed,
    on an `instance` at its list price; evaluation and start-up come on top.

    Raises:
        ValueError: a run has no training steps, or the instance no price.
    """
    rows = {}
    for name, run in runs.items():
        steps = _training(name, run)
        seconds = steps["seconds"].sum()
        speed = steps["images"].sum() / seconds
        whole = epochs * photos / speed
        rows[name] = {
            "photos/s": speed,
            "waiting": steps["data"].sum() / seconds,
            "minutes": whole / 60,
            "dollars": costs.dollars(whole, instance),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def recorded_on_gpu(folder: Path = RECORDINGS) -> dict[str, Profile]:
    """The profiles that `make record-gpu` has recorded, the starved run first; none before that."""
    files = {name: folder / f"{name}.tar.gz" for name in ("starved", "fed")}
    return {name: analyse(file) for name, file in files.items() if file.exists()}


def _training(name: str, run: Profile) -> pd.DataFrame:
    steps = run.recording.steps
    training = steps[steps["phase"] == "train"]
    if training.empty:
        raise ValueError(f"the run '{name}' has no training steps ({run.recording.source})")
    return training
