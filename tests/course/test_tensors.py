"""Saved tensors as tables: layers in the network's order, training steps in columns."""

import numpy as np
import pytest

from course import tensors
from debugger_support.saved_tensors import SavedTensors
from open_debugger import open_trial

LAYERS = ["conv1", "layer1.0.conv1", "layer1.0.conv2", "layer1.10.conv1", "layer2.0.conv1", "fc"]


def saved(folder, kind, values, mode="TRAIN"):
    """One step; `values` by layer, of shape (4, 3); a norm's parameters besides."""
    prefix = {"gradients": "gradient/ResNet_", "weights": "ResNet_"}[kind]
    named = {f"{prefix}{layer}.weight": value for layer, value in values.items()}
    return folder.save({**named, f"{prefix}bn1.weight": np.ones(3)}, mode)


@pytest.fixture
def folder(tmp_path):
    return SavedTensors(tmp_path / "tensors")


def test_norms_are_a_row_a_layer_in_its_order_and_a_column_a_training_step(folder):
    shuffled = [LAYERS[i] for i in (3, 5, 0, 4, 2, 1)]
    for scale in (1, 10):
        full = {layer: np.full((4, 3), (i + 1) * scale) for i, layer in enumerate(shuffled)}
        saved(folder, "gradients", full)
    saved(folder, "gradients", dict.fromkeys(LAYERS, np.full((4, 3), 100)), mode="EVAL")
    norms = tensors.gradient_norms(open_trial(folder.folder))
    assert list(norms.index) == LAYERS  # and no bn1: a vector
    assert list(norms.columns) == [0, 1]
    assert norms.loc["conv1", 0] == pytest.approx(np.sqrt(12) * 3)
    assert norms.loc["fc", 1] == pytest.approx(np.sqrt(12) * 20)


def test_a_layer_that_was_not_saved_at_a_step_has_a_gap(folder):
    saved(folder, "gradients", {"conv1": np.ones((4, 3)), "fc": np.ones((4, 3))})
    saved(folder, "gradients", {"fc": np.ones((4, 3))})
    norms = tensors.gradient_norms(open_trial(folder.folder))
    assert np.isnan(norms.loc["conv1", 1]) and norms.loc["fc", 1] > 0


def test_percentiles_of_the_first_and_the_last_step(folder):
    for scale in (1.0, 5.0, 2.0):
        saved(folder, "weights", {"conv1": np.linspace(-scale, scale, 101).reshape(1, 101)})
    shares = tensors.weight_shares(open_trial(folder.folder))
    assert list(shares) == [0, 2]
    assert list(shares[0].columns) == tensors.SHARES
    assert shares[0].loc["conv1"].to_numpy() == pytest.approx([-0.9, -0.5, 0, 0.5, 0.9], abs=1e-6)
    assert shares[2].loc["conv1", 95] == pytest.approx(1.8)


def test_a_single_step_is_both(folder):
    saved(folder, "weights", {"conv1": np.ones((4, 3))})
    assert list(tensors.weight_shares(open_trial(folder.folder))) == [0]


@pytest.mark.parametrize("table", [tensors.gradient_norms, tensors.weight_shares])
def test_what_was_not_saved_is_named(folder, table):
    folder.losses(1.0, 0.9)
    kind = {tensors.gradient_norms: "gradients", tensors.weight_shares: "weights"}[table]
    with pytest.raises(ValueError, match=f"collection '{kind}' was saved.*losses"):
        table(open_trial(folder.folder))


def test_vectors_alone_are_no_layers(folder):
    folder.save({"gradient/ResNet_bn1.weight": np.ones(3)})
    with pytest.raises(ValueError, match="holds no layer's tensor"):
        tensors.gradient_norms(open_trial(folder.folder))
