"""The log lines of a job or an endpoint, read from the state folder itself.

So they can be had whether or not an engine runs, also after ``local-sagemaker run --state``. The
database is opened for reading only; it is never locked or changed.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

from local_sagemaker.core.kinds import (
    ENDED,
    ENDPOINT,
    ENDPOINT_LOGS,
    TRAINING_JOB,
    TRAINING_LOGS,
)
from local_sagemaker.core.state_lock import StateError, is_held
from local_sagemaker.core.store import check_version, database

POLL_S = 0.5


def lines(state: Path, name: str) -> Iterator[str]:
    """The lines so far, of all streams in the order of their times.

    Raises:
        StateError: there is no state in the folder, or it cannot be read.
    """
    with _opened(state) as reading:
        yield from reading.after(name, 0)


def followed(state: Path, name: str) -> Iterator[str]:
    """The lines so far and those that come, until the job ends or the endpoint is gone.

    Raises:
        StateError: there is no state in the folder, it cannot be read, or the engine ends first.
    """
    with _opened(state) as reading:
        while True:
            runs, held = reading.runs(name), is_held(state)  # asked first: no line comes later
            yield from reading.after(name, reading.last)
            if not runs:
                return
            if not held:
                raise StateError(f"the engine on {state} has ended before '{name}'")
            time.sleep(POLL_S)


class _Reading:
    """A connection to a state's database, and how far it was read."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection, self.last = connection, 0

    def after(self, name: str, number: int) -> Iterator[str]:
        rows = self.connection.execute(
            "SELECT e.id, e.message FROM log_events e JOIN log_streams s ON s.id = e.stream "
            "WHERE e.id > ? AND (s.log_group = ? OR (s.log_group = ? AND "
            "substr(s.name, 1, length(?)) = ?)) ORDER BY e.timestamp, e.id",
            (number, ENDPOINT_LOGS + name, TRAINING_LOGS, f"{name}/", f"{name}/"),
        )
        for identifier, message in rows:
            self.last = max(self.last, identifier)
            yield message

    def runs(self, name: str) -> bool:
        """Whether a job or an endpoint of this name may still write."""
        for kind in (TRAINING_JOB, ENDPOINT):  # endpoints, too, can end as Failed
            sql = "SELECT body FROM resources WHERE kind = ? AND name = ?"
            for (body,) in self.connection.execute(sql, (kind.stored, name)):
                if json.loads(body)[kind.status_member] not in ENDED:
                    return True
        return False


@contextlib.contextmanager
def _opened(state: Path) -> Iterator[_Reading]:
    file = database(state)
    if not file.exists():
        raise StateError(
            f"{state} holds no state of an engine: name its folder with --state, or start an "
            f"engine (local-sagemaker start --state {state})"
        )
    try:
        address = f"{file.resolve().as_uri()}?mode=ro"
        with contextlib.closing(sqlite3.connect(address, uri=True, timeout=30)) as connection:
            check_version(connection, state)
            yield _Reading(connection)
    except sqlite3.Error as error:
        raise StateError(f"cannot read the database {file}: {error}") from None
