"""AWS's answers, in the order of the requests, without what is the account's own.

A record is JSON: `source` ("AWS" or "engine"), `made` (a month), and `answers`, one entry for each
request with its `step`, `operation` and either the `answer` or the `error`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

# What could name an account, a person or a job: each is replaced, wherever it stands.
SECRETS = (
    (re.compile(r"(?<![A-Z0-9])A[A-Z]{3}[A-Z2-7]{16}(?![A-Z0-9])"), "(key)"),
    (re.compile(r"(?<![0-9A-Za-z])\d{12}(?![0-9A-Za-z])"), "(account)"),
    (re.compile(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"), "(id)"),
    (re.compile(r"-\d{3}-[0-9a-f]{8}\b"), "-(tuned job)"),
    (re.compile(r"(algo-\d+)-\d{10}\b"), r"\1-(time)"),
    (re.compile(r"[\w.+-]+@[\w-]+\.[\w.]+"), "(address)"),
    # Of an endpoint's error: the lines of code differ with the versions of what is installed.
    (re.compile(r'Traceback \(most recent call last\).*(?=\n". See )', re.DOTALL), "(traceback)"),
)
LEFT_OUT = {"ResponseMetadata", "NextToken", "nextToken", "nextForwardToken", "nextBackwardToken"}


class Record:
    """Asks, and writes down what is answered."""

    def __init__(self, names: Mapping[str, str]) -> None:
        """`names` has the texts of this run, such as its bucket, by what replaces each."""
        ordered = sorted(names.items(), key=lambda item: -len(item[1]))
        self.names = [(text, f"({name})") for name, text in ordered if text]
        self.answers: list[dict[str, Any]] = []

    def ask(self, step: str, client: Any, operation: str, **params: Any) -> dict[str, Any] | None:
        """Ask by a boto3 client; return the answer, or None for an error, which is no exception.

        Args:
            step: what the request is for; two records are compared step by step.
            client: of the service.
            operation: the client's method, such as ``describe_model``.
            params: the request's.
        """
        entry = {"step": step, "operation": f"{client.meta.service_model.service_name}:{operation}"}
        self.answers.append(entry)
        try:
            answer = getattr(client, operation)(**params)
        except ClientError as error:
            entry["error"] = self.plain(_refusal(error))
            return None
        entry["answer"] = self.plain({k: v for k, v in answer.items() if k not in LEFT_OUT})
        return answer

    def plain(self, value: Any) -> Any:
        """`value` as JSON has it, without what is the account's own."""
        if isinstance(value, dict):
            return {
                self._text(name): self.plain(member)
                for name, member in value.items()
                if name not in LEFT_OUT
            }
        if isinstance(value, list | tuple):
            return [self.plain(item) for item in value]
        if isinstance(value, datetime):
            return "(time)"
        if value is None or isinstance(value, bool | int | float):
            return value
        return self._text(value) if isinstance(value, str) else f"({type(value).__name__})"

    def _text(self, text: str) -> str:
        for own, name in self.names:
            text = text.replace(own, name)
        for pattern, name in SECRETS:
            text = pattern.sub(name, text)
        return text

    def write(self, file: Path, source: str) -> None:
        """Write the record; `source` says who answered."""
        made = f"{datetime.now():%Y-%m}"
        content = {"source": source, "made": made, "answers": self.answers}
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(content, indent=1) + "\n")


def _refusal(error: ClientError) -> dict[str, Any]:
    told = error.response["Error"]
    status = error.response["ResponseMetadata"].get("HTTPStatusCode")
    return {"code": told.get("Code"), "message": told.get("Message"), "status": status}


def read(file: Path) -> dict[str, Any]:
    """A record.

    Raises:
        ValueError: the file is none.
    """
    record = json.loads(file.read_text())
    if not isinstance(record, dict) or not {"source", "answers"} <= record.keys():
        raise ValueError(f"{file} is no record of make aws-smoke")
    return record
