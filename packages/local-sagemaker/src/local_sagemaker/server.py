"""The engine's one process: an HTTP server on 127.0.0.1 in front of everything."""

from __future__ import annotations

import logging
import os
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from xml.parsers.expat import ExpatError

# moto reads these at import.
os.environ.setdefault("MOTO_S3_CUSTOM_ENDPOINTS", "")
os.environ.setdefault("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")

from local_sagemaker import REGION, admission, operations
from local_sagemaker.admission import Admission
from local_sagemaker.api import SageMakerApi
from local_sagemaker.aws import iam, moto_seams, refusals
from local_sagemaker.aws.cloudwatch import CloudWatch
from local_sagemaker.aws.journal import Journal, operation_of
from local_sagemaker.aws.s3.service import S3
from local_sagemaker.aws.services import Services
from local_sagemaker.aws.tokens import Tokens
from local_sagemaker.client import reclaims
from local_sagemaker.core import signatures, state_files
from local_sagemaker.core.errors import ApiError, legal_xml
from local_sagemaker.core.state_lock import StateError
from local_sagemaker.core.store import Store, database, is_disk_full
from local_sagemaker.core.tags import Tags
from local_sagemaker.hosting.endpoints import Endpoints
from local_sagemaker.training.operations import TrainingJobs
from local_sagemaker.tuning.operations import TuningJobs
from local_sagemaker.wsgi import NO_ROOM, create_server

log = logging.getLogger(__name__)


class Engine:
    """Everything that one state folder holds, as a WSGI application."""

    def __init__(self, state: Path, url: str) -> None:
        """Open `state` and bring back what it remembers; `url` is where jobs reach the engine."""
        self.store = Store(state)
        self.moto = moto_seams.Services()
        self.s3 = S3(self.store, self.moto)
        self.journal = Journal(self.store, self.s3.lock, self.moto)
        self.cloudwatch = CloudWatch(self.store, self.journal)
        services = Services(self.store, self.s3, self.cloudwatch, url)
        self.training = TrainingJobs(services)
        self.tuning = TuningJobs(self.store, self.training)
        self.endpoints = Endpoints(services)
        handlers = operations.sagemaker(
            self.training, self.tuning, self.endpoints.models, self.endpoints, Tags(self.store)
        )
        self.sagemaker = SageMakerApi(handlers)
        self.admission, self.tokens = Admission(self._secret_of), Tokens()
        self.last_request = time.monotonic()
        (state / state_files.INCOMING).mkdir(exist_ok=True)
        try:
            self._restore()
        except sqlite3.DatabaseError as error:
            self.store.close()
            if is_disk_full(error):
                raise
            raise StateError(
                f"the database {database(self.store.folder)} is damaged: {error}. Nothing was "
                "changed: put back a copy of it, or name another folder with --state"
            ) from None

    def _restore(self) -> None:
        self.journal.after_replay = {True: self.s3.restore, False: self.cloudwatch.restore}
        self.journal.replay()
        iam.make_role(self.journal)
        self.training.restore()
        self.tuning.restore()
        self.endpoints.restore()

    def _secret_of(self, key: str) -> str | None:
        own = self.store.access_key
        return own.secret if key == own.id else iam.secret_of(key)

    def busy(self) -> bool:
        return self.training.busy() or self.tuning.busy()

    def close(self) -> None:
        """Stop all jobs and endpoints and close the state."""
        self.tuning.close()
        self.training.close()
        self.endpoints.close()
        self.store.close()

    def __call__(self, environ: dict, start_response: Callable) -> Iterable[bytes]:
        """Answer one request (WSGI)."""
        if error := self.admission.refused_by_head(environ):
            return refusals.answer(error, admission.service(environ), environ, start_response)
        self.last_request = time.monotonic()
        try:
            if no_room := environ.get(NO_ROOM):
                raise no_room
            return self._route(environ, start_response)
        except Exception as error:
            if not is_disk_full(error):
                raise
            log.error("%s %s: %s", environ["REQUEST_METHOD"], environ["PATH_INFO"], error)
            return _refuse_for_room(environ, start_response, error)

    def _route(self, environ: dict, start_response: Callable) -> Iterable[bytes]:
        if error := self.admission.refused(environ):
            return refusals.answer(error, admission.service(environ), environ, start_response)
        if environ["PATH_INFO"] == admission.HEALTH:
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [f"ok {os.getpid()}\n".encode()]
        if environ["PATH_INFO"] == reclaims.PATH:
            return self._reclaim(environ, start_response)
        environ["RAW_URI"] = environ.get("REQUEST_URI", "")  # where moto looks for keys like a?b
        service = _one_region(environ)
        for path in operations.RUNTIME.values() if service == "sagemaker" else ():
            if match := path.fullmatch(environ["PATH_INFO"]):
                return self.endpoints.invoke(match[1], match[2], environ, start_response)
        if error := refusals.refused(service, environ, operations.SERVICES["s3"]):
            return refusals.answer(error, service, environ, start_response)
        if service == "sagemaker":
            return self.sagemaker(environ, start_response)
        if service not in operations.SERVICES:
            refusals.read_action(environ)
            error = refusals.unserved(service, operations.SERVICES, environ)
            return refusals.answer(error, service, environ, start_response)
        try:
            return self._ask_moto(service, environ, start_response)
        except NotImplementedError:
            error = refusals.unimplemented(service, environ)
        except ExpatError:
            error = refusals.malformed()
        except Exception as failure:
            if is_disk_full(failure):
                raise
            log.exception("%s failed", refusals.operation_name(environ))
            error = refusals.defect(service, environ)
        return refusals.answer(error, service, environ, start_response)

    def _reclaim(self, environ: dict, start_response: Callable) -> list[bytes]:
        asked = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        try:
            self.training.reclaim(**reclaims.parsed(asked))
        except ApiError as error:
            return refusals.answer(error, "sagemaker", environ, start_response)
        start_response("200 OK", [("Content-Type", "application/json")])
        return [b"{}"]

    def _ask_moto(self, service: str, environ: dict, start_response: Callable):
        if service == "s3" and environ["PATH_INFO"].lstrip("/").partition("/")[2]:
            self.journal.make_ready(s3=True)
            return self.s3(environ, start_response)
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        refusals.note_action(environ, body)
        operation = operation_of(environ, body)
        if service != "s3" and operation not in operations.SERVICES[service]:
            raise NotImplementedError
        if own := operations.OWN.get((service, operation)):
            return own(body, start_response)
        if operation == "FilterLogEvents":
            body = self.cloudwatch.with_streams(body)
        app = self.s3 if service == "s3" else self.moto
        if error := self.tokens.refused(service, operation, environ, body):
            return refusals.answer(error, service, environ, start_response)
        status, headers, chunks = self.journal.perform(service, environ, body, app)
        content = b"".join(chunks)
        self.tokens.note(service, operation, environ, content)
        if any("xml" in value for name, value in headers if name.lower() == "content-type"):
            content = legal_xml(content)
        if service == "sts":
            with self.journal.lock:
                content = iam.with_keys(content)
            headers = [(n, v) for n, v in headers if n.lower() != "content-length"]
        start_response(status, headers)
        return [content]


def _refuse_for_room(environ: dict, start_response: Callable, error: Exception) -> list[bytes]:
    """AWS has no such error; 507 is not asked again by its clients."""
    text = f"The disk of the state folder has no room: {error}. Free some; nothing is lost."
    refused = ApiError("InsufficientStorage", text, 507)
    return refusals.answer(refused, admission.service(environ), environ, start_response)


def _one_region(environ: dict) -> str:
    """The service that a request is signed for; all regions become this engine's one.

    moto reads both from the header, so an address that is signed in its query gets one.
    """
    claim = signatures.claim(environ)
    if (
        claim is None
        or claim.headers is None
        or (claim.expires is not None and claim.service == "s3")
    ):
        return "s3"
    scope = f"{claim.key}/{claim.date[:8] or '20260101'}/{REGION}/{claim.service}/aws4_request"
    environ["HTTP_AUTHORIZATION"] = f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host"
    return claim.service


def serve(state: Path, port: int, ready: Callable[[str], None], idle_s: float | None) -> None:
    """Run the engine until SIGTERM, or until nothing happened for `idle_s` seconds.

    Args:
        state: folder of everything that outlives the process.
        port: TCP port on 127.0.0.1; 0 takes a free one.
        ready: called with the engine's address when it answers.

    Raises:
        StateError: `state` cannot be used; another engine may hold it.
        PortTaken: the port is taken.
    """
    holder: dict = {}

    def application(environ, start_response):
        return holder["engine"](environ, start_response)

    def refuses(environ):
        return holder["engine"].admission.refused_by_head(environ)

    server = create_server(application, port, state / state_files.INCOMING, refuses)
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
    except Exception as error:
        if not is_disk_full(error):
            raise
        raise StateError(
            f"the disk of the state folder {state} has no room: {error}. Free some and start "
            "again; nothing is lost"
        ) from None
    finally:
        server.close()
