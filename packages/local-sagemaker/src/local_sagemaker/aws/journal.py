"""The journal: what moto was told, to be told again at the next start.

moto keeps buckets, roles and log groups in memory. Each request that changed one is written down,
with the moment and the seed of moto's random numbers, in the same transaction as whatever else it
changed; replayed at start under the same moment and seed it makes the same identifiers and dates.
Large or frequent things (objects, log lines, metrics) have tables of their own and are not here.
"""

from __future__ import annotations

import io
import json
import logging
import re
import secrets
import sys
import time
from collections.abc import Callable
from urllib.parse import parse_qs

from local_sagemaker import REGION
from local_sagemaker.aws import moto_seams
from local_sagemaker.core import access_key
from local_sagemaker.core.locks import OrderedLock
from local_sagemaker.core.store import Store

log = logging.getLogger(__name__)

READING = ("Get", "List", "Describe", "Head", "Filter", "Simulate", "AssumeRole", "Start", "Test")
TABLED = {"PutLogEvents", "CreateLogStream", "DeleteLogStream", "PutMetricData"}
OWN_KEY = re.compile(f"Credential={access_key.PREFIX}[^/]*/")
# Parameters of a presigned address, which a request does without.
SIGNING = re.compile(
    r"X-Amz-(Algorithm|Credential|Date|Expires|SignedHeaders|Security-Token|Signature)=|"
    r"(AWSAccessKeyId|Signature|Expires)="
)
Request = tuple[str, str, str, str, bytes]  # method, path, query, headers as JSON, body


class Journal:
    """Performs requests to moto, and remembers those that changed something."""

    def __init__(self, store: Store, s3_lock: OrderedLock, moto_app: Callable) -> None:
        """`s3_lock` is held while moto, which has no locks of its own, performs a request to S3."""
        self.store, self._moto = store, moto_app
        self.lock = OrderedLock("moto")  # held while it performs another
        self._s3_lock = s3_lock
        # Of S3 (True) and the rest: what gives moto what is not in the journal, and whether it has
        # all that it is to remember.
        self.after_replay: dict[bool, Callable[[], None]] = {}
        self._is_replayed = {True: False, False: False}

    def _lock(self, s3: bool) -> OrderedLock:
        return self._s3_lock if s3 else self.lock

    def perform(self, service: str, environ: dict, body: bytes, app: Callable) -> tuple:
        """Let `app` answer; return status, headers and chunks.

        When this returns, what the request changed is committed. If it cannot be, this raises, and
        moto no longer knows of it either.
        """
        request, s3 = _remembered(environ, body), service == "s3"
        with self._lock(s3):
            self.make_ready(s3)
            if not _changes_state(service, environ, body):
                return _answer(app, request)
            try:
                return self._change(service, request, app)
            except NotImplementedError:  # said before anything was done
                raise
            except BaseException:
                self._is_replayed[s3] = False
                self._replay(s3)
                raise

    def _change(self, service: str, request: Request, app: Callable) -> tuple:
        moment, seed = time.time(), secrets.randbits(62)
        with self.store.transaction():
            with moto_seams.as_of(moment, seed):
                answer = _answer(app, request)
            if answer[0].startswith("2"):
                self._write(service, moment, seed, request)
        return answer

    def tell(self, service: str, body: bytes, **headers: str) -> None:
        """Perform a request of the engine's own."""
        scope = f"local/20260101/{REGION}/{service}/aws4_request"
        environ = {
            "REQUEST_METHOD": "POST",
            "PATH_INFO": "/",
            "HTTP_HOST": f"{service}.{REGION}.amazonaws.com",
            "HTTP_AUTHORIZATION": f"AWS4-HMAC-SHA256 Credential={scope}",
            **headers,
        }
        status, _, said = self.perform(service, environ, body, self._moto)
        if not status.startswith("2"):
            raise RuntimeError(f"{service} answers {status}: {b''.join(said)[:500]!r}")

    def _write(self, service: str, moment: float, seed: int, request: Request) -> None:
        method, path, query, _headers, body = request
        same = "FROM journal WHERE method = ? AND path = ? AND query = ?"
        if service == "s3" and method == "DELETE" and not query:  # the bucket is gone
            bare = path.rstrip("/")
            sql = "DELETE FROM journal WHERE path IN (?, ?) AND method IN ('PUT', 'DELETE')"
            self.store.write(sql, [(bare, bare + "/")])
            return
        if service == "logs" and operation_of(json.loads(_headers), body) == "DeleteLogGroup":
            self._drop_group(json.loads(body)["logGroupName"])
            return
        if service == "s3" and method == "PUT" and query:  # said once more: nothing new
            last = self.store.query(
                f"SELECT body {same} ORDER BY id DESC LIMIT 1", (method, path, query)
            )
            if last == [(body,)]:
                return
        self.store.write(
            "INSERT INTO journal (moment, seed, method, path, query, headers, body) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            [(moment, seed, *request)],
        )

    def _drop_group(self, name: str) -> None:
        """A log group is gone, and with it all that was said of it."""
        rows = self.store.query(
            "SELECT id, body FROM journal WHERE headers LIKE '%\"Logs\\_%' ESCAPE '\\'"
        )
        arn = f":log-group:{name}"
        gone = [(number,) for number, body in rows if _names_group(body, name, arn)]
        self.store.write("DELETE FROM journal WHERE id = ?", gone)

    def replay(self) -> None:
        """Let moto forget all, and tell it again what it was told; nothing is written.

        So it is at start, and after a request whose changes moto made and the store could not keep.
        If this fails, it is tried again before the next request.
        """
        for s3 in (True, False):
            self._replay(s3)

    def make_ready(self, s3: bool) -> None:
        """Try again what failed after a failure: tell moto what it is to remember."""
        if not self._is_replayed[s3]:
            self._replay(s3)

    def _replay(self, s3: bool) -> None:
        with self._lock(s3):
            moto_seams.reset(s3)
            self._tell_again(s3)
            self.after_replay[s3]()
            self._is_replayed[s3] = True

    def _tell_again(self, s3: bool) -> None:
        rows = self.store.query(
            "SELECT moment, seed, method, path, query, headers, body FROM journal ORDER BY id"
        )
        with moto_seams.replay():
            for moment, seed, *request in rows:
                if _is_s3(tuple(request)) != s3:
                    continue
                with moto_seams.as_of(moment, seed):
                    status, _, said = _answer(self._moto, tuple(request))
                if not status.startswith("2"):
                    said = b"".join(said)[:500]
                    log.error("replay of %s %s: %s %s", *request[:2], status, said)


def _answer(app: Callable, request: Request) -> tuple[str, list, list[bytes]]:
    method, path, query, headers, body = request
    told: dict = {}

    def start_response(status: str, headers: list, exc_info=None) -> None:
        told.update(status=status, headers=headers)

    chunks = list(app(_environ(method, path, query, json.loads(headers), body), start_response))
    return told["status"], told["headers"], chunks


def _names_group(body: bytes, name: str, arn: str) -> bool:
    asked = json.loads(body)
    place = str(asked.get("resourceArn", "")).removesuffix(":*")
    return asked.get("logGroupName") == name or place.endswith(arn)


def _is_s3(request: Request) -> bool:
    """Whether a remembered request was to S3: signed for it, or in its query, as S3's alone are."""
    signed = re.search(r"Credential=[^/]*/\d+/[^/]+/([^/]+)/aws4_request", request[3])
    return signed is None or signed[1] == "s3"


def _changes_state(service: str, environ: dict, body: bytes) -> bool:
    if service == "s3":  # of a bucket; objects have an index of their own, form uploads included
        return environ["REQUEST_METHOD"] in {"PUT", "DELETE"}
    name = operation_of(environ, body)
    return not name.startswith(READING) and name not in TABLED


def operation_of(environ: dict, body: bytes) -> str:
    """What a request to moto calls its operation; S3 has no names for them."""
    if target := environ.get("HTTP_X_AMZ_TARGET"):
        return target.rpartition(".")[2]
    if action := re.search(rb"(?:^|&)Action=(\w+)", body):
        return action[1].decode()
    asked = parse_qs(environ.get("QUERY_STRING", "")).get("Action")
    return asked[0] if asked else environ["PATH_INFO"].rpartition("/")[2]


def _remembered(environ: dict, body: bytes) -> Request:
    """What is written down of a request; moto reads no more, and the engine's key stays out."""
    headers = {n: v for n, v in environ.items() if n.startswith("HTTP_") or n == "CONTENT_TYPE"}
    headers.pop("HTTP_X_AMZ_SECURITY_TOKEN", None)
    if authorization := headers.get("HTTP_AUTHORIZATION"):
        headers["HTTP_AUTHORIZATION"] = OWN_KEY.sub("Credential=local/", authorization)
    path, query = environ["PATH_INFO"], environ.get("QUERY_STRING", "")
    query = "&".join(pair for pair in query.split("&") if not SIGNING.match(pair))
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
