"""Requests of boto3's waiters are answered when what they wait for has come, or after ten seconds.

A waiter asks again after 30 s for an endpoint and after 120 s for a training job, while both take
some seconds here. botocore marks a waiter's requests in their ``User-Agent``, so that nobody else
waits. (The SageMaker SDKs use no waiters: they sleep before they ask for the first time.)
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from contextvars import ContextVar

LONGEST_S = 10
POLL_S = 0.1
MOST = 4  # of the server's threads may wait at a time; further requests are answered at once
# The features that a request uses, one or two characters each; B is botocore's for a waiter.
FEATURE = re.compile(r"(?:^| )m/(?:\S*,)?B(?:,| |$)")

_asks: ContextVar[bool] = ContextVar("asks", default=False)
_places = threading.Semaphore(MOST)


def note(user_agent: str) -> None:
    """Keep, for the request that this thread answers, whether a waiter sent it."""
    _asks.set(FEATURE.search(user_agent) is not None)


def hold(has_come: Callable[[], bool]) -> None:
    """If a waiter asks, return when `has_come` is true, after ten seconds at the latest."""
    if not _asks.get() or not _places.acquire(blocking=False):
        return
    try:
        deadline = time.monotonic() + LONGEST_S
        while not has_come() and time.monotonic() < deadline:
            time.sleep(POLL_S)
    finally:
        _places.release()
