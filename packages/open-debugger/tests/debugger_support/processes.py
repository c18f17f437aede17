"""Waiting for conditions, and finding processes."""

from __future__ import annotations

import time

import psutil


def wait_until(condition, limit: float = 30):
    """Wait for a true value of `condition()` and return it."""
    deadline = time.monotonic() + limit
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not so within {limit} s"
        time.sleep(0.03)
    return value


def processes_with(text: str) -> list[psutil.Process]:
    """All live processes whose command line contains `text`."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        words = " ".join(process.info["cmdline"] or [])
        if text in words and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(process)
    return found
