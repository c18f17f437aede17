"""Error answers in AWS's form."""

from __future__ import annotations


class ApiError(Exception):
    """An error answer in AWS's form: a code, a message and an HTTP status."""

    def __init__(self, code: str, message: str, status: int = 400, **members) -> None:
        super().__init__(message)
        self.code, self.message, self.status, self.members = code, message, status, members


def invalid(message: str) -> ApiError:
    return ApiError("ValidationException", message)
