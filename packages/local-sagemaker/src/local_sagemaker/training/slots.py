"""A fair share of the machine: how many jobs run at a time."""

from __future__ import annotations

import threading
from collections import deque


class Slots:
    """As many jobs at a time as the machine has cores; the others wait in order."""

    def __init__(self, count: int) -> None:
        self.count, self.used = count, 0
        self._waiting: deque[object] = deque()
        self._changed = threading.Condition()

    def acquire(self, cancelled: threading.Event) -> bool:
        """Wait for a slot; False if `cancelled` was set first."""
        ticket = object()
        with self._changed:
            self._waiting.append(ticket)
            while not cancelled.is_set():
                if self._waiting[0] is ticket and self.used < self.count:
                    self._waiting.popleft()
                    self.used += 1
                    self._changed.notify_all()
                    return True
                self._changed.wait(timeout=0.2)
            self._waiting.remove(ticket)
            return False

    def release(self) -> None:
        with self._changed:
            self.used -= 1
            self._changed.notify_all()
