"""The PyTorch toolkit's default functions, beyond what an endpoint's test shows of them."""

import pytest

from local_sagemaker.runtime.inside.pytorch_handler import (
    ModelLoadError,
    PyTorchHandler,
    model_file,
)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["model.pt", "other.pth"], "model.pt"),
        (["best.pth", "notes.txt"], "best.pth"),
        (["best.pt"], "best.pt"),
    ],
)
def test_which_file_is_the_model(tmp_path, names, expected):
    for name in names:
        (tmp_path / name).touch()
    assert model_file(tmp_path) == tmp_path / expected


@pytest.mark.parametrize("names", [[], ["a.pt", "b.pth"], ["model.bin"]])
def test_no_single_file_is_an_error_that_names_what_there_is(tmp_path, names):
    for name in names:
        (tmp_path / name).touch()
    (tmp_path / "folder.pt").mkdir()
    found = [name for name in names if name != "model.bin"]
    with pytest.raises(ValueError, match=r"Exactly one \.pth or \.pt file") as caught:
        model_file(tmp_path)
    assert str(caught.value).endswith(str(found))


def test_a_state_dict_needs_a_model_fn(tmp_path):
    import torch

    torch.save({"weight": torch.ones(1)}, tmp_path / "model.pt")
    with pytest.raises(ModelLoadError, match="saved using torchscript"):
        PyTorchHandler().default_model_fn(str(tmp_path))


def test_a_prediction_runs_without_dropout_and_gradients():
    import torch

    network = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Dropout(0.999)).train()
    answer = PyTorchHandler().default_predict_fn(torch.ones(1, 2), network)
    assert not answer.requires_grad
    assert torch.equal(answer.cpu(), network[0].cpu()(torch.ones(1, 2)))
