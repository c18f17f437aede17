"""The engine's locks, and the one order in which a thread may take them.

A thread that holds a lock takes only those that stand after it here:

1. ``moto``: what moto remembers besides S3 (logs, metrics, roles).
2. ``s3``: moto's S3 and its index. It is held while an upload is joined, which may take minutes.
3. ``store``: the database. Whoever holds it reads or writes rows, and waits for nothing else.

So no two threads wait for each other. A thread that takes them in another order gets an error at
once, in tests as in use, and not a deadlock some day. Locks of a single job, rule or endpoint are
held for short steps; within them `store` may be taken, and no other of these.
"""

from __future__ import annotations

import threading

ORDER = ("moto", "s3", "store")


class LockOrderError(RuntimeError):
    """A thread takes a lock that it may not wait for while it holds another one."""


class _Held(threading.local):
    def __init__(self) -> None:
        self.names: list[str] = []  # in the order in which this thread took them


_held = _Held()


class OrderedLock:
    """A reentrant lock of one of the names in `ORDER`."""

    def __init__(self, name: str) -> None:
        self.name, self._lock = name, threading.RLock()

    def __enter__(self) -> None:
        later = ORDER[ORDER.index(self.name) + 1 :]
        wrong = [name for name in _held.names if name in later]
        if wrong and self.name not in _held.names:
            raise LockOrderError(f"'{self.name}' is taken by a thread that holds '{wrong[0]}'")
        self._lock.acquire()
        _held.names.append(self.name)

    def __exit__(self, *_) -> None:
        _held.names.remove(self.name)
        self._lock.release()
