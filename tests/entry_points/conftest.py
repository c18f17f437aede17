"""Fixtures: a job's configuration folder, and files of weights as torchvision publishes them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest


@pytest.fixture
def job_config(tmp_path, monkeypatch):
    """Return the empty configuration folder of a job `dogs-1`; its script finds it."""
    for name in ("SMDEBUG_CONFIG_FILE_PATH", "SMPROFILER_CONFIG_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SM_INPUT_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("TRAINING_JOB_NAME", "dogs-1")
    (tmp_path / "config").mkdir()
    return tmp_path / "config"


@pytest.fixture
def published(monkeypatch):
    """Return a function that writes weights as torchvision publishes them, named by their hash.

    `entry_points/pretrained.py` then takes that name for one of torchvision's own.
    """
    import torch

    import pretrained

    own = pretrained._urls
    names: dict[str, list[str]] = {}

    def write(folder: Path, architecture: str, state: dict) -> Path:
        draft = folder / "draft"
        torch.save(state, draft)
        digest = hashlib.sha256(draft.read_bytes()).hexdigest()[:8]
        names.setdefault(architecture, []).append(f"{architecture}-{digest}.pth")
        return draft.rename(folder / names[architecture][-1])

    def urls(architecture: str) -> list[str]:
        return [f"https://example.org/{n}" for n in names.get(architecture, [])] + own(architecture)

    monkeypatch.setattr(pretrained, "_urls", urls)
    return write
