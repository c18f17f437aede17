"""The record of a run's requests, as ``local-sagemaker run --record FILE`` writes it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path


@dataclass(frozen=True)
class Call:
    """One request to AWS: what was asked, of whom, and how it ended.

    Attributes:
        service, operation: botocore's names; both ``?`` for a host that is none of AWS's.
        region: the one it is signed for; None in a request without a signature.
        params: as boto3 takes them, but bodies are numbers of bytes.
        problems: what AWS's model of the operation has against it.
        status: HTTP status of the answer.
        refused: why it was not handed on, if it was not.
        more: whether the answer is a page that another one follows.
    """

    service: str
    operation: str
    host: str = ""
    region: str | None = None
    params: dict = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    status: int = 200
    refused: str = ""
    more: bool = False

    @property
    def name(self) -> str:
        """``sagemaker:CreateModel``, as IAM writes actions."""
        return f"{self.service}:{self.operation}"


def read(file: Path) -> list[Call]:
    """The requests of a record, in the order in which they were answered.

    Raises:
        ValueError: the file is no record, or holds no request.
    """
    try:
        calls = [Call(**json.loads(line)) for line in file.read_text().splitlines()]
    except (TypeError, ValueError) as error:
        raise ValueError(f"{file} is no record of requests: {error}") from error
    if not calls:
        raise ValueError(f"{file} holds no request: did the run reach its first cell?")
    return calls


@cache
def service_model(service: str):
    """botocore's model of a service."""
    import botocore.session

    return botocore.session.get_session().get_service_model(service)
