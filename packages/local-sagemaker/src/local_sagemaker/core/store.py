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
import fcntl
import json
import sqlite3
import threading
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from local_sagemaker.core import access_key, shell_path

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


class StateError(RuntimeError):
    """The state folder cannot be used; the text says why and what to do. Nothing was changed."""


class StateInUse(StateError):
    """Another engine holds this state folder."""


def is_disk_full(error: BaseException) -> bool:
    """Whether `error`, of a file or of the database, says that there is no room left."""
    if isinstance(error, sqlite3.OperationalError):
        return error.sqlite_errorcode in {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE}
    return isinstance(error, OSError) and error.errno in NO_SPACE


def hold(folder: Path) -> IO[str]:
    """Hold the state in `folder` for this process, until the file that is returned is closed.

    Raises:
        StateInUse: if another process holds it.
        OSError: if the folder cannot be written.
    """
    held = (folder / "engine.lock").open("w")
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        held.close()
        raise StateInUse(
            f"{folder} is in use by a running engine: stop that one "
            "(local-sagemaker stop) or name another folder with --state"
        ) from None
    return held


def is_held(folder: Path) -> bool:
    """Whether a process holds the state in `folder`."""
    try:
        with (folder / "engine.lock").open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


class Store:
    """The database and the object files below one state folder, held by one process at a time."""

    def __init__(self, folder: Path) -> None:
        """Open (or create) the state in `folder`.

        Raises:
            StateInUse: if another engine holds the folder.
            StateError: if it cannot be written, is of another version, or is damaged.
        """
        self.folder = folder.resolve()
        self.object_folder = self.folder / "objects"
        self.lock = threading.RLock()  # held over what must be read and written as one
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
            self._held.close()
            raise

    def _open(self) -> None:
        file = self.folder / "state.db"
        try:
            # Logs may hold the access key; the files beside it get the mode of this one.
            file.touch(mode=0o600)
            file.chmod(0o600)
            # Transactions are begun and ended here, not by Python's guess.
            self._db = sqlite3.connect(file, check_same_thread=False, isolation_level=None)
            try:
                self._prepare()
            except BaseException:
                self._db.close()
                raise
        except (sqlite3.Error, OSError) as error:
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
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        is_new = not self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if version != VERSION and not is_new:
            raise StateError(
                f"{self.folder} was written by another version of local_sagemaker (its schema is "
                f"{version}, this one's is {VERSION}). Nothing was changed: use that version, name "
                "another folder with --state, or remove this one (local-sagemaker clean --all)"
            )
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
        self._held.close()

    def query(self, sql: str, arguments: Iterable = ()) -> list[tuple]:
        with self.lock:
            return self._db.execute(sql, tuple(arguments)).fetchall()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All writes inside the block are kept when it ends, or, if it raises, none of them."""
        with self.lock:
            if self._db.in_transaction:  # part of a larger one
                yield
                return
            self._db.execute("BEGIN")
            try:
                yield
                self._db.execute("COMMIT")
            finally:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")

    def write(self, sql: str, rows: Iterable[Iterable]) -> None:
        """Execute `sql` once for each of `rows`, in one transaction."""
        self.write_all([(sql, rows)])

    def write_all(self, writes: Iterable[tuple[str, Iterable[Iterable]]]) -> None:
        """Several `write`s of which all are kept, or none."""
        with self.transaction():
            for sql, rows in writes:
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
