"""S3: moto's protocol over bodies that live as files.

moto answers every request, but never sees a body: uploads are streamed into a file of the state
folder before moto is asked, downloads are streamed out of it after moto answered. What a request
changed is written to the store's index before its answer leaves, and only then are the files of
replaced objects unlinked.
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import json
import mmap
import re
import shutil
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import parse_qs

import moto.s3.models as moto_s3

from local_sagemaker import ACCOUNT
from local_sagemaker.store import Store

CHUNK = 1024 * 1024
CHECKSUMS = {"crc32": None, "sha1": hashlib.sha1, "sha256": hashlib.sha256}


@dataclass
class Body:
    """An object's body: a file and what was computed while it was written."""

    file: Path
    size: int
    md5: str | None


@dataclass
class Transaction:
    """What the current request brings along, finds, changes and makes superfluous."""

    incoming: Body | None = None
    found: StoredKey | None = None
    touched: set[tuple[str, str]] = field(default_factory=set)
    obsolete: list[Path] = field(default_factory=list)


_current = threading.local()


class StoredKey(moto_s3.FakeKey):
    """moto's object with its body in a file of the store."""

    store: Store  # set once by install()

    @property
    def value(self) -> bytes | mmap.mmap:
        """The body, for moto to copy from: mapped, so that slices of large files stay small."""
        with self.file.open("rb") as stored:
            return mmap.mmap(stored.fileno(), 0, access=mmap.ACCESS_READ) if self.size else b""

    @value.setter
    def value(self, content: bytes) -> None:
        body = _current.transaction.incoming
        _current.transaction.incoming = None
        if body is None:  # a copy: moto read the source's bytes
            body = Body(
                self.store.new_object_file(), len(content), hashlib.md5(content).hexdigest()
            )
            body.file.write_bytes(content)
        self.file, self.contentsize = body.file, body.size
        self._etag = self._etag or body.md5

    @property
    def etag(self) -> str:
        return f'"{self._etag}"'

    def __getstate__(self) -> dict:
        """For moto's deep copies in listings, which need no body."""
        state = self.__dict__.copy()
        del state["lock"], state["_value_buffer"]
        return state

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state)
        self.lock = threading.Lock()

    def dispose(self, garbage: bool = False) -> None:
        """Called by moto when an object is replaced or deleted, and at garbage collection."""
        transaction = getattr(_current, "transaction", None)
        if not garbage and transaction and not self.disposed:
            transaction.obsolete.append(self.file)
            self.disposed = True


class StoredMultipart(moto_s3.FakeMultipart):
    """moto's multipart upload, joined file by file instead of in memory."""

    def complete(self, body: Iterable[tuple[int, str]]) -> tuple[bytes, str, None]:
        """Check the named parts as S3 does, join their files, and give the combined ETag."""
        parts = [self._part(number, etag) for number, etag in body]
        if not parts:
            raise moto_s3.MalformedXML
        if any(part.contentsize < moto_s3.S3_UPLOAD_PART_MIN_SIZE for part in parts[:-1]):
            raise moto_s3.EntityTooSmall()
        joined = StoredKey.store.new_object_file()
        with joined.open("wb") as target:
            for part in parts:
                with part.file.open("rb") as source:
                    shutil.copyfileobj(source, target, CHUNK)
        digests = b"".join(bytes.fromhex(part.etag.strip('"')) for part in parts)
        etag = f"{hashlib.md5(digests).hexdigest()}-{len(parts)}"
        _current.transaction.incoming = Body(joined, joined.stat().st_size, etag)
        self.dispose()
        return b"", etag, None

    def _part(self, number: int, etag: str) -> StoredKey:
        part = self.parts.get(number)
        if part is None or part.etag.strip('"') != etag.strip('"'):
            raise moto_s3.InvalidPart()
        return part


class StoredS3(moto_s3.S3Backend):
    """moto's S3 that notes which objects a request touched."""

    def get_object(self, *args, **kwargs) -> StoredKey | None:
        key = super().get_object(*args, **kwargs)
        if transaction := getattr(_current, "transaction", None):
            transaction.found = key
        return key

    def put_object(self, bucket_name: str, key_name: str, *args, **kwargs) -> StoredKey:
        _current.transaction.touched.add((bucket_name, key_name))
        return super().put_object(bucket_name, key_name, *args, **kwargs)

    def delete_object(self, bucket_name: str, key_name: str, *args, **kwargs):
        _current.transaction.touched.add((bucket_name, key_name))
        return super().delete_object(bucket_name, key_name, *args, **kwargs)

    def put_object_tagging(self, key, *args, **kwargs):
        if key is not None:
            _current.transaction.touched.add((key.bucket_name, key.name))
        return super().put_object_tagging(key, *args, **kwargs)


class S3:
    """The S3 of one engine."""

    def __init__(self, store: Store, moto_app: Callable) -> None:
        """Put moto's S3 on `store`; `moto_app` is moto's WSGI application."""
        self.store, self._moto = store, moto_app
        StoredKey.store = store
        moto_s3.FakeKey, moto_s3.FakeMultipart = StoredKey, StoredMultipart
        moto_s3.s3_backends.backend = StoredS3
        # One writer at a time: moto's S3 has no locks of its own.
        self._lock = threading.RLock()

    @property
    def backend(self) -> StoredS3:
        return moto_s3.s3_backends[ACCOUNT]["aws"]

    # Serving requests

    def __call__(self, environ: dict, start_response: Callable) -> Iterable[bytes]:
        """Answer one S3 request (WSGI)."""
        _bucket, _, key = environ["PATH_INFO"].lstrip("/").partition("/")
        query = parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
        if environ["REQUEST_METHOD"] == "GET" and key and not set(query) - PLAIN_GET:
            return self._get(environ, start_response)
        try:
            body = self._receive(environ)
        except BadBody as error:
            start_response("400 Bad Request", [("Content-Type", "application/xml")])
            return [ERROR_XML.format(code=error.code, message=error).encode()]
        return self._ask_moto(environ, start_response, body)

    def _receive(self, environ: dict) -> Body | None:
        """Stream an upload's body (object or part) into a file; leave moto an empty one."""
        is_copy = "HTTP_X_AMZ_COPY_SOURCE" in environ
        key = environ["PATH_INFO"].lstrip("/").partition("/")[2]
        query = parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
        if environ["REQUEST_METHOD"] != "PUT" or is_copy or not key or set(query) - PLAIN_PUT:
            return None
        body = write_body(environ, self.store.new_object_file())
        environ["wsgi.input"], environ["CONTENT_LENGTH"] = _Empty(), "0"
        environ.pop("HTTP_CONTENT_MD5", None)
        environ.pop("HTTP_TRANSFER_ENCODING", None)
        environ["HTTP_X_AMZ_CONTENT_SHA256"] = "UNSIGNED-PAYLOAD"
        return body

    def _ask_moto(self, environ: dict, start_response: Callable, body: Body | None):
        with self.transaction(body):
            return list(self._moto(environ, start_response))

    def _get(self, environ: dict, start_response: Callable) -> Iterable[bytes]:
        """GetObject: moto answers HEAD (conditions, versions, headers), the file is streamed."""
        head: dict = {}
        asked = dict(environ, REQUEST_METHOD="HEAD")
        wanted = asked.pop("HTTP_RANGE", None)
        with self.transaction() as mine:
            b"".join(self._moto(asked, lambda s, h, _=None: head.update(status=s, headers=h)))
            if not head["status"].startswith("200"):
                return list(self._moto(environ, start_response))
            file = mine.found.file.open("rb")
        headers = {name.lower(): value for name, value in head["headers"]}
        return send_file(file, headers, wanted, start_response)

    @contextmanager
    def transaction(self, body: Body | None = None) -> Iterator[Transaction]:
        """Moto's changes inside the block are in the index when the block ends."""
        with self._lock:
            _current.transaction = mine = Transaction(incoming=body)
            try:
                yield mine
            finally:
                _current.transaction = None
                for bucket, key in mine.touched:
                    self._index(bucket, key)
                if mine.incoming:  # the request was refused
                    mine.obsolete.append(mine.incoming.file)
                for path in mine.obsolete:
                    path.unlink(missing_ok=True)

    # The index

    def _index(self, bucket: str, key: str) -> None:
        """Write all versions of one object to the store."""
        found = self.backend.buckets.get(bucket)
        versions = found.keys.getlist(key, []) if found else []
        rows = [(bucket, key, str(v.version_id), *_description(v, self.backend)) for v in versions]
        self.store.write_all(
            [
                ("DELETE FROM objects WHERE bucket = ? AND key = ?", [(bucket, key)]),
                ("INSERT INTO objects VALUES (?, ?, ?, ?, ?)", rows),
            ]
        )

    def restore(self) -> None:
        """Rebuild moto's objects from the index (their buckets must be there)."""
        found: dict[tuple[str, str], list[tuple]] = {}
        for bucket, key, *version in self.store.query(
            "SELECT bucket, key, version, file, meta FROM objects ORDER BY rowid"
        ):
            found.setdefault((bucket, key), []).append(version)
        for (bucket, key), versions in found.items():
            if bucket in self.backend.buckets:
                restored = [self._restored(bucket, key, *version) for version in versions]
                self.backend.buckets[bucket].keys.setlist(key, restored)

    def _restored(self, bucket: str, key: str, version: str, file: str | None, meta: str):
        """One version of an object, or the marker of its deletion."""
        known = json.loads(meta)
        moment = datetime.datetime.fromisoformat(known["last_modified"])
        if file is None:
            marker = moto_s3.FakeDeleteMarker(SimpleNamespace(name=key))
            marker._version_id, marker.last_modified = version, moment
            return marker
        body = Body(self.store.object_folder / file, known["size"], known["etag"])
        _current.transaction = Transaction(incoming=body)
        stored = StoredKey(
            name=key,
            bucket_name=bucket,
            value=b"",
            account_id=self.backend.account_id,
            region_name=self.backend.region_name,
            storage=known["storage"],
            is_versioned=self.backend.buckets[bucket].is_versioned,
            version_id=version,
        )
        stored.last_modified = moment
        stored.set_metadata(known["metadata"])
        stored.checksum_algorithm, stored.checksum_value = known["checksum"]
        self.backend.put_object_tagging(stored, known["tags"])
        _current.transaction = None
        return stored

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

    def download(self, uri: str, folder: Path) -> int:
        """Copy every object whose key begins with `uri` below `folder`; return how many.

        As in a SageMaker channel, the names are those below the last ``/`` of the prefix.

        Raises:
            FileNotFoundError: if the bucket does not exist.
        """
        bucket, prefix = split(uri)
        if bucket not in self.backend.buckets:
            raise FileNotFoundError(f"the bucket {bucket} of {uri} does not exist")
        stored = self.backend.buckets[bucket].keys
        wanted = {key: stored[key] for key in list(stored) if key.startswith(prefix)}
        if prefix in wanted:  # a single object
            wanted = {prefix: wanted[prefix]}
        elif (
            prefix and not prefix.endswith("/") and any(k.startswith(prefix + "/") for k in wanted)
        ):
            prefix += "/"
            wanted = {key: item for key, item in wanted.items() if key.startswith(prefix)}
        root = prefix.rpartition("/")[0]
        count = 0
        for key, item in wanted.items():
            if isinstance(item, StoredKey) and not key.endswith("/"):
                _copy_into(item.file, folder, key.removeprefix(root).lstrip("/"))
                count += 1
        return count


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
ERROR_XML = "<Error><Code>{code}</Code><Message>{message}</Message></Error>"


class BadBody(ValueError):
    """The body is not what its headers or checksums say; `code` is S3's for it."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


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


def _description(version, backend: StoredS3) -> tuple[str | None, str]:
    """The index row's file and JSON for one version (a delete marker has no file)."""
    if not isinstance(version, StoredKey):
        return None, json.dumps({"last_modified": version.last_modified.isoformat()})
    meta = {
        "size": version.contentsize,
        "etag": version.etag.strip('"'),
        "last_modified": version.last_modified.isoformat(),
        "metadata": dict(version.metadata),
        "storage": version.storage_class,
        "checksum": [version.checksum_algorithm, version.checksum_value],
        "tags": backend.tagger.get_tag_dict_for_resource(version.arn),
    }
    return version.file.name, json.dumps(meta)


def _copy_into(source: Path, folder: Path, name: str) -> None:
    target = (folder / name).resolve()
    if not target.is_relative_to(folder.resolve()):
        raise ValueError(f"the object name '{name}' points outside the channel")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def write_body(environ: dict, file: Path) -> Body:
    """Write a request's body to `file`, unwrapping ``aws-chunked`` and checking its digests.

    Raises:
        BadBody: if the body is cut short, or differs from a checksum sent with it.
    """
    try:
        return _written(environ, file)
    except BadBody:
        file.unlink()
        raise


def _written(environ: dict, file: Path) -> Body:
    trailers: dict[str, str] = {}
    chunked = "STREAMING" in environ.get("HTTP_X_AMZ_CONTENT_SHA256", "")
    chunks = _aws_chunks(environ, trailers) if chunked else _plain_chunks(environ)
    digests = {name: new() for name, new in CHECKSUMS.items() if new}
    md5, crc, size = hashlib.md5(), 0, 0
    with file.open("wb") as target:
        for chunk in chunks:
            target.write(chunk)
            md5.update(chunk)
            crc = zlib.crc32(chunk, crc)
            size += len(chunk)
            for name in _asked_checksums(environ) & set(digests):
                digests[name].update(chunk)
    actual = {name: digest.digest() for name, digest in digests.items()}
    actual["crc32"] = crc.to_bytes(4, "big")
    for name, value in trailers.items():
        environ["HTTP_" + name.upper().replace("-", "_")] = value
    _compare(environ, actual, md5.digest())
    return Body(file, size, md5.hexdigest())


def _asked_checksums(environ: dict) -> set[str]:
    names = {name.removeprefix("HTTP_X_AMZ_CHECKSUM_").lower() for name in environ}
    names.add(environ.get("HTTP_X_AMZ_TRAILER", "").removeprefix("x-amz-checksum-").lower())
    return names & set(CHECKSUMS)


def _compare(environ: dict, actual: dict[str, bytes], md5: bytes) -> None:
    sent = {"md5": environ.get("HTTP_CONTENT_MD5")}
    sent |= {n: environ.get("HTTP_X_AMZ_CHECKSUM_" + n.upper()) for n in _asked_checksums(environ)}
    for name, value in sent.items():
        found = md5 if name == "md5" else actual[name]
        if value and base64.b64encode(found).decode() != value:
            text = f"The {name} you specified did not match the calculated checksum."
            raise BadBody("BadDigest", text)


def _plain_chunks(environ: dict) -> Iterator[bytes]:
    left = int(environ.get("CONTENT_LENGTH") or 0)
    while left > 0 and (chunk := environ["wsgi.input"].read(min(CHUNK, left))):
        left -= len(chunk)
        yield chunk


def _aws_chunks(environ: dict, trailers: dict[str, str]) -> Iterator[bytes]:
    """Bodies in AWS's own chunked form; `trailers` gets the headers that follow the last chunk."""
    stream = environ["wsgi.input"]
    while size := _chunk_size(stream.readline()):
        while size > 0 and (chunk := stream.read(min(CHUNK, size))):
            size -= len(chunk)
            yield chunk
        if size or stream.readline().strip():
            raise BadBody("IncompleteBody", "The body ends inside a chunk")
    while line := stream.readline().strip().decode():
        name, _, value = line.partition(":")
        trailers[name.strip().lower()] = value.strip()


def _chunk_size(line: bytes) -> int:
    try:
        return int(line.split(b";")[0], 16)
    except ValueError:
        raise BadBody("IncompleteBody", f"{line[:40]!r} is no chunk's size") from None


def send_file(file, headers: dict[str, str], wanted: str | None, start_response: Callable):
    """Answer with an open file, whole or by one byte range (RFC 9110, section 14)."""
    size = int(headers["content-length"])
    first, last, status = 0, size - 1, "200 OK"
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", wanted or "")
    if match and match[0] != "bytes=-":
        if match[1]:
            first = int(match[1])
            last = min(int(match[2]), size - 1) if match[2] else size - 1
        else:
            first = max(0, size - int(match[2]))
        if first >= size or first > last:
            file.close()
            start_response("416 Range Not Satisfiable", [("Content-Type", "application/xml")])
            message = "The requested range is not satisfiable"
            return [ERROR_XML.format(code="InvalidRange", message=message).encode()]
        status = "206 Partial Content"
        headers["content-range"] = f"bytes {first}-{last}/{size}"
        headers = {n: v for n, v in headers.items() if not n.startswith("x-amz-checksum-")}
    headers["content-length"] = str(last - first + 1)
    start_response(status, list(headers.items()))
    return _read(file, first, last - first + 1)


def _read(file, start: int, count: int) -> Iterator[bytes]:
    with file:
        file.seek(start)
        while count > 0 and (chunk := file.read(min(CHUNK, count))):
            count -= len(chunk)
            yield chunk
