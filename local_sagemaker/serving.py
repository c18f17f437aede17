"""The endpoint's process: SageMaker's inference toolkit behind a Unix socket.

Runs as ``python -m local_sagemaker.serving SOCKET`` in the model's folder, with the handler
functions (``model_fn``, ``input_fn``, ``predict_fn``, ``output_fn``) taken from the module that
``SAGEMAKER_PROGRAM`` names, in ``SAGEMAKER_CODE``. The toolkit's own Transformer calls them, as it
does in AWS's PyTorch inference containers.
"""

from __future__ import annotations

import os
import socketserver
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from sagemaker_inference import decoder
from sagemaker_inference.default_inference_handler import DefaultInferenceHandler
from sagemaker_inference.transformer import Transformer


class PyTorchHandler(DefaultInferenceHandler):
    """What the PyTorch container does for functions that the user's module leaves out."""

    def default_model_fn(self, model_dir: str, context=None):
        import torch

        return torch.jit.load(Path(model_dir) / "model.pt", map_location="cpu").eval()

    def default_input_fn(self, input_data, content_type: str, context=None):
        import torch

        return torch.from_numpy(decoder.decode(input_data, content_type))

    def default_predict_fn(self, data, model, context=None):
        import torch

        with torch.inference_mode():
            return model(data)

    def default_output_fn(self, prediction, accept: str, context=None):
        if hasattr(prediction, "detach"):
            prediction = prediction.detach().cpu().numpy()
        return super().default_output_fn(prediction, accept)


class Context:
    """What the toolkit expects of a model server: one request's properties, one answer's."""

    def __init__(self, model_dir: str, headers: dict[str, str]) -> None:
        self.system_properties = {"model_dir": model_dir}
        self.request_processor = [self]
        self.headers = headers
        self.status, self.content_type = 200, "application/octet-stream"

    def get_request_properties(self) -> dict[str, str]:
        return self.headers

    def set_response_content_type(self, index: int, value: str) -> None:
        self.content_type = value

    def set_response_status(self, code: int, phrase: str) -> None:
        self.status = int(code)


class Handler(BaseHTTPRequestHandler):
    """``GET /ping`` and ``POST /invocations``."""

    protocol_version = "HTTP/1.1"
    transformer: Transformer
    one_at_a_time = threading.Lock()  # as in one worker process of the model server

    def do_GET(self) -> None:
        self._answer(200 if self.path == "/ping" else 404, "text/plain", b"")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name: value for name, value in self.headers.items() if name != "Accept"}
        headers["Accept"] = self.headers.get("Accept", "*/*")
        context = Context(str(Path.cwd()), headers)
        with self.one_at_a_time:
            result = self.transformer.transform([{"body": body}], context)[0]
        if context.status >= 400:
            self._refuse(context.status, str(result))
            return
        content = result.encode() if isinstance(result, str) else bytes(result)
        self._answer(200, context.content_type, content)

    def _refuse(self, status: int, said: str) -> None:
        message, _, trace = said.partition("\n")
        if status >= 500:
            print(trace, file=sys.stderr, flush=True)
        self._answer(status, "text/plain; charset=utf-8", message.encode())

    def _answer(self, status: int, content_type: str, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def address_string(self) -> str:
        return "engine"  # a Unix socket has no client address

    def log_message(self, form: str, *arguments) -> None:
        if "/ping" not in str(arguments[:1]):
            print(form % arguments, flush=True)


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 128


def install_requirements(code: Path) -> None:
    """Install ``code/requirements.txt``, as the container does before the model is loaded."""
    requirements = code / "requirements.txt"
    if requirements.exists():
        command = [sys.executable, "-m", "pip", "install", "-q", "-r", str(requirements)]
        if subprocess.run(command).returncode != 0:
            sys.exit(f"{requirements} asks for packages that this environment does not have")


def main() -> None:
    code = Path(os.environ["SAGEMAKER_CODE"])
    install_requirements(code)
    sys.path.insert(0, str(code))
    Handler.transformer = Transformer(PyTorchHandler())
    Handler.transformer.validate_and_initialize(
        model_dir=str(Path.cwd()), context=Context(str(Path.cwd()), {})
    )
    print("model loaded", flush=True)
    with Server(sys.argv[1], Handler) as server:
        server.serve_forever()


if __name__ == "__main__":
    main()
