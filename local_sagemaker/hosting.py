"""One production variant: its model's files and the process that serves them."""

from __future__ import annotations

import http.client
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections import deque
from pathlib import Path
from typing import IO, TYPE_CHECKING

from local_sagemaker import container, isolation
from local_sagemaker.cloudwatch import ENDPOINT_LOGS

if TYPE_CHECKING:
    from local_sagemaker.endpoints import Endpoints

START_LIMIT_S = 480  # ContainerStartupHealthCheckTimeoutInSeconds, if the variant sets none
INVOKE_LIMIT_S = 60  # InvokeEndpoint's limit for the container's answer
STOP_GRACE_S = 2  # seconds between SIGTERM and SIGKILL; nobody should wait longer here
SOCKET_LENGTH = 100  # a Unix socket's path may have 107 bytes
POLL_S = 0.1
RESTARTS = 3  # in a row, of a process that ends soon after its start
STEADY_S = 10  # a process that served so long has not ended soon
PYTHON = "python"


class HostingFailed(Exception):
    """The variant does not come into service; the text is the endpoint's FailureReason."""


class Unreachable(Exception):
    """The variant's process takes no requests; it may be starting again."""


class NoAnswer(Exception):
    """The variant's process took the request and did not answer it."""


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self.path))


def model_address(primary: dict) -> str | None:
    """Where a container definition's model data lies: a ``tar.gz``, or a prefix of files."""
    source = primary.get("ModelDataSource", {}).get("S3DataSource", {})
    return primary.get("ModelDataUrl") or source.get("S3Uri")


class HostedVariant:
    """A model's process behind a Unix socket: no port is opened for it."""

    def __init__(self, endpoints: Endpoints, endpoint: str, variant: dict, model: dict) -> None:
        self.endpoints, self.endpoint, self.variant = endpoints, endpoint, variant
        self.name = variant["VariantName"]
        self.weight = variant.get("InitialVariantWeight", 1.0)
        self.container = model.get("PrimaryContainer") or model["Containers"][0]
        self.address = model_address(self.container)
        identifier = secrets.token_hex(4)
        self.group = ENDPOINT_LOGS + endpoint
        self.stream = f"{self.name}/i-{identifier}"
        self.folder = endpoints.folder / identifier
        self.ml = self.folder / "ml"
        self.socket = self.folder / "socket"
        if len(str(self.socket)) > SOCKET_LENGTH:
            self.socket = Path(tempfile.mkdtemp(prefix="endpoint-")) / "socket"
        self.tail: deque[str] = deque(maxlen=40)
        self.process = None
        self.in_service = False
        self.soon_ended = 0  # processes in a row
        self.closed = threading.Event()
        self._lock = threading.Lock()  # a process is started, or the variant closed

    def start(self) -> None:
        """Fetch the model, start its process, and return when it answers ``/ping``.

        Raises:
            HostingFailed: with the last lines of the log.
        """
        self._fetch()
        self._launch()
        limit = self.variant.get("ContainerStartupHealthCheckTimeoutInSeconds", START_LIMIT_S)
        deadline = time.monotonic() + limit
        while time.monotonic() < deadline and not self.closed.is_set():
            if self.process.poll() is not None:
                self.reader.join(timeout=5)
                raise HostingFailed(self._why("did not pass the ping health check: it ended"))
            if self._answers():
                self.in_service = True
                return
            time.sleep(POLL_S)
        raise HostingFailed(self._why(f"did not pass the ping health check within {limit} s"))

    def _why(self, what: str) -> str:
        head = f"The container of variant {self.name} {what}. Last lines of its log:\n"
        return head + "\n".join(self.tail)[-(1024 - len(head)) :]

    def _fetch(self) -> None:
        model = self.ml / "model"
        model.mkdir(parents=True)
        if self.address is None:
            return
        fetched = self.folder / "fetched"
        try:
            if self.endpoints.s3.download(self.address, fetched) == 0:
                raise FileNotFoundError(f"nothing lies at {self.address}")
            if self.address.endswith(".tar.gz"):
                container.unpack(fetched / self.address.rpartition("/")[2], model)
                shutil.rmtree(fetched)
            else:
                fetched.replace(model)
        except Exception as error:
            reason = f"Failed to fetch the model data from {self.address}: {error}"
            raise HostingFailed(reason) from error

    def _launch(self) -> None:
        with self._lock:
            if not self.closed.is_set():
                self.socket.unlink(missing_ok=True)
                self.process, self.launched, self.answered = (
                    self._process(),
                    time.monotonic(),
                    False,
                )
                self.reader = threading.Thread(
                    target=self._read_output, args=(self.process.stdout,), daemon=True
                )
                self.reader.start()

    def _process(self) -> subprocess.Popen:
        scratch = self.folder / "scratch"
        code = container.inside(self.ml, f"{container.ML}/model/code")
        environment = {
            **container.environment(
                self.endpoints.url, scratch / "home", self.ml, self.container["Image"]
            ),
            "SAGEMAKER_SUBMIT_DIRECTORY": code,
            "SAGEMAKER_PROGRAM": "inference.py",
            "OMP_NUM_THREADS": str(os.cpu_count() or 1),
            **self.container.get("Environment", {}),
            "SAGEMAKER_CODE": code,
        }
        command = [PYTHON, "-m", "local_sagemaker.serving", str(self.socket)]
        cwd = container.inside(self.ml, f"{container.ML}/model")
        return isolation.start(self.ml, scratch, command, environment, cwd)

    def _read_output(self, output: IO[bytes]) -> None:
        """Send the process's output to CloudWatch; when it ends, see to its successor."""
        with output:
            for raw in output:
                if line := raw.decode("utf-8", "replace").rstrip():
                    self._log(line)
        if self.in_service:
            self._restart()

    def _log(self, line: str) -> None:
        self.tail.append(line)
        event = (int(time.time() * 1000), line)
        if not self.closed.is_set():
            self.endpoints.cloudwatch.put_log_events(self.group, self.stream, [event])

    def _restart(self) -> None:
        """Start a process that ended by itself again; give up on one that keeps ending."""
        steady = self.answered and time.monotonic() - self.launched > STEADY_S
        self.soon_ended = 1 if steady else self.soon_ended + 1
        if self.closed.is_set():
            return
        if self.soon_ended > RESTARTS:
            why = self._why(f"ended {self.soon_ended} times in a row")
            threading.Thread(target=self.endpoints.give_up, args=(self, why)).start()
        else:
            self.process.wait()
            self._log("local_sagemaker: the process has ended and is started again")
            self._launch()

    def _answers(self) -> bool:
        try:
            return self.request("GET", "/ping", b"", {})[0] == 200
        except (Unreachable, NoAnswer):
            return False

    def request(
        self, method: str, path: str, body: bytes, headers: dict[str, str]
    ) -> tuple[int, dict[str, str], bytes]:
        """Send one request; return status, headers (names in lower case) and body.

        Raises:
            Unreachable: if no process takes the request.
            NoAnswer: if the process ends meanwhile, or does not answer in time.
        """
        connection = _UnixConnection(self.socket, INVOKE_LIMIT_S)
        try:
            connection.connect()
        except OSError as error:
            raise Unreachable(f"the variant {self.name} takes no requests: {error}") from None
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            content = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise NoAnswer(f"the variant {self.name} gave no answer: {error}") from None
        finally:
            connection.close()
        self.answered = True
        return answer.status, found, content

    def close(self) -> None:
        """End the process and remove the variant's files."""
        with self._lock:
            self.closed.set()
        if self.process:
            isolation.terminate(self.process)
            try:
                self.process.wait(timeout=STOP_GRACE_S)
            except subprocess.TimeoutExpired:
                isolation.kill(self.process)
                self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
        if self.socket.parent != self.folder:
            shutil.rmtree(self.socket.parent, ignore_errors=True)
