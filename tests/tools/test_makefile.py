"""The root's Makefile: what its recipes hand on."""

import subprocess

import pytest

from course.workspace import ROOT


@pytest.mark.parametrize("given", [[], ["TORCH_BACKEND=cpu"]])
def test_uv_gets_a_backend_only_if_one_is_given(given):
    """An empty one is an error of uv's."""
    command = ["make", "--dry-run", "check-containers", *given]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert ("UV_TORCH_BACKEND=cpu" in said) is bool(given)
    assert "UV_TORCH_BACKEND= " not in said
