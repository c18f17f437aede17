"""Logs and metrics of jobs and endpoints, where CloudWatch's readers look for them."""

from __future__ import annotations

import json
import time

from moto.logs.models import logs_backends

from local_sagemaker import ACCOUNT, REGION
from local_sagemaker.aws import logs, metrics
from local_sagemaker.aws.journal import Journal
from local_sagemaker.core.store import Store
from local_sagemaker.runtime import log_text
from local_sagemaker.runtime.output import Log

TRAINING_METRICS = "/aws/sagemaker/TrainingJobs"
ENDPOINT_METRICS = "AWS/SageMaker"


class CloudWatch:
    """Writes to the store, in which moto looks for the answers of the reading operations."""

    def __init__(self, store: Store, journal: Journal) -> None:
        self.store, self.journal = store, journal
        logs.install(store)
        metrics.install(store)

    @property
    def backend(self) -> logs.StoredLogs:
        return logs_backends[ACCOUNT][REGION]

    def put_log_events(self, group: str, stream: str, events: list[tuple[int, str]]) -> None:
        """Append `events` (milliseconds since the epoch, line) to a log stream."""
        with self.journal.lock:
            if group not in self.backend.groups:
                target = "Logs_20140328.CreateLogGroup"
                asked = json.dumps({"logGroupName": group}).encode()
                self.journal.tell("logs", asked, HTTP_X_AMZ_TARGET=target)
            self.backend.ensure_log_stream(group, stream)
            shown = self.backend.groups[group].streams[stream]
        # Straight to the stream: the operation would drop events older than two weeks.
        shown.put_log_events(
            [
                {"timestamp": moment, "message": piece}
                for moment, text in events
                for piece in log_text.pieces(log_text.escaped(text))
            ]
        )

    def log(self, group: str, stream: str) -> Log:
        """A log stream, to be written to as a container prints."""

        def put(lines: list[str]) -> None:
            now = int(time.time() * 1000)
            self.put_log_events(group, stream, [(now, line) for line in lines])

        return Log(put)

    def with_streams(self, body: bytes) -> bytes:
        """A FilterLogEvents request whose stream prefix, which moto ignores, is spelt out."""
        try:
            request = json.loads(body)
            prefix = request.pop("logStreamNamePrefix", None)
        except (ValueError, AttributeError):
            return body  # moto refuses it
        if prefix is not None:
            with self.journal.lock:  # streams are made meanwhile
                group = self.backend.groups.get(request.get("logGroupName"))
                streams = list(group.streams) if group else []
            names = [name for name in streams if name.startswith(prefix)]
            request["logStreamNames"] = names or [prefix]  # an empty list would mean every stream
        return json.dumps(request).encode()

    def put_metrics(
        self,
        namespace: str,
        dimensions: dict[str, str],
        values: list[tuple[str, float, str]],
        timestamp: float,
    ) -> None:
        """Record `values` (name, value, unit) of one moment, in seconds since the epoch."""
        rows = [
            metrics.row(namespace, dimensions, name, timestamp, value, unit)
            for name, value, unit in values
        ]
        metrics.write(self.store, rows)

    def restore(self) -> None:
        """Give moto the streams that the store remembers; forget what no query can reach."""
        with self.journal.lock:
            metrics.prune(self.store)
            logs.restore(self.backend)
            logs.prune(self.backend)
