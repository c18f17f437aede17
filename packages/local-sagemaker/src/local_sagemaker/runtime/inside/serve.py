"""The endpoint's process: SageMaker's inference toolkit behind a Unix socket.

Runs as ``python -m local_sagemaker.runtime.inside.serve SOCKET`` in the model's folder, with the
handler functions (``model_fn``, ``input_fn``, ``predict_fn``, ``output_fn``, or
``transform_fn``) taken from the module that ``SAGEMAKER_PROGRAM`` names, in ``SAGEMAKER_CODE`` or
at the archive's root. The toolkit's own Transformer calls them, as it does in AWS's PyTorch
inference containers.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import socketserver
import sys
import threading
import traceback
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from sagemaker_inference.environment import Environment
from sagemaker_inference.transformer import Transformer

from local_sagemaker.runtime import requirements
from local_sagemaker.runtime.inside.pytorch_handler import PyTorchHandler

# Set for the process that has started itself anew.
REQUIREMENTS_MET = "LOCAL_SAGEMAKER_REQUIREMENTS_MET"
READ_LIMIT_S = 60  # for a request's bytes; the engine sends them at once
# TorchServe's answer for a worker that took longer than its time (SAGEMAKER_MODEL_SERVER_TIMEOUT).
DIED = {"code": 500, "type": "InternalServerException", "message": "Worker died."}
UNSUPPORTED = {
    "code": 503,
    "type": "InternalServerException",
    "message": "Unsupported model output data type.",
}


class Context:
    """TorchServe's context, as far as handlers and the toolkit use it: one for all requests."""

    def __init__(self, model_dir: str) -> None:
        self.model_name = "model"
        self.system_properties = {
            "model_dir": model_dir,
            "gpu_id": None,
            "batch_size": 1,
            "server_name": "local_sagemaker",
        }
        self.request_processor = [self]
        self.begin({})

    def begin(self, headers: dict[str, str]) -> None:
        """Forget the last request; this one has `headers`."""
        self.headers, self.response_headers = headers, {}
        self.status, self.content_type = 200, "text/plain; charset=utf-8"

    def get_request_properties(self) -> dict[str, str]:
        return self.headers

    get_all_request_header = get_request_properties

    def get_request_header(self, index: int, key: str) -> str | None:
        lower = {name.lower(): value for name, value in self.headers.items()}
        return lower.get(key.lower())

    def get_request_property(self, key: str) -> str | None:
        return self.get_request_header(0, key)

    def set_response_content_type(self, index: int, value: str) -> None:
        self.content_type = value

    def set_response_header(self, index: int, key: str, value: str) -> None:
        self.response_headers[key] = value

    def set_response_status(self, code: int, phrase: str = "", index: int = 0) -> None:
        self.status = int(code)


class Handler(BaseHTTPRequestHandler):
    """``GET /ping`` and ``POST /invocations``: one request a connection, one at a time."""

    protocol_version = "HTTP/1.1"
    timeout = READ_LIMIT_S
    transformer: Transformer
    context: Context
    answer_limit_s: float

    def do_GET(self) -> None:
        self._answer(200 if self.path == "/ping" else 404, "text/plain", b"")

    def do_POST(self) -> None:
        body = bytearray(self.rfile.read(int(self.headers.get("Content-Length") or 0)))
        self.context.begin({"Accept": "*/*", **dict(self.headers.items())})
        with self._time_limit():
            (result,) = self.transformer.transform([{"body": body}], self.context)
        if self.context.status >= 400:
            # As in AWS's container, the answer to an exception is its message and its trace.
            print(result, file=sys.stderr, flush=True)
        try:
            content = _encoded(result)
        except TypeError:
            self._answer(503, "application/json", json.dumps(UNSUPPORTED, indent=2).encode())
        else:
            self._answer(self.context.status, self.context.content_type, content)

    @contextmanager
    def _time_limit(self):
        """End this process if the block takes too long: nothing else stops a handler."""
        timer = threading.Timer(self.answer_limit_s, self._die)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _die(self) -> None:
        print(f"no answer after {self.answer_limit_s} s: the worker ends", flush=True)
        self._answer(500, "application/json", json.dumps(DIED, indent=2).encode())
        os._exit(1)

    def _answer(self, status: int, content_type: str, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Connection", "close")
        for name, value in self.context.response_headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def address_string(self) -> str:
        return "engine"  # a Unix socket has no client address

    def log_message(self, form: str, *arguments) -> None:
        if "/ping" not in str(arguments[:1]):
            print(form % arguments, flush=True)


def _encoded(result) -> bytes:
    """Text and bytes as they are, all else as JSON: what TorchServe does."""
    if isinstance(result, str):
        return result.encode()
    if isinstance(result, (bytes, bytearray)):
        return bytes(result)
    return json.dumps(result, indent=2).encode()


class Server(socketserver.UnixStreamServer):
    """One request at a time, as in a worker of the model server; further ones queue."""

    request_queue_size = 128


def install_requirements(code: Path) -> None:
    """Meet ``code/requirements.txt``, as the container does before the model is loaded.

    What it adds is seen by processes that start afterwards: this one starts itself anew.
    """
    if (file := code / "requirements.txt").exists() and REQUIREMENTS_MET not in os.environ:
        try:
            added = requirements.install(file)
        except requirements.RequirementsFailed as error:
            sys.exit(str(error))
        if added:
            os.environ[REQUIREMENTS_MET] = "1"
            module = [sys.executable, "-m", "local_sagemaker.runtime.inside.serve", *sys.argv[1:]]
            os.execv(sys.executable, module)


def log_level() -> int:
    """``SAGEMAKER_CONTAINER_LOG_LEVEL``, a number of Python's logging; 20 (INFO) without it."""
    value = os.environ.get("SAGEMAKER_CONTAINER_LOG_LEVEL", "")
    return int(value) if value.isdigit() else logging.INFO


def fork_workers(count: int) -> None:
    """Become `count` processes; when one of them ends, the first ends too, and with it all."""
    workers = []
    for _ in range(count - 1):
        workers.append(os.fork())
        if workers[-1] == 0:
            return
    for worker in workers:
        threading.Thread(target=_end_with, args=(worker,), daemon=True).start()


def _end_with(worker: int) -> None:
    _, status = os.waitpid(worker, 0)
    print(f"the worker {worker} has ended", flush=True)
    os._exit(os.waitstatus_to_exitcode(status) or 1)


def load(model_dir: str, environment: Environment) -> None:
    """Load the model by the user's ``model_fn`` or the default one; end the process if it fails."""
    Handler.context = Context(model_dir)
    Handler.answer_limit_s = environment.model_server_timeout
    Handler.transformer = Transformer(PyTorchHandler())
    name = environment.module_name
    own = importlib.util.find_spec(name) is not None
    hint = f"there is no module '{name}' in code/ or at the archive's root: the defaults serve"
    try:
        Handler.transformer.validate_and_initialize(model_dir=model_dir, context=Handler.context)
    except Exception:
        traceback.print_exc()
        sys.exit("the model is not loaded" + ("" if own else f"; {hint}"))
    print("model loaded" if own else f"model loaded; {hint}", flush=True)


def main() -> None:
    # As TorchServe's workers do: what handlers log from INFO on is seen without a configuration.
    logging.basicConfig(stream=sys.stdout, format="%(message)s", level=log_level())
    model_dir, code = str(Path.cwd()), Path(os.environ["SAGEMAKER_CODE"])
    install_requirements(code)
    sys.path[:0] = [str(code), model_dir]
    environment = Environment()
    with Server(sys.argv[1], Handler, bind_and_activate=False) as server:
        server.server_bind()  # the workers share the socket; it takes requests from server_activate
        fork_workers(int(environment.model_server_workers or 1))
        load(model_dir, environment)
        server.server_activate()
        server.serve_forever()


if __name__ == "__main__":
    main()
