"""moto's CloudWatch metrics, with the values in the store instead of in memory.

moto computes each answer from its list `metric_data`: here that list is empty but while an
operation runs, and then holds what this operation may need.
"""

from __future__ import annotations

import datetime
import json
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import moto.cloudwatch.models as moto_cloudwatch
from moto.cloudwatch.models import MetricAggregatedDatum, MetricDatum

from local_sagemaker.core.store import Store

COLUMNS = "namespace, name, dimensions, timestamp, value, unit, statistics"
KEPT_S = 455 * 86_400  # CloudWatch keeps metrics for 15 months
STATISTICS = ("min", "max", "sample_count", "sum")


class StoredMetrics(moto_cloudwatch.CloudWatchBackend):
    """moto's metrics, looked up in the store."""

    __module__ = moto_cloudwatch.__name__  # beside which moto looks for the service's addresses
    store: Store  # set once by install()

    def put_metric_data(self, namespace: str, metric_data: list[dict]) -> None:
        with self._showing(()):
            super().put_metric_data(namespace, metric_data)
            write(self.store, map(_row, self.metric_data))

    def get_metric_statistics(
        self,
        namespace: str,
        metric_name: str,
        start_time: datetime.datetime,
        end_time: datetime.datetime,
        period: int,
        stats: list[str],
        dimensions: list[dict],
        unit: str | None = None,
    ):
        found = self._find(namespace, metric_name, start_time, end_time, dimensions)
        with self._showing(found):
            return super().get_metric_statistics(
                namespace, metric_name, start_time, end_time, period, stats, dimensions, unit
            )

    def get_metric_data(
        self,
        queries: list[dict],
        start_time: datetime.datetime,
        end_time: datetime.datetime,
        scan_by: str = "TimestampAscending",
    ):
        found: list = []
        for query in queries:
            if metric := query.get("MetricStat", {}).get("Metric"):
                named = metric.get("Namespace"), metric.get("MetricName")
                found += self._find(*named, start_time, end_time, metric.get("Dimensions", []))
        with self._showing(found):
            return super().get_metric_data(queries, start_time, end_time, scan_by)

    def get_filtered_metrics(self, metric_name: str, namespace: str, dimensions: list[dict]):
        """One value of each metric: which there are is all that is asked."""
        rows = self.store.query(
            f"SELECT {COLUMNS}, min(id) FROM metrics GROUP BY namespace, name, dimensions"
        )
        with self._showing(_datum(*row[:-1]) for row in rows):
            return super().get_filtered_metrics(metric_name, namespace, dimensions)

    @contextmanager
    def _showing(self, data: Iterable) -> Iterator[None]:
        self.metric_data = list(data)
        try:
            yield
        finally:
            self.metric_data = []

    def _find(
        self,
        namespace: str | None,
        name: str | None,
        start: datetime.datetime,
        end: datetime.datetime,
        dimensions: list[dict],
    ) -> list:
        """The values of a metric in a time, of at least these dimensions; moto looks closer."""
        where, arguments = "namespace = ? AND name = ?", [namespace, name]
        for moment, sign in ((start, ">="), (end, "<")):
            where += f" AND timestamp {sign} ?"
            arguments.append(_seconds(moment.replace(microsecond=0)))
        for dimension in dimensions:
            where += " AND instr(dimensions, ?)"
            arguments.append(_shown([(dimension.get("Name"), dimension.get("Value"))])[1:-1])
        rows = self.store.query(f"SELECT {COLUMNS} FROM metrics WHERE {where}", arguments)
        return [_datum(*row) for row in rows]


def install(store: Store) -> None:
    """Put moto's metrics on `store`."""
    StoredMetrics.store = store
    moto_cloudwatch.cloudwatch_backends.backend = StoredMetrics


def row(
    namespace: str,
    dimensions: dict[str, str],
    name: str,
    timestamp: float,
    value: float,
    unit: str,
) -> tuple:
    """A value, in seconds since the epoch, as `write` takes it."""
    return namespace, name, _shown(dimensions.items()), timestamp, value, unit, None


def write(store: Store, rows: Iterable[tuple]) -> None:
    """Store values, each as `row` gives it."""
    marks = ", ".join("?" * 7)
    store.write(f"INSERT INTO metrics ({COLUMNS}) VALUES ({marks})", rows)


def prune(store: Store) -> None:
    """Forget the values that CloudWatch keeps no longer."""
    oldest = time.time() - KEPT_S
    if store.query("SELECT 1 FROM metrics WHERE timestamp < ? LIMIT 1", (oldest,)):
        store.write("DELETE FROM metrics WHERE timestamp < ?", [(oldest,)])


def series(store: Store, namespace: str, dimensions: dict[str, str], name: str) -> list[float]:
    """All values of a metric, in the order in which they were recorded."""
    rows = store.query(
        "SELECT value FROM metrics WHERE namespace = ? AND name = ? AND dimensions = ? ORDER BY id",
        (namespace, name, _shown(dimensions.items())),
    )
    return [row[0] for row in rows]


def _row(datum: MetricDatum | MetricAggregatedDatum) -> tuple:
    pairs = [(dimension.name, dimension.value) for dimension in datum.dimensions]
    value, statistics = getattr(datum, "value", None), None
    if isinstance(datum, MetricAggregatedDatum):
        statistics = json.dumps([getattr(datum, name) for name in STATISTICS])
    moment = datum.timestamp
    if isinstance(moment, str):
        moment = datetime.datetime.fromisoformat(moment)
    timestamp = _seconds(moment)
    return datum.namespace, datum.name, _shown(pairs), timestamp, value, datum.unit, statistics


def _datum(
    namespace: str,
    name: str,
    dimensions: str,
    timestamp: float,
    value: float | None,
    unit: str | None,
    statistics: str | None,
) -> MetricDatum | MetricAggregatedDatum:
    moment = datetime.datetime.fromtimestamp(timestamp, datetime.UTC).replace(tzinfo=None)
    pairs = [{"Name": key, "Value": text} for key, text in json.loads(dimensions).items()]
    if statistics is None:
        return MetricDatum(namespace, name, value, pairs, moment, unit)
    low, high, count, total = json.loads(statistics)
    return MetricAggregatedDatum(namespace, name, low, high, count, total, pairs, moment, unit)


def _shown(pairs: Iterable[tuple]) -> str:
    return json.dumps(dict(pairs))


def _seconds(moment: datetime.datetime) -> float:
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.UTC)
    return moment.timestamp()
