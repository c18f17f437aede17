"""The engine's one process: an HTTP server on 127.0.0.1 in front of everything."""

from __future__ import annotations

import io
import json
import logging
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from urllib.parse import parse_qs

# moto reads these at import.
os.environ.setdefault("MOTO_S3_CUSTOM_ENDPOINTS", "")
os.environ.setdefault("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

from local_sagemaker import REGION, iam
from local_sagemaker.api import SageMakerApi
from local_sagemaker.cloudwatch import CloudWatch
from local_sagemaker.endpoints import Endpoints
from local_sagemaker.s3 import ERROR_XML, S3
from local_sagemaker.store import Store
from local_sagemaker.tags import Tags
from local_sagemaker.training import TrainingJobs
from local_sagemaker.tuning import TuningJobs
from local_sagemaker.wsgi import create_server

log = logging.getLogger(__name__)

MOTO_SERVICES = {"s3", "logs", "monitoring", "iam", "sts"}
READING = ("Get", "List", "Describe", "Head", "Filter", "Simulate", "AssumeRole")
INVOCATION = re.compile(r"/endpoints/([^/]+)/invocations")


class Engine:
    """Everything that one state folder holds, as a WSGI application."""

    def __init__(self, state: Path, url: str) -> None:
        """Open `state` and bring back what it remembers; `url` is where jobs reach the engine."""
        self.store = Store(state)
        self.moto = DomainDispatcherApplication(create_backend_app)
        self.s3 = S3(self.store, self.moto)
        self.cloudwatch = CloudWatch(self.store)
        self.training = TrainingJobs(self.store, self.s3, self.cloudwatch, url)
        self.tuning = TuningJobs(self.store, self.training)
        self.endpoints = Endpoints(self.store, self.s3, self.cloudwatch, url)
        self.sagemaker = SageMakerApi(
            self.training.handlers
            | self.tuning.handlers
            | self.endpoints.handlers
            | Tags(self.store).handlers
        )
        self.last_request = time.monotonic()
        self._restore()

    def _restore(self) -> None:
        self._replay()
        self.s3.restore()
        self.cloudwatch.restore()
        iam.make_role()
        self.training.restore()
        self.tuning.restore()
        self.endpoints.restore()

    def busy(self) -> bool:
        return self.training.busy() or self.tuning.busy()

    def close(self) -> None:
        """Stop all jobs and endpoints and close the state."""
        self.tuning.close()
        self.training.close()
        self.endpoints.close()
        self.store.close()

    def __call__(self, environ: dict, start_response: Callable) -> Iterable[bytes]:
        self.last_request = time.monotonic()
        if not _is_loopback(environ.get("HTTP_HOST", "")):
            start_response("403 Forbidden", [("Content-Type", "text/plain")])
            return [b"local_sagemaker serves 127.0.0.1 and localhost only\n"]
        if environ["PATH_INFO"] == "/-/health":
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [b"ok\n"]
        if not _is_signed(environ):
            return _refuse_unsigned(environ, start_response)
        environ["RAW_URI"] = environ.get("REQUEST_URI", "")  # where moto looks for keys like a?b
        service = _one_region(environ)
        if service == "sagemaker":
            if match := INVOCATION.fullmatch(environ["PATH_INFO"]):
                return self.endpoints.invoke(match[1], environ, start_response)
            return self.sagemaker(environ, start_response)
        if service not in MOTO_SERVICES:
            start_response("400 Bad Request", [("Content-Type", "application/json")])
            text = f"local_sagemaker does not serve '{service}'; {sorted(MOTO_SERVICES)} it does"
            return [json.dumps({"__type": "UnknownService", "message": text}).encode()]
        return self._ask_moto(service, environ, start_response)

    # moto, and the journal of what changed it

    def _ask_moto(self, service: str, environ: dict, start_response: Callable):
        if service == "s3" and environ["PATH_INFO"].lstrip("/").partition("/")[2]:
            return self.s3(environ, start_response)
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        if service == "iam" and iam.asks_simulation(body):
            return iam.simulate(body, start_response)
        if environ.get("HTTP_X_AMZ_TARGET", "").endswith(".FilterLogEvents"):
            body = self.cloudwatch.with_streams(body)
        request = _remembered(environ, body)
        sent: dict = {}

        def note_status(status: str, headers: list, exc_info=None):
            sent["status"] = status
            return start_response(status, headers, exc_info)

        answer = self._replayed(request, note_status, through_s3=service == "s3")
        if sent["status"].startswith("2") and _changes_state(service, environ, body):
            self.store.write(
                "INSERT INTO journal (method, path, query, headers, body) VALUES (?, ?, ?, ?, ?)",
                [request],
            )
        return answer

    def _replayed(self, request: tuple, start_response: Callable, through_s3: bool) -> list[bytes]:
        method, path, query, headers, body = request
        environ = _environ(method, path, query, json.loads(headers), body)
        return list((self.s3 if through_s3 else self.moto)(environ, start_response))

    def _replay(self) -> None:
        for row in self.store.query(
            "SELECT method, path, query, headers, body FROM journal ORDER BY id"
        ):
            service = _credential_scope(json.loads(row[3]).get("HTTP_AUTHORIZATION", ""))
            self._replayed(row, lambda *_: None, through_s3=service == "s3")


def _is_loopback(host: str) -> bool:
    return host.rpartition(":")[0] in {"127.0.0.1", "localhost"} or host in {
        "127.0.0.1",
        "localhost",
    }


def _is_signed(environ: dict) -> bool:
    """Whether a request names credentials: a web page that guesses the port cannot add them."""
    query = environ.get("QUERY_STRING", "")
    presigned = "X-Amz-Credential=" in query or "AWSAccessKeyId=" in query
    return presigned or "Credential=" in environ.get("HTTP_AUTHORIZATION", "")


def _refuse_unsigned(environ: dict, start_response: Callable) -> list[bytes]:
    text = "The request is not signed: any access key and secret will do, such as 'local'"
    if "HTTP_X_AMZ_TARGET" in environ:
        start_response("403 Forbidden", [("Content-Type", "application/x-amz-json-1.1")])
        answer = {"__type": "MissingAuthenticationTokenException", "message": text}
        return [json.dumps(answer).encode()]
    start_response("403 Forbidden", [("Content-Type", "application/xml")])
    return [ERROR_XML.format(code="AccessDenied", message=text).encode()]


def _credential_scope(authorization: str) -> str:
    match = re.search(r"Credential=[^/]*/\d+/[^/]+/([^/]+)/aws4_request", authorization)
    return match[1] if match else "s3"


def _one_region(environ: dict) -> str:
    """The service that a request is signed for; all regions become this engine's one."""
    authorization = environ.get("HTTP_AUTHORIZATION", "")
    if authorization:
        environ["HTTP_AUTHORIZATION"] = re.sub(
            r"(Credential=[^/]*/\d+/)[^/]+/", rf"\g<1>{REGION}/", authorization
        )
    return _credential_scope(authorization)


def _changes_state(service: str, environ: dict, body: bytes) -> bool:
    if service == "s3":
        is_read = environ["REQUEST_METHOD"] in {"GET", "HEAD"}
        query = parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
        return not is_read and "delete" not in query  # objects have an index of their own
    action = re.search(rb"(?:^|&)Action=(\w+)", body)
    name = environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")[2]
    name = name or (action[1].decode() if action else environ["PATH_INFO"].rpartition("/")[2])
    return not name.startswith(READING)


def _remembered(environ: dict, body: bytes) -> tuple[str, str, str, str, bytes]:
    headers = {n: v for n, v in environ.items() if n.startswith("HTTP_") or n == "CONTENT_TYPE"}
    path, query = environ["PATH_INFO"], environ.get("QUERY_STRING", "")
    return environ["REQUEST_METHOD"], path, query, json.dumps(headers), body


def _environ(method: str, path: str, query: str, headers: dict, body: bytes) -> dict:
    return {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        **headers,
    }


def serve(state: Path, port: int, ready: Callable[[str], None], idle_s: float | None) -> None:
    """Run the engine until SIGTERM, or until nothing happened for `idle_s` seconds.

    Args:
        state: folder of everything that outlives the process.
        port: TCP port on 127.0.0.1; 0 takes a free one.
        ready: called with the engine's address when it answers.

    Raises:
        StateInUse: another engine holds `state`.
        OSError: the port is taken.
    """
    holder: dict = {}

    def application(environ, start_response):
        return holder["engine"](environ, start_response)

    server = create_server(application, port)
    url = f"http://127.0.0.1:{server.effective_port}"
    try:
        holder["engine"] = engine = Engine(state, url)
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        threading.Thread(target=server.run, daemon=True, name="http").start()
        ready(url)
        while not stop.wait(1.0):
            idle = time.monotonic() - engine.last_request
            if idle_s is not None and idle > idle_s and not engine.busy():
                log.info("nothing asked for %.0f s: stopping", idle)
                break
        engine.close()
    finally:
        server.close()
