"""Ask an inference toolkit in this environment: `python ask.py MODEL_DIR BODY...` prints JSON.

A file named `bad ...` must be refused; of all others, predictions and logits are printed.

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

    from local_sagemaker.runtime.inside import serve

    def HandlerService() -> Any:  # stands in for the class
        return DefaultHandlerService(Transformer(serve.PyTorchHandler()))

    def new_context(folder: str, headers: dict[str, str]) -> Any:
        context = serve.Context(folder)
        context.begin(headers)
        return context

    def answered(context: Any) -> tuple[int, str | None]:
        return context.status, context.content_type


def main() -> None:
    folder, *bodies = sys.argv[1:]
    service = HandlerService()
    service.initialize(new_context(folder, {}))

    def ask(body: str, accept: str, label: str = "image/jpeg") -> tuple[int, str | None, bytes]:
        context = new_context(folder, {"Content-Type": label, "Accept": accept})
        answer = service.handle([{"body": bytearray(Path(body).read_bytes())}], context)[0]
        status, content_type = answered(context)
        return status or 200, content_type, _bytes(answer)

    def ask_well(body: str, accept: str) -> bytes:
        status, content_type, answer = ask(body, accept)
        if (status, content_type) != (200, accept):
            sys.exit(f"{body}: {status} {content_type}: {answer[:500]!r}")
        if ask(body, accept, "application/json") != (status, content_type, answer):
            sys.exit(f"{body}: answered otherwise when it is labelled JSON")
        return answer

    answers = {}
    for body in bodies:
        name = Path(body).name
        if name.startswith("bad "):
            answers[name] = {"refused": ask(body, "application/json")[0]}
            continue
        answer = json.loads(ask_well(body, "application/json"))
        results = answer.get("results", [answer])
        logits = np.load(io.BytesIO(ask_well(body, "application/x-npy")))
        answers[name] = {
            "predictions": [guess for result in results for guess in result["predictions"]],
            "logits": logits.ravel().tolist(),
        }
    packages = {name: version(name) for name in ("torch", "torchvision", "numpy", "pillow")}
    print("ANSWERS", json.dumps({**packages, "answers": answers}))


def _bytes(answer: Any) -> bytes:
    return answer.encode() if isinstance(answer, str) else bytes(answer)


if __name__ == "__main__":
    main()
