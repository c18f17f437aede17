"""Trials with given tensors, written by smdebug's own writer, without a training."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from open_debugger import (
    RuleResult,
    evaluate,  # first: it imports smdebug without torch
)

# isort: split
from smdebug.core.collection import DEFAULT_PYTORCH_COLLECTIONS
from smdebug.core.collection_manager import CollectionManager
from smdebug.core.modes import ModeKeys
from smdebug.core.writer import FileWriter

LOSS = "CrossEntropyLoss_output_0"
# Those of `smdebug.pytorch.collection`, which imports torch: test_real_networks.py compares them.
COLLECTIONS = {
    "weights": "^(?!gradient).*weight",
    "biases": "^(?!gradient).*bias",
    "gradients": "^gradient",
    "losses": "[Ll]oss_(?!input).*output",
}


class SavedTensors:
    """A folder as a PyTorch hook fills it, step by step."""

    def __init__(self, folder: Path, workers: int = 1, **collections: str) -> None:
        """`collections` are further ones, by their regex, besides smdebug's own for PyTorch."""
        self.folder, self.steps, self.mode_steps = folder, 0, dict.fromkeys(ModeKeys, 0)
        manager = CollectionManager()
        manager.set_num_workers(workers)
        for name in DEFAULT_PYTORCH_COLLECTIONS:
            manager.create_collection(name)
        for name, regex in {**COLLECTIONS, **collections}.items():
            manager.get(name).include(regex)
        for worker in range(workers):
            manager.export(str(folder), f"worker_{worker}_collections.json")

    def save(
        self,
        tensors: Mapping[str, object],
        mode: str = "TRAIN",
        step: int | None = None,
        workers: tuple[int, ...] = (0,),
    ) -> SavedTensors:
        """Save one step, by default the mode's next; return self."""
        key = ModeKeys[mode]
        step = self.mode_steps[key] if step is None else step
        for worker in workers:
            with FileWriter(str(self.folder), f"worker_{worker}", step=self.steps) as writer:
                for name, value in tensors.items():
                    value = np.asarray(value, getattr(value, "dtype", np.float32))
                    writer.write_tensor(value, name, mode=key, mode_step=step)
        self.steps, self.mode_steps[key] = self.steps + 1, step + 1
        return self

    def losses(self, *values: float, mode: str = "TRAIN") -> SavedTensors:
        """Save steps with nothing but a loss."""
        for value in values:
            self.save({LOSS: value}, mode)
        return self

    def judged(self, rule: str, **parameters: object) -> RuleResult:
        """What a rule says about what was saved."""
        given = {"rule_to_invoke": rule, **parameters}
        configuration = {"RuleConfigurationName": rule, "RuleParameters": given}
        return evaluate(self.folder, [configuration])[rule]

    def event_file(self, step: int = 0) -> Path:
        return self.folder / f"events/{step:012d}/{step:012d}_worker_0.tfevents"

    def index_file(self, step: int = 0) -> Path:
        return self.folder / f"index/{step // 1000:09d}/{step:012d}_worker_0.json"

    def collections_file(self, worker: int = 0) -> Path:
        return self.folder / f"collections/000000000/worker_{worker}_collections.json"
