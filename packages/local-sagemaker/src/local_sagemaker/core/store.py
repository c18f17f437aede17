"""What the engine remembers: one SQLite database and a folder of object bodies.

Every write is committed before the request that caused it is answered, so a killed engine
finds at its next start whatever it had acknowledged. The write-ahead log survives the death of
the process; only a crash of the operating system may cost the last moments.

Tables
    resources    SageMaker's own resources, one JSON description each
    objects      the index of S3 objects; the bodies are files under ``objects/``
    uploads      multipart uploads that are neither completed nor aborted
    parts        their parts; the bodies lie beside those of the objects
    journal      small AWS requests (buckets, roles, ...) to be replayed into moto at start
    log_streams  the streams of CloudWatch Logs
    log_events   their lines
    metrics      CloudWatch metrics
"""

from __future__ import annotations

import errno
import json
import sqlite3
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from local_sagemaker.core import access_key, shell_path
from local_sagemaker.core.locks import OrderedLock
from local_sagemaker.core.state_files import DATABASE, OBJECTS
from local_sagemaker.core.state_lock import StateError, hold, release

VERSION = 1  # of the schema; raise it with each change of a table or of what a column holds
SCHEMA = """
CREATE TABLE resources (
    kind TEXT, name TEXT, created REAL, body TEXT, PRIMARY KEY (kind, name));
CREATE TABLE objects (
    bucket TEXT, key TEXT, version TEXT, file TEXT, meta TEXT,
    PRIMARY KEY (bucket, key, version));
CREATE TABLE uploads (id TEXT PRIMARY KEY, bucket TEXT, meta TEXT);
CREATE TABLE parts (
    upload TEXT, number INTEGER, file TEXT, meta TEXT, PRIMARY KEY (upload, number));
CREATE TABLE journal (
    id INTEGER PRIMARY KEY, moment REAL, seed INTEGER,
    method TEXT, path TEXT, query TEXT, headers TEXT, body BLOB);
CREATE TABLE log_streams (
    id INTEGER PRIMARY KEY, log_group TEXT, name TEXT, created INTEGER,
    ingested INTEGER, bytes INTEGER DEFAULT 0, UNIQUE (log_group, name));
CREATE TABLE log_events (
    id INTEGER PRIMARY KEY, stream INTEGER, timestamp INTEGER, ingested INTEGER, message TEXT);
CREATE INDEX log_events_in_time ON log_events (stream, timestamp, id);
CREATE TABLE metrics (
    id INTEGER PRIMARY KEY, namespace TEXT, name TEXT, dimensions TEXT,
    timestamp REAL, value REAL, unit TEXT, statistics TEXT);
CREATE INDEX metrics_in_time ON metrics (namespace, name, timestamp);
"""
NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
# How SQLite tells it: of the database, of its log, and of the memory that it shares in a file.
FULL = {
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR_WRITE,
    sqlite3.SQLITE_IOERR_FSYNC,
    sqlite3.SQLITE_IOERR_TRUNCATE,
    sqlite3.SQLITE_IOERR_SHMSIZE,
}


def is_disk_full(error: BaseException) -> bool:
    """Whether `error`, of a file or of the database, says that there is no room left."""
    if isinstance(error, sqlite3.OperationalError):
        return error.sqlite_errorcode in FULL
    return isinstance(error, OSError) and error.errno in NO_SPACE


def database(folder: Path) -> Path:
    """The database of the state in `folder`."""
    return folder / DATABASE


def check_version(connection: sqlite3.Connection, folder: Path) -> None:
    """Refuse the database of `folder` if another version's schema is in it.

    Raises:
        StateError: it is.
    """
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version != VERSION:
        raise StateError(
            f"{folder} was written by another version of local_sagemaker (its schema is "
            f"{version}, this one's is {VERSION}). Nothing was changed: use that version, name "
            "another folder with --state, or remove this one (local-sagemaker clean --all)"
        )


@dataclass
class _Transaction:
    """The outermost transaction under way: why it cannot be kept, and what follows its commit."""

    failure: sqlite3.Error | None = None
    afterwards: list[Callable[[], None]] = field(default_factory=list)

    @contextmanager
    def noting_failure(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            self.failure = error
            raise


class Store:
    """The database and the object files below one state folder, held by one process at a time."""

    def __init__(self, folder: Path) -> None:
        """Open (or create) the state in `folder`.

        Raises:
            StateInUse: if another engine holds the folder.
            StateError: if it cannot be written, is of another version, or is damaged.
        """
        self.folder = folder.resolve()
        self.object_folder = self.folder / OBJECTS
        self.lock = OrderedLock("store")  # held over what must be read and written as one
        self._current: _Transaction | None = None
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # for its owner alone
            self.object_folder.mkdir(mode=0o700, exist_ok=True)
            self._held = hold(self.folder)
        except OSError as error:
            raise StateError(
                f"cannot write to the state folder {self.folder}: {error.strerror or error}; "
                "name another one with --state"
            ) from None
        try:
            self._open()
            self.access_key = self._access_key()
            self.folder = self._quotable()
        except BaseException:
            release(self._held)
            raise

    def _open(self) -> None:
        file = database(self.folder)
        try:
            # A job may print its access key into its log; the files beside it get this mode.
            file.touch(mode=0o600)
            file.chmod(0o600)
            # Transactions are begun and ended here, not by Python's guess.
            self._db = sqlite3.connect(file, check_same_thread=False, isolation_level=None)
            try:
                self._prepare()
            except BaseException:
                self._db.close()
                raise
        except (OSError, sqlite3.Error) as error:
            if is_disk_full(error):
                raise
            raise StateError(
                f"cannot open the database {file}: {error}. Nothing was changed: put back a copy "
                "of it, or name another folder with --state"
            ) from None

    def _access_key(self) -> access_key.AccessKey:
        try:
            return access_key.make(self.folder)
        except (OSError, access_key.NoAccessKey) as error:
            self._db.close()
            raise StateError(str(error)) from None

    def _quotable(self) -> Path:
        try:
            return shell_path.path(self.folder)
        except OSError as error:
            self._db.close()
            raise StateError(str(error)) from None

    def _prepare(self) -> None:
        is_new = not self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if not is_new:
            check_version(self._db, self.folder)
        if is_new and any(self.object_folder.iterdir()):
            raise StateError(
                f"{self.folder} has object files but its database state.db is missing or empty. "
                "Nothing was changed: put back a copy of it, or name another folder with --state"
            )
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        if is_new:
            self._db.executescript(f"BEGIN; {SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;")
        self._remove_unreferenced_files()

    def _remove_unreferenced_files(self) -> None:
        """Bodies of uploads that were never acknowledged, left by a killed engine."""
        rows = self.query("SELECT file FROM objects UNION ALL SELECT file FROM parts")
        known = {row[0] for row in rows}
        for path in self.object_folder.iterdir():
            if path.name not in known:
                path.unlink()

    def close(self) -> None:
        with self.lock:
            self._db.close()
        shell_path.forget(self.folder)
        release(self._held)

    def query(self, sql: str, arguments: Iterable = ()) -> list[tuple]:
        with self.lock:
            return self._db.execute(sql, tuple(arguments)).fetchall()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All writes inside the block are kept when it ends, or, if it raises, none of them."""
        with self.lock:
            if self._current:  # part of a larger one
                with self._current.noting_failure():
                    yield
                return
            self._current = current = _Transaction()
            try:
                with current.noting_failure():
                    self._db.execute("BEGIN")
                    yield
                if current.failure:  # of a part, whose caller went on
                    raise current.failure
                self._db.execute("COMMIT")
            finally:
                self._current = None
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
            for action in current.afterwards:
                action()

    def after_commit(self, action: Callable[[], None]) -> None:
        """Call `action` when the outermost transaction is committed; never, if it is not."""
        with self.lock:
            self._current.afterwards.append(action) if self._current else action()

    def write(self, sql: str, rows: Iterable[Iterable]) -> None:
        """Execute `sql` once for each of `rows`, in one transaction."""
        self.write_all([(sql, rows)])

    def write_all(self, writes: Iterable[tuple[str, Iterable[Iterable]]]) -> None:
        """Several `write`s of which all are kept, or none."""
        with self.transaction():
            for sql, rows in writes:
                if self._current.failure:  # SQLite may have ended the transaction by itself
                    raise self._current.failure
                self._db.executemany(sql, rows)

    def new_object_file(self) -> Path:
        return self.object_folder / uuid.uuid4().hex

    def vacuum(self) -> None:
        """Give the room of deleted rows back to the file system."""
        with self.lock:
            self._db.execute("VACUUM")
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    # Resources

    def put(self, kind: str, name: str, body: dict) -> None:
        self.write(
            "INSERT INTO resources VALUES (?, ?, ?, ?) "
            "ON CONFLICT (kind, name) DO UPDATE SET body = excluded.body",
            [(kind, name, body["CreationTime"], json.dumps(body))],
        )

    def get(self, kind: str, name: str) -> dict | None:
        rows = self.query("SELECT body FROM resources WHERE kind = ? AND name = ?", (kind, name))
        return json.loads(rows[0][0]) if rows else None

    def update(self, kind: str, name: str, **changes) -> dict:
        """Set members of a resource's description and return it whole."""
        with self.lock:
            body = self.get(kind, name)
            if body is None:
                raise KeyError(f"{kind} {name}")
            body.update(changes)
            self.put(kind, name, body)
        return body

    def remove(self, kind: str, name: str) -> None:
        self.write("DELETE FROM resources WHERE kind = ? AND name = ?", [(kind, name)])

    def all(self, kind: str) -> list[dict]:
        """Descriptions of one kind, oldest first."""
        rows = self.query("SELECT body FROM resources WHERE kind = ? ORDER BY created", (kind,))
        return [json.loads(row[0]) for row in rows]
