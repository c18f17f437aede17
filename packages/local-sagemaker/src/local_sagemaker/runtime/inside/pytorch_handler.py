"""What AWS's PyTorch containers do for handler functions that the user's module leaves out.

The rules are those of the PyTorch inference toolkit (sagemaker-pytorch-inference 2.0): TorchScript
models by themselves, JSON, CSV and NPY in and out, tensors on the GPU if there is one.
"""

from __future__ import annotations

from pathlib import Path

from sagemaker_inference import content_types, decoder, encoder, errors, utils
from sagemaker_inference.default_inference_handler import DefaultInferenceHandler

DEFAULT_MODEL = "model.pt"
MODEL_FILES = {".pt", ".pth"}


class ModelLoadError(Exception):
    """The model's file is there and cannot be loaded."""


class PyTorchHandler(DefaultInferenceHandler):
    """The four default functions; torch is imported when the first of them needs it."""

    def default_model_fn(self, model_dir: str, context=None):
        """Load ``model.pt``, or the only ``.pt`` or ``.pth`` file, as TorchScript.

        Raises:
            ValueError: there is no such file, or there are several.
            ModelLoadError: the file is no TorchScript (a state dict, say: that needs a `model_fn`).
        """
        file = model_file(Path(model_dir))
        import torch

        try:
            return torch.jit.load(file, map_location=_device())
        except RuntimeError as error:
            text = f"Failed to load {file}. Please ensure model is saved using torchscript."
            raise ModelLoadError(text) from error

    def default_input_fn(self, input_data, content_type: str, context=None):
        """A tensor of a JSON list, CSV rows (both float32) or an NPY file (its own type)."""
        import torch

        array = decoder.decode(input_data, content_type)
        is_text = content_type in content_types.UTF8_TYPES
        return (torch.FloatTensor(array) if is_text else torch.from_numpy(array)).to(_device())

    def default_predict_fn(self, data, model, context=None):
        """The answer of `model`, in evaluation mode and without gradients."""
        import torch

        model = model.to(_device()).eval()
        with torch.no_grad():
            return model(data.to(_device()))

    def default_output_fn(self, prediction, accept: str, context=None):
        """The prediction as the first acceptable of JSON, CSV and NPY.

        Raises:
            UnsupportedFormatError: none of them is acceptable.
        """
        if hasattr(prediction, "detach"):
            prediction = prediction.detach().cpu().numpy().tolist()
        for content_type in utils.parse_accept(accept):
            if content_type in encoder.SUPPORTED_CONTENT_TYPES:
                return encoder.encode(prediction, content_type), content_type
        raise errors.UnsupportedFormatError(accept)


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def model_file(folder: Path) -> Path:
    """The file that the default `model_fn` loads.

    Raises:
        ValueError: there is none, or several of which none is ``model.pt``.
    """
    if (folder / DEFAULT_MODEL).exists():
        return folder / DEFAULT_MODEL
    found = sorted(p.name for p in folder.iterdir() if p.suffix in MODEL_FILES and p.is_file())
    if len(found) != 1:
        raise ValueError(f"Exactly one .pth or .pt file is required for PyTorch models: {found}")
    return folder / found[0]
