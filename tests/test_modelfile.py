"""`entry_points/modelfile.py`: what is saved is what is loaded."""

import json

import pytest
import torch

import modelfile
import networks

CARD = {
    "architecture": "resnet18",
    "head_layers": 2,
    "hidden_units": 8,
    "class_names": ["b", "a", "c"],
    "image_size": 32,
}


@pytest.fixture
def model():
    model = networks.build("resnet18", 3, head_layers=2, hidden_units=8)
    return model.to(memory_format=torch.channels_last).eval()


def test_the_loaded_model_gives_equal_logits_and_keeps_the_label_order(model, tmp_path):
    modelfile.save_model(model, CARD, tmp_path / "new")
    loaded, card = modelfile.load_model(tmp_path / "new")
    photos = torch.randn(2, 3, 32, 32)
    assert torch.equal(loaded(photos), model(photos))
    assert card == CARD
    assert not loaded.training


def test_weights_are_saved_as_contiguous_float32(model, tmp_path):
    from safetensors.torch import load_file

    modelfile.save_model(model.to(torch.bfloat16), CARD, tmp_path)
    saved = load_file(tmp_path / "model.safetensors")
    assert saved.keys() == model.state_dict().keys()
    assert {value.dtype for value in saved.values()} == {torch.float32, torch.int64}


@pytest.mark.parametrize("name", ["model.json", "model.safetensors"])
def test_a_missing_file_is_named(model, tmp_path, name):
    modelfile.save_model(model, CARD, tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(FileNotFoundError, match=name):
        modelfile.load_model(tmp_path)


def test_a_card_that_does_not_fit_the_weights_is_refused(model, tmp_path):
    modelfile.save_model(model, CARD, tmp_path)
    (tmp_path / "model.json").write_text(json.dumps({**CARD, "class_names": ["a", "b"]}))
    with pytest.raises(RuntimeError, match="size mismatch"):
        modelfile.load_model(tmp_path)
