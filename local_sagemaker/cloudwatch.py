"""Logs and metrics of jobs and endpoints, where CloudWatch's readers look for them."""

from __future__ import annotations

import datetime
import json
import math
import re
import threading

from moto.cloudwatch.models import MetricDatum, cloudwatch_backends
from moto.logs.models import logs_backends

from local_sagemaker import ACCOUNT, REGION
from local_sagemaker.store import Store

TRAINING_LOGS = "/aws/sagemaker/TrainingJobs"
ENDPOINT_LOGS = "/aws/sagemaker/Endpoints/"
TRAINING_METRICS = "/aws/sagemaker/TrainingJobs"
ENDPOINT_METRICS = "AWS/SageMaker"


class CloudWatch:
    """Writes to the store first, then to moto, which serves the reading operations."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._lock = threading.Lock()

    @property
    def _logs(self):
        return logs_backends[ACCOUNT][REGION]

    def put_log_events(self, group: str, stream: str, events: list[tuple[int, str]]) -> None:
        """Append `events` (milliseconds since the epoch, line) to a log stream."""
        rows = [(group, stream, timestamp, message) for timestamp, message in events]
        self.store.write(
            "INSERT INTO log_events (log_group, stream, timestamp, message) VALUES (?, ?, ?, ?)",
            rows,
        )
        self._show_events(group, stream, events)

    def _show_events(self, group: str, stream: str, events: list[tuple[int, str]]) -> None:
        with self._lock:
            if group not in self._logs.groups:
                self._logs.create_log_group(group, {})
            streams = self._logs.groups[group].streams
            if stream not in streams:
                self._logs.create_log_stream(group, stream)
        # Straight to the stream: the operation would drop events older than two weeks.
        streams[stream].put_log_events(
            [{"timestamp": timestamp, "message": message} for timestamp, message in events]
        )

    def with_streams(self, body: bytes) -> bytes:
        """A FilterLogEvents request whose stream prefix, which moto ignores, is spelt out."""
        try:
            request = json.loads(body)
            prefix = request.pop("logStreamNamePrefix", None)
        except (ValueError, AttributeError):
            return body  # moto refuses it
        if prefix is not None:
            group = self._logs.groups.get(request.get("logGroupName"))
            names = [name for name in (group.streams if group else ()) if name.startswith(prefix)]
            request["logStreamNames"] = names or [prefix]  # an empty list would mean every stream
        return json.dumps(request).encode()

    def lines(self, stream_prefix: str, group: str = TRAINING_LOGS) -> list[str]:
        """All log lines of the streams whose names begin with `stream_prefix`, in order."""
        rows = self.store.query(
            "SELECT message FROM log_events WHERE log_group = ? "
            "AND substr(stream, 1, ?) = ? ORDER BY id",
            (group, len(stream_prefix), stream_prefix),
        )
        return [row[0] for row in rows]

    def put_metrics(
        self,
        namespace: str,
        dimensions: dict[str, str],
        values: list[tuple[str, float, str]],
        timestamp: float,
    ) -> None:
        """Record `values` (name, value, unit) of one moment, in seconds since the epoch."""
        shown = json.dumps(dimensions)
        rows = [(namespace, name, shown, timestamp, value, unit) for name, value, unit in values]
        self.store.write(
            "INSERT INTO metrics (namespace, name, dimensions, timestamp, value, unit) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            rows,
        )
        for row in rows:
            self._show_metric(*row)

    def _show_metric(
        self, namespace: str, name: str, dimensions: str, timestamp: float, value: float, unit: str
    ) -> None:
        moment = datetime.datetime.fromtimestamp(timestamp, datetime.UTC).replace(tzinfo=None)
        pairs = [{"Name": key, "Value": text} for key, text in json.loads(dimensions).items()]
        cloudwatch_backends[ACCOUNT][REGION].metric_data.append(
            MetricDatum(namespace, name, value, pairs, moment, unit)
        )

    def restore(self) -> None:
        """Give moto what the store remembers."""
        streams: dict[tuple[str, str], list[tuple[int, str]]] = {}
        for group, stream, timestamp, message in self.store.query(
            "SELECT log_group, stream, timestamp, message FROM log_events ORDER BY id"
        ):
            streams.setdefault((group, stream), []).append((timestamp, message))
        for (group, stream), events in streams.items():
            self._show_events(group, stream, events)
        for row in self.store.query(
            "SELECT namespace, name, dimensions, timestamp, value, unit FROM metrics ORDER BY id"
        ):
            self._show_metric(*row)


def scrape(line: str, definitions: list[dict]) -> dict[str, float]:
    """Values that the metric definitions (``Name``, ``Regex``) find in one log line.

    As on SageMaker the first group of the expression is the value; what is no finite number is
    skipped.
    """
    found = {}
    for definition in definitions:
        match = re.search(definition["Regex"], line)
        if match and match.groups():
            try:
                value = float(match[1])
            except (TypeError, ValueError):
                continue
            if math.isfinite(value):
                found[definition["Name"]] = value
    return found
