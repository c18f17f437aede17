"""S3: moto's protocol over bodies that live as files.

moto answers every request, but never sees a body: uploads are streamed into a file of the state
folder before moto is asked, downloads are streamed out of it after moto answered. What a request
changed is written to the store's index before its answer leaves, and only then are the files of
replaced objects unlinked.
"""

from __future__ import annotations

import hashlib
import logging
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs

import moto.s3.models as moto_s3

from local_sagemaker import ACCOUNT
from local_sagemaker.aws import refusals
from local_sagemaker.aws.s3 import index, objects
from local_sagemaker.aws.s3.bodies import Body, check_body, read_chunks, send_file, write_body
from local_sagemaker.aws.s3.checksums import BadBody, check_whole, require_known
from local_sagemaker.aws.s3.objects import StoredS3, Transaction
from local_sagemaker.core.errors import error_xml, legal_xml
from local_sagemaker.core.locks import OrderedLock
from local_sagemaker.core.store import Store

log = logging.getLogger(__name__)


class S3:
    """The S3 of one engine."""

    def __init__(self, store: Store, moto_app: Callable) -> None:
        """Put moto's S3 on `store`; `moto_app` is moto's WSGI application."""
        self.store, self._moto = store, moto_app
        self.lock = OrderedLock("s3")  # one at a time: moto has no locks of its own
        objects.install(store, self.lock)

    @property
    def backend(self) -> StoredS3:
        return moto_s3.s3_backends[ACCOUNT]["aws"]

    # Serving requests

    def __call__(self, environ: dict, start_response: Callable) -> Iterable[bytes]:
        """Answer one S3 request (WSGI)."""
        _bucket, _, key = environ["PATH_INFO"].lstrip("/").partition("/")
        if environ["REQUEST_METHOD"] == "GET" and key and not _asked(environ) - PLAIN_GET:
            return self._get(environ, start_response)
        told: list = []
        try:
            require_known(environ)
            body = self._receive(environ)
            with self.transaction(body) as mine:
                chunks = list(self._moto(environ, lambda *answer: told.append(answer)))
                if told[-1][0].startswith("200"):
                    self._check_whole(environ, mine)
        except BadBody as error:
            start_response(error.status, [("Content-Type", "application/xml")])
            return [error_xml(error.code, error)]
        start_response(*told[-1])
        return chunks if _is_object(environ) else [legal_xml(b"".join(chunks))]

    def _check_whole(self, environ: dict, completing: Transaction) -> None:
        """Check what was said of an object that was joined from its parts, if anything was."""
        if "uploadId" not in _asked(environ) or environ["REQUEST_METHOD"] != "POST":
            return
        for bucket, key in completing.touched:
            file = self.backend.buckets[bucket].keys[key].file
            check_whole(environ, lambda file=file: read_chunks(file))

    def _receive(self, environ: dict) -> Body | None:
        """Stream an upload's body (object or part) into a file; leave moto an empty one."""
        is_copy = "HTTP_X_AMZ_COPY_SOURCE" in environ
        key = environ["PATH_INFO"].lstrip("/").partition("/")[2]
        if environ["REQUEST_METHOD"] != "PUT" or is_copy or not key or _asked(environ) - PLAIN_PUT:
            if "uploadId" not in _asked(environ):  # what is said there is of the joined object
                check_body(environ)
            return None
        body = write_body(environ, self.store.new_object_file())
        environ["wsgi.input"], environ["CONTENT_LENGTH"] = _Empty(), "0"
        environ.pop("HTTP_CONTENT_MD5", None)
        environ.pop("HTTP_TRANSFER_ENCODING", None)
        environ["HTTP_X_AMZ_CONTENT_SHA256"] = "UNSIGNED-PAYLOAD"
        return body

    def _get(self, environ: dict, start_response: Callable) -> Iterable[bytes]:
        """GetObject: moto answers HEAD (conditions, versions, headers), the file is streamed."""
        head: dict = {}
        asked = dict(environ, REQUEST_METHOD="HEAD")
        wanted = asked.pop("HTTP_RANGE", None)
        with self.transaction() as mine:
            b"".join(self._moto(asked, lambda s, h, _=None: head.update(status=s, headers=h)))
            if not head["status"].startswith("200"):
                return [legal_xml(b"".join(self._moto(environ, start_response)))]
            file = mine.found.file.open("rb")
        headers = {name.lower(): value for name, value in head["headers"]}
        return send_file(file, headers, wanted, start_response)

    @contextmanager
    def transaction(self, body: Body | None = None) -> Iterator[Transaction]:
        """Moto's changes inside the block are in the store when the block ends.

        If the block raises, or they cannot be written, moto forgets them again.
        """
        with self.lock, objects.performing(Transaction(incoming=body)) as mine:
            try:
                if body:
                    mine.created.append(body.file)
                yield mine
                if mine.failure:
                    raise mine.failure
                if mine.incoming:  # the request was refused
                    mine.obsolete.append(mine.incoming.file)
                self._commit(mine)
            except BaseException:
                self._forget(mine)
                raise

    # The index

    def _commit(self, transaction: Transaction) -> None:
        writes = list(transaction.writes)
        for bucket, key in transaction.touched:
            writes += self._index(bucket, key)
        if writes:
            self.store.write_all(writes)
        # Not before the outermost commit: the journal's line about a bucket belongs to it too.
        self.store.after_commit(lambda: _unlink(transaction.obsolete))

    def _index(self, bucket: str, key: str) -> list[tuple[str, list]]:
        """The writes that put all versions of one object into the store."""
        found = self.backend.buckets.get(bucket)
        versions = found.keys.getlist(key, []) if found else []
        describe = index.description
        rows = [(bucket, key, str(v.version_id), *describe(v, self.backend)) for v in versions]
        return [
            ("DELETE FROM objects WHERE bucket = ? AND key = ?", [(bucket, key)]),
            ("INSERT INTO objects VALUES (?, ?, ?, ?, ?)", rows),
        ]

    def _forget(self, transaction: Transaction) -> None:
        """Bring moto back to what the store says of the objects that were touched."""
        buckets = self.backend.buckets
        for bucket, key in transaction.touched:
            if bucket in buckets:
                dict.pop(buckets[bucket].keys, key, None)
                self._restore_objects("WHERE bucket = ? AND key = ?", (bucket, key))
        for bucket, upload in transaction.uploads:
            if bucket in buckets:
                dict.pop(buckets[bucket].multiparts, upload, None)
                self._restore_uploads("WHERE id = ?", (upload,))
        _unlink(transaction.created)

    def has_bucket(self, name: str) -> bool:
        with self.lock:
            return name in self.backend.buckets

    def restore(self) -> None:
        """Rebuild moto's objects and uploads from the index (their buckets must be there)."""
        with self.lock:
            self._restore_objects()
            self._restore_uploads()

    def _restore_objects(self, where: str = "", arguments: tuple = ()) -> None:
        found: dict[tuple[str, str], list] = {}
        for bucket, key, *row in self.store.query(
            f"SELECT bucket, key, version, file, meta FROM objects {where} ORDER BY rowid",
            arguments,
        ):
            if bucket in self.backend.buckets:
                version = index.restored(self.backend, bucket, key, row)
                found.setdefault((bucket, key), []).append(version)
        for (bucket, key), versions in found.items():
            dict.__setitem__(self.backend.buckets[bucket].keys, key, versions)

    def _restore_uploads(self, where: str = "", arguments: tuple = ()) -> None:
        for upload, bucket, meta in self.store.query(
            f"SELECT id, bucket, meta FROM uploads {where} ORDER BY rowid", arguments
        ):
            if bucket in self.backend.buckets:
                parts = self.store.query(
                    "SELECT number, file, meta FROM parts WHERE upload = ?", (upload,)
                )
                made = index.restored_upload(self.backend, upload, meta, parts)
                self.backend.buckets[bucket].multiparts[upload] = made

    # What jobs need

    def put_file(self, uri: str, file: Path) -> None:
        """Store `file` under `uri` (``s3://bucket/key``); the file is moved, not copied."""
        bucket, key = split(uri)
        with file.open("rb") as source:
            md5 = hashlib.file_digest(source, "md5").hexdigest()
        body = Body(self.store.new_object_file(), file.stat().st_size, md5)
        # A link would lead nowhere once the job's folder is gone.
        shutil.copyfile(file, body.file) if file.is_symlink() else shutil.move(file, body.file)
        with self.transaction(body):
            self.backend.put_object(bucket, key, b"")


PLAIN_GET = {
    "versionId",
    "x-id",
    "response-content-type",
    "response-content-disposition",
    "response-content-encoding",
    "response-content-language",
    "response-cache-control",
    "response-expires",
}
PLAIN_PUT = {"x-id", "partNumber", "uploadId"}


SIGNATURE = {"AWSAccessKeyId", "Signature", "Expires"}  # with X-Amz-..., of presigned addresses


def _unlink(files: list[Path]) -> None:
    for file in files:
        try:
            file.unlink(missing_ok=True)
        except OSError:  # the next start removes files that no object names
            log.warning("removing %s", file, exc_info=True)


def _asked(environ: dict) -> set[str]:
    """The names in a request's query that change what it means."""
    query = parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
    return {name for name in query if name not in SIGNATURE and not name.startswith("X-Amz-")}


def _is_object(environ: dict) -> bool:
    """Whether the answer is an object, although something unknown was asked with it."""
    key = environ["PATH_INFO"].lstrip("/").partition("/")[2]
    is_get = environ["REQUEST_METHOD"] == "GET" and key != ""
    return is_get and not _asked(environ) & {*refusals.words_of_reading_a_key(), "uploadId"}


class _Empty:
    def read(self, size: int = -1) -> bytes:
        return b""

    def readline(self, size: int = -1) -> bytes:
        return b""


def split(uri: str) -> tuple[str, str]:
    """Bucket and key of ``s3://bucket/key``.

    Raises:
        ValueError: if `uri` has another form.
    """
    match = re.fullmatch(r"s3://([^/]+)/?(.*)", uri, re.DOTALL)
    if not match:
        raise ValueError(f"'{uri}' is no S3 address: write s3://bucket/key")
    return match[1], match[2]
