"""Requests to S3 that are made again after failures which may pass.

A rule is evaluated for good at a job's end: one object that does not come then would put it into
Error, or leave a part of the run out.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, IncompleteReadError
from botocore.exceptions import ConnectionError as NoConnection

T = TypeVar("T")
ATTEMPTS, PAUSE_S = 4, 1.0  # of a request, and the first pause between two
THROTTLED = 429


def persistently(action: Callable[[], T]) -> T:
    """Return what `action` returns; do it again after failures that may pass.

    Raises:
        BotoCoreError, ClientError: the last one's, or one that will not pass.
    """
    for attempt in range(ATTEMPTS - 1):
        try:
            return action()
        except (BotoCoreError, ClientError) as error:
            if not may_pass(error):
                raise
        time.sleep(PAUSE_S * 2**attempt)
    return action()


def may_pass(error: Exception) -> bool:
    """Whether the same request may succeed a moment later."""
    if isinstance(error, ClientError):
        status = error.response["ResponseMetadata"].get("HTTPStatusCode", 0)
        return status >= 500 or status == THROTTLED
    return isinstance(error, HTTPClientError | NoConnection | IncompleteReadError)
