"""What may watch a training run from outside its loop. By default, nothing does.

`debugger/` has a subclass that saves Debugger's tensors, records step times and profiles. That
folder is optional: `train.py` falls back on this class when it is deleted.
"""

import argparse
import contextlib
from collections.abc import Iterable
from typing import Any


class Extras:
    """Empty methods, one for each place at which the loop can be watched."""

    saves_tensors = False  # if so, the whole network must run in every step

    def __init__(self, options: argparse.Namespace):
        """Begin to watch; `options` are those of `train.py`."""

    @staticmethod
    def add_arguments(parser: argparse.ArgumentParser) -> None:
        """Add the arguments that `__init__` reads."""

    def __enter__(self) -> "Extras":
        return self

    def __exit__(self, *_: object) -> None:
        """Stop watching, and write what is outstanding."""

    def describe(self, world: Any, loaders: dict[str, Any]) -> None:
        """Record what trains, on what, and what loads the photos."""

    def register(self, model: Any, criterion: Any, scaler: Any) -> None:
        """Watch the tensors of the network and of the loss."""

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint holds, so that a resumed run is watched as if it went on."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from such a state."""

    def begin(self, phase: str, epoch: int) -> None:
        """Note that the following steps belong to `phase` (train, valid or test) of this epoch."""

    def timed(self, loader: Iterable[Any], device: Any) -> Iterable[Any]:
        """Return the loader's batches; a step ends when the next batch is asked for."""
        return loader

    def mark(self, part: str) -> None:
        """Note that the step has just finished this part: HostToDevice, Forward, Backward, ..."""

    def gradients_ready(self, model: Any) -> None:
        """Watch the gradients of the parameters, before they are clipped. They are not scaled."""

    def span(self, name: str) -> contextlib.AbstractContextManager:
        """Record how long the context lasts."""
        return contextlib.nullcontext()

    def write_scalars(self, metrics: dict[str, float], epoch: int, part: str = "epoch") -> None:
        """Write an epoch's metrics for TensorBoard; `part` tells several writes apart."""

    def close_tensors(self) -> None:
        """Mark the end of the tensors: no step follows."""
