"""What the engine remembers: one SQLite database and a folder of object bodies.

Every write is committed before the request that caused it is answered, so a killed engine
finds at its next start whatever it had acknowledged. The write-ahead log survives the death of
the process; only a crash of the operating system may cost the last moments.

Tables
    resources   SageMaker's own resources, one JSON description each
    objects     the index of S3 objects; the bodies are files under ``objects/``
    journal     small AWS requests (buckets, roles, ...) to be replayed into moto at start
    log_events  CloudWatch Logs of jobs and endpoints
    metrics     CloudWatch metrics of jobs and endpoints
"""

from __future__ import annotations

import fcntl
import json
import sqlite3
import threading
import uuid
from collections.abc import Iterable
from pathlib import Path

SCHEMA = """
CREATE TABLE IF NOT EXISTS resources (
    kind TEXT, name TEXT, created REAL, body TEXT, PRIMARY KEY (kind, name));
CREATE TABLE IF NOT EXISTS objects (
    bucket TEXT, key TEXT, version TEXT, file TEXT, meta TEXT,
    PRIMARY KEY (bucket, key, version));
CREATE TABLE IF NOT EXISTS journal (
    id INTEGER PRIMARY KEY, method TEXT, path TEXT, query TEXT, headers TEXT, body BLOB);
CREATE TABLE IF NOT EXISTS log_events (
    id INTEGER PRIMARY KEY, log_group TEXT, stream TEXT, timestamp INTEGER, message TEXT);
CREATE TABLE IF NOT EXISTS metrics (
    id INTEGER PRIMARY KEY, namespace TEXT, name TEXT, dimensions TEXT,
    timestamp REAL, value REAL, unit TEXT);
"""


class StateInUse(RuntimeError):
    """Another engine holds this state folder."""


class Store:
    """The database and the object files below one state folder, held by one process at a time."""

    def __init__(self, folder: Path) -> None:
        """Open (or create) the state in `folder`.

        Raises:
            StateInUse: if another engine holds the folder.
        """
        self.folder = folder.resolve()
        self.object_folder = self.folder / "objects"
        self.object_folder.mkdir(parents=True, exist_ok=True)
        self._hold()
        self.lock = threading.RLock()  # held over what must be read and written as one
        self._db = sqlite3.connect(self.folder / "state.db", check_same_thread=False)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.executescript(SCHEMA)
        self._remove_unreferenced_files()

    def _hold(self) -> None:
        self._held = (self.folder / "engine.lock").open("w")
        try:
            fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise StateInUse(
                f"{self.folder} is in use by a running engine: stop that one "
                "(local-sagemaker stop) or name another folder with --state"
            ) from None

    def _remove_unreferenced_files(self) -> None:
        """Bodies of uploads that were never acknowledged, left by a killed engine."""
        known = {row[0] for row in self.query("SELECT file FROM objects")}
        for path in self.object_folder.iterdir():
            if path.name not in known:
                path.unlink()

    def close(self) -> None:
        with self.lock:
            self._db.close()
        self._held.close()

    def query(self, sql: str, arguments: Iterable = ()) -> list[tuple]:
        with self.lock:
            return self._db.execute(sql, tuple(arguments)).fetchall()

    def write(self, sql: str, rows: Iterable[Iterable]) -> None:
        """Execute `sql` once for each of `rows`, in one transaction."""
        self.write_all([(sql, rows)])

    def write_all(self, writes: Iterable[tuple[str, Iterable[Iterable]]]) -> None:
        """Several `write`s of which all are kept, or none."""
        with self.lock, self._db:
            for sql, rows in writes:
                self._db.executemany(sql, rows)

    def new_object_file(self) -> Path:
        return self.object_folder / uuid.uuid4().hex

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
