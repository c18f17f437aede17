"""Checkpoints: a run that was killed, or asked to stop, goes on as if nothing had happened.

A checkpoint is either whole or not there: it is written under another name, forced to the disk, and
only then renamed. Its name ends in its SHA-256's first digits: torch.load verifies no checksums.
"""

import contextlib
import hashlib
import json
import os
import signal
from pathlib import Path
from typing import Any

from records.hookconfig import ConfigError


class CheckpointError(ConfigError):
    """The checkpoints are another run's, or cannot be written; the text names the way out."""


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

    def save(self, state: dict[str, Any]) -> None:
        """Keep a state of tensors and plain values, ordered by its integers "epoch" and "step".

        If that fails, for want of space say, a line says so, and the run can go on.
        """
        if self.folder is None:
            return
        stem = f"epoch-{state['epoch']:05}-step-{state['step']:08}"  # so that names sort
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
        # What claims to be as far or further on was damaged: else this run had begun there.
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
        return [] if self.folder is None else sorted(self.folder.glob("epoch-*-step-*-*.pt"))


def _write(content: tuple[dict[str, Any], dict[str, Any]], file: Path) -> str:
    import torch

    with file.open("w+b") as stream:
        torch.save(content, stream)
        stream.flush()
        os.fsync(stream.fileno())
        stream.seek(0)
        return hashlib.file_digest(stream, "sha256").hexdigest()[:16]


def _read(file: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    import torch

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


class Interruption:
    """While it lasts: whether SIGTERM has asked the process to stop; a second one stops it."""

    asked = False

    def __enter__(self) -> "Interruption":
        self._before = signal.signal(signal.SIGTERM, self._ask)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGTERM, self._before)

    def _ask(self, *_: object) -> None:
        self.asked = True
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
