"""`retries.py`: which failures of S3 may pass, and how often a request is made again."""

import pytest
from botocore.exceptions import (
    ClientError,
    EndpointConnectionError,
    IncompleteReadError,
    NoCredentialsError,
    ReadTimeoutError,
)

from open_debugger import retries
from open_debugger.retries import may_pass, persistently


def answered(status: int) -> ClientError:
    return ClientError({"ResponseMetadata": {"HTTPStatusCode": status}}, "GetObject")


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (answered(503), True),
        (answered(500), True),
        (answered(429), True),
        (answered(404), False),
        (answered(403), False),
        (EndpointConnectionError(endpoint_url="x"), True),
        (ReadTimeoutError(endpoint_url="x"), True),
        (IncompleteReadError(actual_bytes=1, expected_bytes=2), True),
        (NoCredentialsError(), False),
    ],
)
def test_what_may_pass_is_tried_again_a_few_times(monkeypatch, error, passes):
    monkeypatch.setattr(retries, "PAUSE_S", 0)
    attempts = []

    def fail():
        attempts.append(1)
        raise error

    with pytest.raises(type(error)):
        persistently(fail)
    assert may_pass(error) is passes
    assert len(attempts) == (retries.ATTEMPTS if passes else 1)
    assert persistently(lambda: "there") == "there"
