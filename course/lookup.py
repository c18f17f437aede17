"""What an earlier notebook left behind, and which one to run when it is not there."""

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
