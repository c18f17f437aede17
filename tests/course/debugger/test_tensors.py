"""Saved tensors as tables: layers in the network's order, training steps in columns."""

import numpy as np
import pytest
import torch

from course.debugger import rules, tensors
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


def test_the_share_of_gradients_that_are_exactly_zero_counts_values(folder):
    saved(folder, "gradients", {"conv1": np.ones((4, 3)), "fc": np.zeros((4, 3))})
    saved(folder, "gradients", {"conv1": np.full((4, 3), 1e-30)})
    saved(folder, "gradients", {"conv1": np.zeros((4, 3))}, mode="EVAL")
    zeros = tensors.zero_gradients(open_trial(folder.folder))
    assert zeros.to_dict() == {0: pytest.approx(12 / 27), 1: 0}  # bn1 has three values


def test_percentiles_of_the_first_and_the_last_step(folder):
    for scale in (1.0, 5.0, 2.0):
        saved(folder, "weights", {"conv1": np.linspace(-scale, scale, 101).reshape(1, 101)})
    shares = tensors.weight_shares(open_trial(folder.folder))
    assert (shares.first, shares.last) == (0, 2)
    assert list(shares.spread.columns) == tensors.SHARES
    assert shares.spread.loc["conv1"].to_numpy() == pytest.approx([-1.8, -1, 0, 1, 1.8], abs=1e-6)
    assert shares.moved["conv1"] == pytest.approx(100)  # all weights have doubled
    assert shares.head is None


def test_weights_that_move_within_their_range_have_moved(folder):
    """Percentiles cannot tell: the weights have only changed places."""
    for sign in (1, -1):
        moving = {"conv1": np.array([[3.0, -3.0]]) * sign, "fc": np.array([[0.0, 4.0]])}
        saved(folder, "weights", {**moving, "layer1.0.conv1": np.zeros((1, 2))})
    shares = tensors.weight_shares(open_trial(folder.folder))
    assert list(shares.moved.index) == ["conv1", "layer1.0.conv1", "fc"] and shares.head == "fc"
    assert shares.moved[["conv1", "fc"]].tolist() == pytest.approx([200, 0])
    assert np.isnan(shares.moved["layer1.0.conv1"])  # nothing to compare with


def test_a_single_step_is_both(folder):
    saved(folder, "weights", {"conv1": np.ones((4, 3))})
    shares = tensors.weight_shares(open_trial(folder.folder))
    assert (shares.first, shares.last) == (0, 0) and shares.moved.isna().all()


@pytest.mark.parametrize(
    "table", [tensors.gradient_norms, tensors.weight_shares, tensors.zero_gradients]
)
def test_what_was_not_saved_is_named(folder, table):
    folder.losses(1.0, 0.9)
    kind = "weights" if table is tensors.weight_shares else "gradients"
    with pytest.raises(ValueError, match=f"collection '{kind}' was saved.*losses"):
        table(open_trial(folder.folder))


def test_vectors_alone_are_no_layers(folder):
    folder.save({"gradient/ResNet_bn1.weight": np.ones(3)})
    with pytest.raises(ValueError, match="holds no layer's tensor"):
        tensors.gradient_norms(open_trial(folder.folder))
    folder.save({"ResNet_bn1.weight": np.ones(3)})
    with pytest.raises(ValueError, match="holds no layer's tensor"):
        tensors.weight_shares(open_trial(folder.folder))


def run(folder, epochs=((5.0, 4.0, 3.0, 2.0), (2.0, 1.5)), valid=(3.0, 2.0), every=1):
    """Epochs of training losses, a pass of two validation batches after each."""
    for losses, mean in zip(epochs, valid, strict=True):
        for index, loss in enumerate(losses):
            named = {tensors.LOSS: loss} if index % every == 0 else {"other": 0.0}
            folder.save(named)
        folder.losses(mean - 0.5, mean + 0.5, mode="EVAL")
    return open_trial(folder.folder)


def test_validation_lies_at_the_training_step_at_which_it_was_measured(folder):
    assert tensors.curves(run(folder)) == {
        "train": ([0, 1, 2, 3, 4, 5], [5.0, 4.0, 3.0, 2.0, 2.0, 1.5]),
        "valid": ([4, 6], [3.0, 2.0]),
    }


def test_steps_without_a_saved_loss_are_counted(folder):
    found = tensors.curves(run(folder, every=2))
    assert found["train"][0] == [0, 2, 4]
    assert found["valid"] == ([4, 6], [3.0, 2.0])


def test_curves_without_a_loss(folder):
    folder.save({"gradient/ResNet_fc.weight": np.ones((4, 3))})
    with pytest.raises(ValueError, match="collection 'losses'"):
        tensors.curves(open_trial(folder.folder))


def test_numbers_by_tensor_and_step_stand_in_the_networks_order():
    names = [f"gradient/ResNet_{layer}.weight" for layer in ["fc", *LAYERS[3:0:-1], "bn1", "conv1"]]
    numbers = {(name, step): place * step for place, name in enumerate(names) for step in (10, 2)}
    numbers[names[0], 67] = 1.0
    table = tensors.in_order(numbers)
    assert list(table.columns) == [2, 10, 67]
    layers = [name.split("_")[1].removesuffix(".weight") for name in table.index]
    assert layers == ["bn1", "conv1", *LAYERS[1:4], "fc"]
    assert table.loc[names[3], 10] == 30 and np.isnan(table.loc[names[3], 67])


def test_timms_layers_are_in_their_order(folder):
    layers = ["classifier", "conv_head", "blocks.10.0.conv_pw", "blocks.2.0.conv_pw", "conv_stem"]
    named = {f"gradient/EfficientNet_{name}.weight": np.ones((2, 2)) for name in layers}
    folder.save(named)
    norms = tensors.gradient_norms(open_trial(folder.folder))
    assert list(norms.index) == layers[::-1]


def test_the_inventory_counts_tensors_steps_and_bytes(folder):
    for _ in range(3):
        saved(folder, "weights", {"conv1": np.ones((100, 25), np.float32)})
    folder.losses(1.0, 2.0, mode="EVAL")
    table = tensors.inventory(open_trial(folder.folder))
    assert list(table.index) == ["weights", "losses"]
    assert list(table.loc["weights"])[:4] == [2, "0, 1, 2", "-", "-"]
    assert table.loc["weights", "MB"] == pytest.approx(0.03, rel=0.05)
    assert list(table.loc["losses"])[:4] == [1, "-", "0, 1", "-"]


def test_many_steps_are_told_in_short():
    assert tensors._steps_as_text(range(0, 132, 2)) == "every 2nd, 0 to 130"
    assert tensors._steps_as_text(range(10)) == "every one, 0 to 9"
    assert tensors._steps_as_text([0, 1, 5, 9, 10, 20, 30, 40, 50]).endswith("40, … (9)")


def test_the_statistics_are_what_the_rules_compare(folder):
    trial = run(folder)
    falls = tensors.statistic(trial, "LossNotDecreasing", {"num_steps": "2", "smoothing": "1"})
    assert falls.to_dict() == pytest.approx({2: 40.0, 4: 100 / 3})
    ratios = tensors.statistic(trial, "Overfit", {"patience": "2", "ratio_threshold": "0.5"})
    assert ratios.to_dict() == pytest.approx({1: (3.0 - 3.5) / 3.5, 2: 0.25 / 1.75})
    judged = folder.judged("Overfit", patience=1, ratio_threshold=0.1)
    assert [v.value for v in judged.verdicts] == pytest.approx([ratios[2]])


def test_nothing_is_compared_in_a_run_that_is_too_short(folder):
    parameters = rules.parameters("LossNotDecreasing")
    assert tensors.statistic(run(folder), "LossNotDecreasing", parameters).empty


@pytest.mark.parametrize(
    ("steps", "saved_at"), [(134, [1, 10, 67, 131]), (20, [1, 5, 10, 17]), (4, [1, 2]), (1, [0, 1])]
)
def test_large_tensors_are_saved_early_in_the_middle_and_near_the_end(steps, saved_at):
    assert tensors.saving_steps(steps) == saved_at


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
def test_no_network_has_a_lower_loss_on_smoothed_labels(smoothing):
    criterion = torch.nn.CrossEntropyLoss(label_smoothing=smoothing)
    label = torch.full((1, 5), smoothing / 5, dtype=torch.float64)
    label[0, 2] += 1 - smoothing
    perfect = label.clamp_min(1e-300).log()  # the logits whose softmax is the smoothed label
    expected = criterion(perfect, torch.tensor([2])).item()
    assert tensors.lowest_loss(smoothing, 5) == pytest.approx(expected, abs=1e-9)
