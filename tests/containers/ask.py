"""Ask an inference toolkit in this environment: `python ask.py MODEL_DIR PHOTO...` prints JSON.

With AWS's PyTorch serving container installed it is that container's handler service, fed with
TorchServe's own context; else the local engine's. The model's code must be on PYTHONPATH, and its
name in SAGEMAKER_PROGRAM, as both see to it.
"""

import io
import json
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

try:
    from sagemaker_pytorch_serving_container.handler_service import HandlerService
    from ts.context import Context, RequestProcessor

    def new_context(folder: str, headers: dict[str, str]) -> Any:
        context = Context("model", folder, {}, 1, None, "0")
        context.request_processor = [RequestProcessor(headers)]
        return context

    def answered(context: Any) -> tuple[int, str | None]:
        status = context.get_response_status(0)[0]
        return status, context.get_response_content_type(0)

except ImportError:
    from sagemaker_inference.default_handler_service import DefaultHandlerService
    from sagemaker_inference.transformer import Transformer

    from local_sagemaker import serving

    def HandlerService() -> Any:  # stands in for the class
        return DefaultHandlerService(Transformer(serving.PyTorchHandler()))

    def new_context(folder: str, headers: dict[str, str]) -> Any:
        context = serving.Context(folder)
        context.begin(headers)
        return context

    def answered(context: Any) -> tuple[int, str | None]:
        return context.status, context.content_type


def main() -> None:
    folder, *photos = sys.argv[1:]
    service = HandlerService()
    service.initialize(new_context(folder, {}))

    def ask(photo: str, accept: str) -> bytes:
        context = new_context(folder, {"Content-Type": "image/jpeg", "Accept": accept})
        answer = service.handle([{"body": bytearray(Path(photo).read_bytes())}], context)[0]
        status, content_type = answered(context)
        if status not in (200, None) or content_type != accept:
            sys.exit(f"{photo}: {status} {content_type}: {str(answer)[:500]}")
        return answer.encode() if isinstance(answer, str) else bytes(answer)

    answers = {}
    for photo in photos:
        likeliest = json.loads(ask(photo, "application/json"))["predictions"]
        logits = np.load(io.BytesIO(ask(photo, "application/x-npy")))
        answers[Path(photo).name] = {"predictions": likeliest, "logits": logits[0].tolist()}
    packages = {name: version(name) for name in ("torch", "torchvision", "numpy", "pillow")}
    print("ANSWERS", json.dumps({**packages, "answers": answers}))


if __name__ == "__main__":
    main()
