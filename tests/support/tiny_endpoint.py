"""An endpoint for tests: a small model, and SageMaker's toolkit, which calls inference.py."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from PIL import ImageFile
from sagemaker_inference import content_types
from sagemaker_inference.default_inference_handler import DefaultInferenceHandler
from sagemaker_inference.transformer import Transformer

import models

# Not sorted: the card sets the order of the labels.
CLASSES = ["003.Poodle", "001.Affenpinscher", "002.Afghan_hound", "6.Pug", "5.Boxer", "4.Beagle"]
IMAGE_SIZE = 32


def write_model(folder: Path) -> Path:
    """Write a model as a training job does; it is untrained and prefers the last class."""
    torch.manual_seed(0)
    model = models.build("resnet18", len(CLASSES))
    with torch.no_grad():
        model.fc.bias.copy_(torch.arange(6) * 3.0)
    card = {
        "architecture": "resnet18",
        "head_layers": 1,
        "hidden_units": 8,
        "class_names": CLASSES,
        "image_size": IMAGE_SIZE,
    }
    models.save_model(model, card, folder)
    return folder


class Context:
    """The request context of a model server; the toolkit sets the status and type of the answer."""

    def __init__(self, model_dir: Path, headers: dict[str, str]):
        self.system_properties = {"model_dir": str(model_dir)}
        self.request_processor = [self]
        self.headers = headers
        self.status, self.content_type = 200, None

    def get_request_properties(self) -> dict[str, str]:
        return self.headers

    def set_response_status(self, code: int, phrase: str) -> None:
        self.status, self.phrase = code, phrase

    def set_response_content_type(self, _, content_type: str) -> None:
        self.content_type = content_type


@contextmanager
def endpoint(model_dir: Path) -> Iterator[Callable[..., tuple]]:
    """Yield a function that sends the toolkit a request; it returns status, type and body."""
    text_types = list(content_types.UTF8_TYPES)  # inference.py changes them
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # faster for so small a model while other tests run
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SAGEMAKER_PROGRAM", "inference.py")
        patch.setattr(
            ImageFile, "LOAD_TRUNCATED_IMAGES", False
        )  # a training in this process sets it
        transformer = Transformer(DefaultInferenceHandler())

        def ask(body, content_type="application/x-image", accept=None):
            headers = {} if content_type is None else {"Content-Type": content_type}
            if accept is not None:
                headers["Accept"] = accept
            context = Context(model_dir, headers)
            [answer] = transformer.transform([{"body": bytearray(body)}], context)
            return context.status, context.content_type, answer

        yield ask
        torch.set_num_threads(threads)
        content_types.UTF8_TYPES[:] = text_types
