"""What an earlier notebook left behind, and which one to run when it is not there."""

import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")


class MissingStep(RuntimeError):
    """An earlier notebook has not been run on this bucket or account; the text names it."""


def require(found: Found | None, what: str, notebook: str) -> Found:
    """`found`, unless it is empty.

    Raises:
        MissingStep: naming `what` is missing and the `notebook` that makes it.
    """
    if not found:
        raise MissingStep(f"{what} is not there yet: run notebook {notebook} first")
    return found


def until(ask: Callable[[], Found | None], limit_s: float = 1800, pause_s: float = 3) -> Found:
    """Ask again and again, until the answer is not None.

    Raises:
        TimeoutError: it was None for `limit_s` seconds.
    """
    deadline = time.monotonic() + limit_s
    while (found := ask()) is None:
        if time.monotonic() > deadline:
            raise TimeoutError(f"no answer within {limit_s} s: look at the job in the console")
        time.sleep(pause_s)
    return found
