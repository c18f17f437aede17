"""moto's S3 classes, with bodies in files and an index in the store.

What a request changes is gathered in a `Transaction`, and written by `service` in one commit
before the answer leaves.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import mmap
import os
import shutil
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import moto.s3.models as moto_s3
import moto.s3.responses as moto_s3_responses
from moto.s3.exceptions import NoSuchUpload

from local_sagemaker.aws.s3 import checksums
from local_sagemaker.aws.s3.bodies import CHUNK, Body, cut_body
from local_sagemaker.core.locks import OrderedLock
from local_sagemaker.core.store import Store


@dataclass
class Transaction:
    """What the current request brings along, finds, changes and makes superfluous."""

    incoming: Body | None = None
    found: StoredKey | None = None
    touched: set[tuple[str, str]] = field(default_factory=set)  # bucket and key
    uploads: set[tuple[str, str]] = field(default_factory=set)  # bucket and upload
    writes: list[tuple[str, list]] = field(default_factory=list)  # besides the index of `touched`
    created: list[Path] = field(default_factory=list)
    obsolete: list[Path] = field(default_factory=list)
    failure: OSError | None = None  # that moto would turn into an answer of its own


_current = threading.local()


def current() -> Transaction | None:
    """The transaction of the request that this thread performs."""
    return getattr(_current, "transaction", None)


@contextlib.contextmanager
def performing(transaction: Transaction):
    """Make `transaction` the current one."""
    _current.transaction = transaction
    try:
        yield transaction
    finally:
        _current.transaction = None


@contextlib.contextmanager
def creating():
    """A new file for a body; if it cannot be written, the request fails as a whole."""
    file = StoredKey.store.new_object_file()
    current().created.append(file)
    try:
        yield file
    except OSError as error:
        current().failure = error
        raise


class Mapped(mmap.mmap):
    """A body as bytes, of which only what is looked at is in memory; knows its `file`."""

    file: Path
    md5: str

    def __iter__(self) -> Iterator[bytes]:
        """In chunks, as a server sends it."""
        return (self[start : start + CHUNK] for start in range(0, len(self), CHUNK))


class StoredKey(moto_s3.FakeKey):
    """moto's object (or part of an upload) with its body in a file of the store."""

    store: Store  # set once by install()

    @property
    def value(self) -> bytes | Mapped:
        """The body, for moto to copy from or to look into."""
        if not self.size:
            return b""
        with self.file.open("rb") as stored:
            mapped = Mapped(stored.fileno(), 0, access=mmap.ACCESS_READ)
        mapped.file, mapped.md5 = self.file, self._md5
        return mapped

    @value.setter
    def value(self, content: bytes | Mapped) -> None:
        body = None if len(content) else current().incoming  # moto was given an empty one
        if body:
            current().incoming = None
        body = body or self._copied(content)
        self._value_buffer = None
        self.file, self.contentsize, self._md5 = body.file, body.size, body.md5
        self._etag = self._etag or body.md5

    def _copied(self, content: bytes | Mapped) -> Body:
        with creating() as file:
            if not isinstance(content, Mapped):
                file.write_bytes(content)
                return Body(file, len(content), hashlib.md5(content).hexdigest())
            try:
                os.link(content.file, file)  # bodies never change
            except OSError:  # no links here
                shutil.copyfile(content.file, file)
        md5 = content.md5
        if "-" in md5:  # of an object that was uploaded in parts
            with file.open("rb") as copied:
                md5 = hashlib.file_digest(copied, "md5").hexdigest()
        return Body(file, len(content), md5)

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
        transaction = current()
        if not garbage and transaction and not self.disposed:
            transaction.obsolete.append(self.file)
            self.disposed = True


class StoredMultipart(moto_s3.FakeMultipart):
    """moto's multipart upload, joined file by file instead of in memory."""

    def description(self) -> dict:
        """What its row in the index says, besides its parts."""
        return {
            "key": self.key_name,
            "metadata": dict(self.metadata),
            "storage": self.storage,
            "tags": self.tags,
            "acl": grants(self.acl),
            "encryption": self.sse_encryption,
            "kms_key_id": self.kms_key_id,
        }

    def complete(self, body: Iterable[tuple[int, str]]) -> tuple[bytes, str, None]:
        """Check the named parts as S3 does, join their files, and give the combined ETag."""
        parts = [self._part(number, etag) for number, etag in body]
        if not parts:
            raise moto_s3.MalformedXML
        if any(part.contentsize < moto_s3.S3_UPLOAD_PART_MIN_SIZE for part in parts[:-1]):
            raise moto_s3.EntityTooSmall()
        with creating() as joined, joined.open("wb") as target:
            for part in parts:
                with part.file.open("rb") as source:
                    shutil.copyfileobj(source, target, CHUNK)
        digests = b"".join(bytes.fromhex(part.etag.strip('"')) for part in parts)
        etag = f"{hashlib.md5(digests).hexdigest()}-{len(parts)}"
        current().incoming = Body(joined, joined.stat().st_size, etag)
        return b"", etag, None

    def _part(self, number: int, etag: str) -> StoredKey:
        part = self.parts.get(number)
        if part is None or part.etag.strip('"') != etag.strip('"'):
            raise moto_s3.InvalidPart()
        return part


class StoredS3(moto_s3.S3Backend):
    """moto's S3 that notes what a request touched."""

    def get_object(self, *args, **kwargs) -> StoredKey | None:
        key = super().get_object(*args, **kwargs)
        if transaction := current():
            transaction.found = key
        return key

    def put_object(self, bucket_name: str, key_name: str, *args, **kwargs) -> StoredKey:
        current().touched.add((bucket_name, key_name))
        kwargs["multipart"] = None  # its parts are of no more use, and their files go
        key = super().put_object(bucket_name, key_name, *args, **kwargs)
        self.tagger.delete_all_tags_for_resource(key.arn)  # of the object that was there before
        return key

    def copy_object(self, src_key: StoredKey, bucket_name: str, key_name: str, *args, **kwargs):
        tags = self.tagger.list_tags_for_resource(src_key.arn)["Tags"]
        super().copy_object(src_key, bucket_name, key_name, *args, **kwargs)
        copy = self.buckets[bucket_name].keys[key_name]
        self.tagger.tag_resource(copy.arn, tags)  # a copy onto itself lost them

    def put_object_tagging(self, key, *args, **kwargs):
        if key is not None and current():
            current().touched.add((key.bucket_name, key.name))
        return super().put_object_tagging(key, *args, **kwargs)

    # Multipart uploads

    def create_multipart_upload(self, bucket_name: str, *args, **kwargs) -> StoredMultipart:
        upload = super().create_multipart_upload(bucket_name, *args, **kwargs)
        row = (upload.id, bucket_name, json.dumps(upload.description()))
        self._note(bucket_name, upload.id, "INSERT INTO uploads VALUES (?, ?, ?)", row)
        return upload

    def upload_part(self, bucket_name: str, multipart_id: str, part_id: int, value) -> StoredKey:
        part = super().upload_part(bucket_name, multipart_id, part_id, value)
        self._note_part(bucket_name, multipart_id, part_id, part)
        return part

    def upload_part_copy(
        self,
        dest_bucket_name: str,
        multipart_id: str,
        part_id: int,
        src_bucket_name: str,
        src_key_name: str,
        src_version_id: str | None,
        start_byte: int | None,
        end_byte: int | None,
    ) -> StoredKey:
        """Copy from file to file; moto would read the bytes."""
        source = self.get_object(src_bucket_name, src_key_name, version_id=src_version_id)
        start = start_byte or 0
        count = source.size - start if end_byte is None else end_byte + 1 - start
        with creating() as file:
            current().incoming = cut_body(source.file, start, count, file)
        return self.upload_part(dest_bucket_name, multipart_id, part_id, b"")

    def complete_multipart_upload(self, bucket_name: str, multipart_id: str, body):
        if multipart_id not in self.get_bucket(bucket_name).multiparts:
            raise NoSuchUpload(upload_id=multipart_id)
        key = super().complete_multipart_upload(bucket_name, multipart_id, body)
        self._note_end(bucket_name, multipart_id)
        return key

    def abort_multipart_upload(self, bucket_name: str, multipart_id: str) -> None:
        super().abort_multipart_upload(bucket_name, multipart_id)
        self._note_end(bucket_name, multipart_id)

    def delete_bucket(self, bucket_name: str):
        found = self.buckets.get(bucket_name)
        deleted = super().delete_bucket(bucket_name)
        if deleted and current():  # not when it is replayed
            for multipart_id in list(found.multiparts):
                del found.multiparts[multipart_id]
                self._note_end(bucket_name, multipart_id)
        return deleted

    def _note_part(self, bucket: str, upload: str, number: int, part: StoredKey) -> None:
        meta = json.dumps(
            {
                "size": part.contentsize,
                "etag": part.etag.strip('"'),
                "last_modified": part.last_modified.isoformat(),
            }
        )
        row = (upload, number, part.file.name, meta)
        self._note(bucket, upload, "INSERT OR REPLACE INTO parts VALUES (?, ?, ?, ?)", row)

    def _note_end(self, bucket: str, upload: str) -> None:
        self._note(bucket, upload, "DELETE FROM parts WHERE upload = ?", (upload,))
        self._note(bucket, upload, "DELETE FROM uploads WHERE id = ?", (upload,))

    def _note(self, bucket: str, upload: str, sql: str, row: tuple) -> None:
        current().uploads.add((bucket, upload))
        current().writes.append((sql, [row]))


def _touching(name: str):
    """An operation on one object that also notes which."""
    original = getattr(moto_s3.S3Backend, name)

    def operation(self, bucket_name: str, key_name: str, *args, **kwargs):
        current().touched.add((bucket_name, key_name))
        return original(self, bucket_name, key_name, *args, **kwargs)

    return operation


for _name in (
    "delete_object",
    "delete_object_tagging",
    "put_object_acl",
    "put_object_legal_hold",
    "put_object_retention",
):
    setattr(StoredS3, _name, _touching(_name))


_metrics = moto_s3.S3Backend.get_cloudwatch_metrics


def install(store: Store, lock: OrderedLock) -> None:
    """Put moto's S3 on `store`; `lock` is held while its CloudWatch looks at the buckets."""

    def metrics(account_id: str, region: str) -> list:
        with lock:
            return _metrics(account_id, region)

    moto_s3.S3Backend.get_cloudwatch_metrics = staticmethod(metrics)
    StoredKey.store = store
    for module in (moto_s3, moto_s3_responses):
        module.compute_checksum = checksums.compute
    moto_s3.FakeKey, moto_s3.FakeMultipart = StoredKey, StoredMultipart
    moto_s3.s3_backends.backend = StoredS3


def grants(acl: moto_s3.FakeAcl | None) -> list | None:
    """An access control list as JSON: pairs of grantees and permissions."""
    if acl is None:
        return None
    return [
        [[[g.id, g.uri, g.display_name] for g in grant.grantees], grant.permissions]
        for grant in acl.grants
    ]
