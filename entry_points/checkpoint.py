"""Checkpoints: a run that was killed, or asked to stop, goes on as if nothing had happened.

A checkpoint is either whole or not there: it is written under another name, forced to the disk, and
only then renamed. Its name ends in its SHA-256's first digits: torch.load verifies no checksums.
"""

import contextlib
import hashlib
import json
import math
import os
import signal
import time
from pathlib import Path
from typing import Any

import torch
from torch import nn

from distributed import AverageMeter, World, process_began
from options import ConfigError

LOOK_EVERY = 50  # steps between two looks at what other processes want: each look waits for a GPU


class CheckpointError(ConfigError):
    """The checkpoints are another run's, or cannot be written; the text names the way out."""


def checkpoints(folder: Path | None) -> list[Path]:
    """Return the files of checkpoints in a folder, oldest first; of no folder (None), none."""
    return [] if folder is None else sorted(folder.glob("epoch-*-step-*-*.pt"))


class Checkpoints:
    """The last two checkpoints of a run in a folder; without a folder (None), none.

    `run` identifies it (hyperparameters, class names) by values that JSON knows.
    Raises CheckpointError unless the folder can be made, read and written.
    """

    def __init__(self, folder: Path | None, run: dict[str, Any]):
        self.folder, self.run = folder, json.loads(json.dumps(run))  # tuples become lists
        self._damaged: set[Path] = set()
        try:
            if folder is not None:
                folder.mkdir(parents=True, exist_ok=True)
            if folder is not None and not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
                raise PermissionError(f"{folder} must be readable and writable")
        except OSError as error:
            raise CheckpointError(f"{error}: name another --checkpoint-dir") from error

    def save(self, state: dict[str, Any], epoch: int, step: int) -> None:
        """Save a state of tensors and plain values, reached at this step of this epoch.

        If that fails, because the disk is full for example, a line says so and the run goes on.
        """
        if self.folder is None:
            return
        stem = f"epoch-{epoch:05}-step-{step:08}"  # so that names sort
        partial = self.folder / f"{stem}.partial"
        try:
            digest = _write((self.run, state), partial)
            file = partial.replace(self.folder / f"{stem}-{digest}.pt")
            descriptor = os.open(self.folder, os.O_RDONLY)
            os.fsync(descriptor)  # a file's name is in its folder
            os.close(descriptor)
        except (OSError, RuntimeError) as error:  # torch.save hides the former in the latter
            print(f"checkpoint=failed: {stem}: {error.__context__ or error}", flush=True)
            with contextlib.suppress(OSError):
                partial.unlink()
            return
        # Files of the same or a later step are damaged: otherwise this run had resumed from them.
        before = [o for o in self._files() if o.name < stem and o not in self._damaged][-1:]
        for other in {*self._files(), *self.folder.glob("epoch-*.partial")} - {file, *before}:
            with contextlib.suppress(OSError):
                other.unlink()
        self._damaged.clear()

    def newest(self) -> dict[str, Any] | None:
        """Return the newest undamaged state, its tensors on the CPU; None if there is none.

        A damaged one is named in a printed line. Raises CheckpointError for one of another run.
        """
        for file in reversed(self._files()):
            try:
                run, state = _read(file)
            except Exception as error:  # torch.load raises half a dozen kinds
                reason = " ".join(str(error).split())[:200] or type(error).__name__
                print(f"checkpoint=damaged: {file.name}: {reason}", flush=True)
                self._damaged.add(file)
                continue
            there, here = _flat(run), _flat(self.run)
            differ = [n for n in {**there, **here} if there.get(n) != here.get(n)]
            if differ:
                found = "; ".join(f"{n}: {there.get(n)} there, {here.get(n)} here" for n in differ)
                way_out = "name another --checkpoint-dir, or remove this one to begin anew"
                raise CheckpointError(f"{file} is of another run ({found}): {way_out}")
            return state
        return None

    def _files(self) -> list[Path]:
        return checkpoints(self.folder)


def _write(content: tuple[dict[str, Any], dict[str, Any]], file: Path) -> str:
    with file.open("w+b") as stream:
        torch.save(content, stream)
        stream.flush()
        os.fsync(stream.fileno())
        stream.seek(0)
        return hashlib.file_digest(stream, "sha256").hexdigest()[:16]


def _read(file: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()[:16]
        if digest not in file.name:
            raise ValueError(f"its SHA-256 begins with {digest}, not as its name says")
        stream.seek(0)
        return torch.load(stream, weights_only=True, map_location="cpu")  # no code, ever


def _flat(value: Any, name: str = "") -> dict[str, Any]:
    if not isinstance(value, dict):
        return {name: value}
    parts = (_flat(part, f"{name}.{key}".strip(".")) for key, part in value.items())
    return dict(item for part in parts for item in part.items())


class Progress:
    """Where a run is: its epoch and step, the sums of the epoch so far, and the epochs before.

    `history` holds the metrics of each finished epoch. `best` is the epoch with the lowest
    validation loss so far; `best_weights` are its weights on the CPU, if they are to be kept.
    """

    PLAIN = ("epoch", "step", "history", "best", "best_weights", "train_seconds")

    def __init__(self, world: World):
        self.world = world
        self.history: list[dict[str, float]] = []
        self.best: dict[str, float] | None = None
        self.best_weights: dict[str, torch.Tensor] | None = None
        self.begin_epoch(1)

    def begin_epoch(self, epoch: int) -> None:
        """Start an epoch, the first of which is 1."""
        self.epoch, self.step, self.train_seconds = epoch, 0, 0.0
        self.loss, self.accuracy = AverageMeter(self.world), AverageMeter(self.world)
        self.start_clock()

    def start_clock(self) -> None:
        """Count the seconds of the epoch from here on, besides those before an interruption."""
        self._began = time.perf_counter() - self.train_seconds

    def update(self, loss: torch.Tensor, logits: torch.Tensor, labels: torch.Tensor) -> None:
        """Count a training step with its mean loss, logits (N, classes) and labels (N,)."""
        self.step += 1
        self.loss.update(loss, len(labels))
        self.accuracy.update(accuracy(logits, labels), len(labels))
        self.train_seconds = time.perf_counter() - self._began

    def end_epoch(
        self, valid_loss: float, valid_accuracy: float, model: nn.Module, keep_best: bool
    ) -> dict[str, float]:
        """Return the metrics of the epoch that is over, and begin the next one.

        Keep the weights of the model if they are the best ones so far, and are wanted.
        """
        metrics = {
            "epoch": self.epoch,
            "train_loss": self.loss.mean(),
            "train_accuracy": self.accuracy.mean(),
            "valid_loss": valid_loss,
            "valid_accuracy": valid_accuracy,
            "seconds": time.perf_counter() - self._began,
            "images_per_second": self.loss.count() / self.train_seconds,
        }
        self.history.append(metrics)
        if math.isfinite(valid_loss) and not (self.best and valid_loss >= self.best["valid_loss"]):
            self.best = metrics
            if keep_best:
                weights = model.state_dict()
                self.best_weights = {n: w.to("cpu", copy=True) for n, w in weights.items()}
        self.begin_epoch(self.epoch + 1)
        return metrics

    def kept(self) -> dict[str, float]:
        """Return the metrics of the epoch whose weights are kept; none before the first ends."""
        if self.best_weights is not None:
            return dict(self.best)
        return dict(self.history[-1]) if self.history else {}

    def is_over(self, epochs: int, patience: int) -> bool:
        """Whether all epochs are done, or the last `patience` ones were no better (0: never)."""
        done = len(self.history)
        best = self.best["epoch"] if self.best else 0
        return done >= epochs or 0 < patience <= done - best

    def state_dict(self) -> dict[str, Any]:
        """Return everything that is needed to go on, as tensors and plain values."""
        meters = {"loss": self.loss.state_dict(), "accuracy": self.accuracy.state_dict()}
        return {**{name: getattr(self, name) for name in self.PLAIN}, **meters}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from such a state."""
        for name in self.PLAIN:
            setattr(self, name, state[name])
        self.loss.load_state_dict(state["loss"])
        self.accuracy.load_state_dict(state["accuracy"])


def accuracy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return the share of the rows of (N, classes) logits that are highest at their label (N,)."""
    return (logits.detach().argmax(1) == labels).double().mean()


class Stop:
    """Whether the run should end after this step, and whether a checkpoint is due.

    The run ends on SIGTERM, or `stop_after` seconds after the process began; a second SIGTERM ends
    it at once. The driver of the SageMaker SDK v3 does not forward SIGTERM to the script. A job
    there needs `stop_after`, a little less than its MaxRuntimeInSeconds, and a checkpoint every
    `checkpoint_every` seconds in case it is killed. None switches either off.

    `reason` names what ends the run, and is empty until then.
    """

    def __init__(
        self, world: World, stop_after: float | None = None, checkpoint_every: float | None = None
    ):
        self.world, self.calls, self.signalled = world, 0, False
        self.reason, self.save_due = "", False
        self.deadline = None if stop_after is None else process_began() + stop_after
        self.every, self.saved = checkpoint_every, time.monotonic()

    def __enter__(self) -> "Stop":
        self._before = signal.signal(signal.SIGTERM, self._ask)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGTERM, self._before)

    def _ask(self, *_: object) -> None:
        self.signalled = True
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def check(self) -> None:
        """Find out, after a step, what any process wants; `reason` and `save_due` then say it."""
        self.calls += 1
        late = self.deadline is not None and time.time() >= self.deadline
        due = self.every is not None and time.monotonic() - self.saved >= self.every
        wishes = torch.tensor([float(self.signalled), float(late), float(due)])
        if self.world.world_size > 1:
            if self.world.device.type == "cuda" and self.calls % LOOK_EVERY:
                self.save_due = False
                return
            wishes = wishes.to(self.world.device)
            self.world.all_reduce(wishes)
        signalled, late, self.save_due = (wish > 0 for wish in wishes.tolist())
        self.reason = self.reason or ("SIGTERM" if signalled else "--stop-after" if late else "")
        if self.save_due:
            self.saved = time.monotonic()
