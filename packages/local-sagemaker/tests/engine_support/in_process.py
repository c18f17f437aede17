"""An engine in the test's own process, for faults that only its own objects can be made to show."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine_support.clients import Clients
from local_sagemaker.core import state_files
from local_sagemaker.server import Engine
from local_sagemaker.wsgi import create_server


@contextmanager
def engine_here(state: Path) -> Iterator[Clients]:
    """Clients of an engine of this process; `engine` is the engine itself."""
    (state / state_files.INCOMING).mkdir(parents=True, exist_ok=True)
    holder: dict = {}
    server = create_server(
        lambda *asked: holder["engine"](*asked),
        0,
        state / state_files.INCOMING,
        lambda environ: holder["engine"].admission.refused_by_head(environ),
    )
    try:
        url = f"http://127.0.0.1:{server.effective_port}"
        holder["engine"] = engine = Engine(state, url)
        threading.Thread(target=server.run, daemon=True).start()
        clients = Clients(url, engine.store.access_key)
        clients.engine, clients.state = engine, state
        try:
            yield clients
        finally:
            engine.close()
    finally:
        server.close()


class FullAt:
    """A database connection that has no room for one of the statements that write.

    SQLite may or may not roll the whole transaction back by itself then: `rolls_back`.
    """

    READING = ("SELECT", "PRAGMA", "ROLLBACK")

    def __init__(self, real: sqlite3.Connection, rolls_back: bool) -> None:
        self.real, self.rolls_back = real, rolls_back
        self.writes: list[str] = []  # since `fail_at` or `count`
        self.failing: int | None = None
        self.full: str | None = None  # all statements that begin so fail

    def count(self) -> None:
        """From now on nothing fails; `writes` is begun anew."""
        self.writes, self.failing = [], None

    def fail_at(self, number: int) -> None:
        """The next statements that write succeed but for the one of this number."""
        self.writes, self.failing = [], number

    def _note(self, sql: str) -> None:
        if sql.lstrip().startswith(self.READING):
            return
        self.writes.append(sql)
        counted_out = self.failing is not None and len(self.writes) - 1 == self.failing
        if counted_out or (self.full and sql.startswith(self.full)):
            if self.rolls_back and self.real.in_transaction:
                self.real.execute("ROLLBACK")
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise error

    def execute(self, sql: str, *arguments):
        self._note(sql)
        return self.real.execute(sql, *arguments)

    def executemany(self, sql: str, rows):
        self._note(sql)
        return self.real.executemany(sql, rows)

    def __getattr__(self, name: str):
        return getattr(self.real, name)
