"""The first DescribeEndpoint after a deployment began waits until the deployment has ended.

Both SDKs ask once, see ``Creating``, and ask again after 30 s, while an endpoint is in service here
after some 4 s. A client that asks every second loses nothing by it.
"""

from __future__ import annotations

import threading

LONGEST_S = 10
MOST = 4  # of the server's threads may wait at a time; further requests are answered at once


class FirstDescribe:
    """Which deployments nobody has asked about yet."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._unasked: dict[str, threading.Event] = {}  # by endpoint
        self._under_way: dict[str, threading.Event] = {}
        self._places = threading.Semaphore(MOST)

    def begins(self, endpoint: str) -> None:
        """A deployment that a client asked for has begun."""
        with self._lock:
            self._unasked[endpoint] = self._under_way[endpoint] = threading.Event()

    def ended(self, endpoint: str) -> None:
        """A deployment has ended, whether or not it succeeded, or its endpoint is deleted."""
        with self._lock:
            self._unasked.pop(endpoint, None)
            if event := self._under_way.pop(endpoint, None):
                event.set()

    def close(self) -> None:
        """Let all go that wait."""
        with self._lock:
            endpoints = list(self._under_way)
        for endpoint in endpoints:
            self.ended(endpoint)

    def wait(self, endpoint: str) -> None:
        """Return when the deployment has ended; at once if somebody asked about it before."""
        with self._lock:
            event = self._unasked.pop(endpoint, None)
        if event and self._places.acquire(blocking=False):
            try:
                event.wait(LONGEST_S)
            finally:
                self._places.release()
