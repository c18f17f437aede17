"""One instance of a production variant: the process that serves its model."""

from __future__ import annotations

import http.client
import os
import secrets
import shutil
import socket
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from local_sagemaker.aws.services import Services
from local_sagemaker.core import state_files
from local_sagemaker.core.errors import failure_reason
from local_sagemaker.core.kinds import ENDPOINT_LOGS
from local_sagemaker.core.shell_path import temporary
from local_sagemaker.hosting import model_data
from local_sagemaker.hosting.model_data import HostingFailed
from local_sagemaker.runtime import container, isolation
from local_sagemaker.runtime.process import ContainerProcess

# All from SageMaker's documentation of real-time inference.
START_LIMIT_S = 480  # ContainerStartupHealthCheckTimeoutInSeconds, if the variant sets none
PING_LIMIT_S = 2
INVOKE_LIMIT_S = 60  # for the container's answer to /invocations
STOP_GRACE_S = 2  # seconds between SIGTERM and SIGKILL; nobody should wait longer here
SOCKET_LENGTH = 100  # a Unix socket's path may have 107 bytes
POLL_S = 0.1
RESTARTS = 3  # in a row, of a process that ends soon after its start
STEADY_S = 10  # a process that served so long has not ended soon
PYTHON = "python"

OnFailure = Callable[["HostedInstance", str], None]


class Unreachable(Exception):
    """The process takes no requests; it may be starting again."""


class TimedOut(Exception):
    """The process took the request and did not answer it in time."""


class Died(Exception):
    """The process took the request and ended before it answered."""


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self.path))


class HostedInstance:
    """A model's process behind a Unix socket: no port is opened for it."""

    def __init__(
        self, services: Services, endpoint: str, spec: dict, on_failure: OnFailure
    ) -> None:
        """`spec` is a ProductionVariant with its model's ``Container`` definition.

        `on_failure` is called, with the reason, if the process cannot be kept in service.
        """
        self.services, self.endpoint, self.spec = services, endpoint, spec
        self._on_failure = on_failure
        self.name, self.container = spec["VariantName"], spec["Container"]
        identifier = secrets.token_hex(4)
        self.group = ENDPOINT_LOGS + endpoint
        self.stream = f"{self.name}/i-{identifier}"
        self.folder = services.store.folder / state_files.ENDPOINTS / identifier
        self.ml = self.folder / "ml"
        self.socket = self.folder / "socket"
        if len(str(self.socket)) > SOCKET_LENGTH:
            self.socket = Path(tempfile.mkdtemp(prefix="endpoint-", dir=temporary())) / "socket"
        self.tail: deque[str] = deque(maxlen=40)
        self.process: ContainerProcess | None = None
        self.in_service = False
        self.soon_ended = 0  # processes in a row
        self.closed = threading.Event()
        self._lock = threading.Lock()  # a process is started, or the instance closed

    def start(self) -> None:
        """Fetch the model, start its process, and return when it answers ``/ping``.

        Raises:
            HostingFailed: in SageMaker's words, and with the last lines of the log.
        """
        self.log = self.services.cloudwatch.log(self.group, self.stream)
        self._write([container.banner(self.container["Image"]), *self.spec.get("Notes", [])])
        download_limit_s = self.spec.get("ModelDataDownloadTimeoutInSeconds")
        model_data.fetch(self.services.s3, self.container, self.ml, self.folder, download_limit_s)
        self._launch()
        limit = self.spec.get("ContainerStartupHealthCheckTimeoutInSeconds", START_LIMIT_S)
        deadline = time.monotonic() + limit
        while time.monotonic() < deadline and not self.closed.is_set():
            if self.process.has_ended():
                self.reader.join(timeout=5)
                raise HostingFailed(self._unhealthy("It ended."))
            if self._answers():
                self.in_service = True
                return
            time.sleep(POLL_S)
        raise HostingFailed(self._unhealthy(f"It did not answer within {limit} s."))

    def _unhealthy(self, what: str) -> str:
        head = (
            f"The primary container for production variant {self.name} did not pass the ping "
            f"health check. Please check CloudWatch logs for this endpoint. {what} Last lines:\n"
        )
        return failure_reason(head, self.tail)

    def _launch(self) -> None:
        with self._lock:
            if not self.closed.is_set():
                self.socket.unlink(missing_ok=True)
                self.process, self.launched, self.answered = (
                    self._process(),
                    time.monotonic(),
                    False,
                )
                self.reader = threading.Thread(target=self._read, args=(self.process,), daemon=True)
                self.reader.start()

    def _process(self) -> ContainerProcess:
        scratch, given = self.folder / "scratch", self.container.get("Environment", {})
        shared = self.services.store.folder / state_files.ENVIRONMENTS
        submitted = given.get(model_data.SUBMIT, "").startswith("s3://")
        place = "code" if submitted else "model/code"
        code = container.inside(self.ml, f"{container.ML}/{place}")
        environment = {
            **container.environment(
                self.services.url,
                self.services.store.access_key,
                scratch,
                self.ml,
                self.container["Image"],
                shared,
            ),
            model_data.SUBMIT: code,
            "SAGEMAKER_PROGRAM": "inference.py",
            "OMP_NUM_THREADS": str(os.cpu_count() or 1),
            **given,
            "SAGEMAKER_CODE": code,
        }
        command = [PYTHON, "-m", "local_sagemaker.runtime.inside.serve", str(self.socket)]
        cwd = container.inside(self.ml, f"{container.ML}/model")
        kept = [self.socket.parent, *container.kept(scratch, shared)]
        return ContainerProcess(
            isolation.start(self.ml, scratch, command, environment, cwd, kept=kept)
        )

    def _read(self, process: ContainerProcess) -> None:
        """Send the process's lines to CloudWatch; when it ends, see to its successor."""
        for lines in process.lines():
            self._write(lines)
        self.log.flush()
        if self.in_service:
            self._restart()

    def _write(self, lines: list[str]) -> None:
        self.tail.extend(lines)
        if not self.closed.is_set():
            self.log.write(lines)

    def _restart(self) -> None:
        """Start a process that ended by itself again; give up on one that keeps ending."""
        steady = self.answered and time.monotonic() - self.launched > STEADY_S
        self.soon_ended = 1 if steady else self.soon_ended + 1
        if self.closed.is_set():
            return
        if self.soon_ended > RESTARTS:
            why = self._unhealthy(f"It ended {self.soon_ended} times in a row.")
            threading.Thread(target=self._on_failure, args=(self, why)).start()
        else:
            self.process.wait()
            self._write(["local_sagemaker: the process has ended and is started again"])
            self._launch()

    def _answers(self) -> bool:
        try:
            return self.request("GET", "/ping", b"", {}, PING_LIMIT_S)[0] == 200
        except (Unreachable, TimedOut, Died):
            return False

    def request(
        self, method: str, path: str, body: bytes, headers: dict[str, str], limit_s: float
    ) -> tuple[int, dict[str, str], bytes]:
        """Send one request; return status, headers (names in lower case) and body.

        Raises:
            Unreachable: if no process takes the request.
            TimedOut: if no answer comes within `limit_s`.
            Died: if the process ends meanwhile.
        """
        connection = _UnixConnection(self.socket, limit_s)
        try:
            connection.connect()
        except OSError as error:
            raise Unreachable(f"the variant {self.name} takes no requests: {error}") from None
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            content = answer.read()
        except TimeoutError as error:
            raise TimedOut(str(error)) from None
        except (OSError, http.client.HTTPException) as error:
            raise Died(str(error)) from None
        finally:
            connection.close()
        self.answered = True
        return answer.status, found, content

    def terminate(self) -> None:
        """Ask the process to end, and start no other."""
        with self._lock:
            self.closed.set()
        if self.process:
            self.process.stop(STOP_GRACE_S)

    def close(self) -> None:
        """End the process and remove the instance's files."""
        self.terminate()
        if self.process:
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
        if self.socket.parent != self.folder:
            shutil.rmtree(self.socket.parent, ignore_errors=True)
