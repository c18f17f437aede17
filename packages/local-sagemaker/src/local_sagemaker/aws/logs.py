"""moto's CloudWatch Logs, with streams and lines in the store instead of in memory."""

from __future__ import annotations

import datetime
import time

import moto.logs.models as moto_logs
from moto.logs.exceptions import (
    InvalidParameterException,
    LogsClientError,
    ResourceNotFoundException,
)

from local_sagemaker import ACCOUNT
from local_sagemaker.aws import filter_patterns, insights, moto_seams
from local_sagemaker.core.store import Store

PAGE = 10_000  # events; the most that AWS gives in one answer


class StoredStream(moto_logs.LogStream):
    """moto's log stream; what it holds is in the store, under its number there."""

    store: Store  # set once by install()

    def __init__(self, log_group: moto_logs.LogGroup, name: str) -> None:
        super().__init__(log_group, name)
        known = self._row()
        if known is None:
            created = int(self.creation_time.replace(tzinfo=datetime.UTC).timestamp() * 1000)
            self.store.write(
                "INSERT INTO log_streams (log_group, name, created) VALUES (?, ?, ?)",
                [(log_group.name, name, created)],
            )
            known = self._row()
        self.number, created = known
        moment = datetime.datetime.fromtimestamp(created / 1000, datetime.UTC)
        self.creation_time = moment.replace(tzinfo=None)

    def _row(self) -> tuple[int, int] | None:
        rows = self.store.query(
            "SELECT id, created FROM log_streams WHERE log_group = ? AND name = ?",
            (self.log_group.name, self.log_stream_name),
        )
        return rows[0] if rows else None

    @property
    def events(self) -> list[moto_logs.LogEvent]:
        """Every line, for the few operations of moto's that look at all of them."""
        found = self._select(None, None)
        return [
            moto_logs.LogEvent(ingested, {"timestamp": timestamp, "message": message})
            for _, timestamp, ingested, message in found
        ]

    @events.setter
    def events(self, _) -> None:
        """moto begins with an empty list."""

    @property
    def stored_bytes(self) -> int:
        sql = "SELECT bytes FROM log_streams WHERE id = ?"
        return self.store.query(sql, (self.number,))[0][0]

    @stored_bytes.setter
    def stored_bytes(self, _) -> None:
        """moto begins with 0."""

    def put_log_events(self, log_events: list[dict]) -> str:
        now = int(time.time() * 1000)
        rows = [(self.number, event["timestamp"], now, event["message"]) for event in log_events]
        size = sum(len(event["message"].encode("utf-8", "replace")) for event in log_events)
        self.store.write_all(
            [
                (
                    "INSERT INTO log_events (stream, timestamp, ingested, message) "
                    "VALUES (?, ?, ?, ?)",
                    rows,
                ),
                (
                    "UPDATE log_streams SET ingested = ?, bytes = bytes + ? WHERE id = ?",
                    [(now, size, self.number)],
                ),
            ]
        )
        self.upload_sequence_token += 1
        return f"{self.upload_sequence_token:056d}"

    def to_describe_dict(self) -> dict:
        shown = {
            "arn": self.arn,
            "creationTime": int(self.creation_time.replace(tzinfo=datetime.UTC).timestamp() * 1000),
            "logStreamName": self.log_stream_name,
            "storedBytes": 0,  # as AWS reports it since 2019
        }
        # Two queries: each is answered by one look into the index.
        ends = [
            self.store.query(
                f"SELECT {end}(timestamp) FROM log_events WHERE stream = ?", (self.number,)
            )[0][0]
            for end in ("min", "max")
        ]
        if ends[0] is not None:
            sql = "SELECT ingested FROM log_streams WHERE id = ?"
            shown |= {
                "firstEventTimestamp": ends[0],
                "lastEventTimestamp": ends[1],
                "lastIngestionTime": self.store.query(sql, (self.number,))[0][0],
            }
        return shown

    def get_log_events(
        self,
        start_time: int | None,
        end_time: int | None,
        limit: int | None,
        next_token: str | None,
        start_from_head: bool,
    ) -> tuple[list[dict], str, str]:
        """One page of lines and the tokens of the pages before and after it.

        A token is the place of a line among all that match: ``f/7`` begins after the seventh.
        """
        limit, count = limit or PAGE, self._count(start_time, end_time)
        if next_token:
            direction, place = _parsed(next_token)
            first = place if direction == "f" else max(0, place - limit)
            last = min(place + limit, count) if direction == "f" else place
        else:
            first = 0 if start_from_head else max(0, count - limit)
            last = min(first + limit, count)
        first = min(first, count)
        rows = self._select(start_time, end_time, last - first, first) if last > first else []
        page = [
            {"ingestionTime": ingested, "message": message, "timestamp": timestamp}
            for _, timestamp, ingested, message in rows
        ]
        return page, f"b/{first:056d}", f"f/{max(first, last):056d}"

    def _between(self, start: int | None, end: int | None) -> tuple[str, list]:
        sql, arguments = "FROM log_events WHERE stream = ?", [self.number]
        if start is not None:
            sql, arguments = sql + " AND timestamp >= ?", [*arguments, start]
        if end is not None:
            sql, arguments = sql + " AND timestamp < ?", [*arguments, end]
        return sql, arguments

    def _count(self, start: int | None, end: int | None) -> int:
        sql, arguments = self._between(start, end)
        return self.store.query(f"SELECT count(*) {sql}", arguments)[0][0]

    def _select(
        self, start: int | None, end: int | None, limit: int = -1, offset: int = 0
    ) -> list[tuple]:
        sql, arguments = self._between(start, end)
        return self.store.query(
            f"SELECT id, timestamp, ingested, message {sql} "
            "ORDER BY timestamp, id LIMIT ? OFFSET ?",
            [*arguments, limit, offset],
        )


def _parsed(token: str) -> tuple[str, int]:
    direction, _, place = token.partition("/")
    if direction not in {"f", "b"} or not place.isdecimal():
        raise InvalidParameterException("The specified nextToken is invalid.")
    return direction, int(place)


class StoredGroup(moto_logs.LogGroup):
    """moto's log group, filtered in the store."""

    def _stream(self, name: str) -> StoredStream:
        if name not in self.streams:  # moto would say so of the group
            raise ResourceNotFoundException("The specified log stream does not exist.")
        return self.streams[name]

    def get_log_events(self, log_stream_name: str, *asked) -> tuple:
        return self._stream(log_stream_name).get_log_events(*asked)

    def delete_log_stream(self, log_stream_name: str) -> None:
        # First: if that cannot be written, moto keeps the stream.
        delete_streams([self._stream(log_stream_name)])
        super().delete_log_stream(log_stream_name)

    def filter_log_events(
        self,
        log_group_name: str,
        log_stream_names: list[str],
        start_time: int | None,
        end_time: int | None,
        limit: int | None,
        next_token: str | None,
        filter_pattern: str,
        interleaved: bool,
    ) -> tuple[list[dict], str | None, list[dict]]:
        """One page of the lines that match, of all streams in the order of their times.

        A token is the time and the number of the last line that was looked at.
        """
        names = {
            stream.number: name
            for name, stream in self.streams.items()
            if not log_stream_names or name in log_stream_names
        }
        limit, matches = limit or PAGE, _matching(filter_pattern)
        found: list[dict] = []
        after = _place(next_token)
        while len(found) < limit:
            rows = self._after(after, list(names), start_time, end_time, limit)
            for number, stream, timestamp, ingested, message in rows:
                if len(found) == limit:
                    break
                after = (timestamp, number)
                if matches(message):
                    event = {"timestamp": timestamp, "message": message, "eventId": str(number)}
                    event |= {"ingestionTime": ingested, "logStreamName": names[stream]}
                    found.append(event)
            if len(rows) < limit:
                break
        token = f"{after[0]}@{after[1]}" if len(found) == limit else None
        searched = [{"logStreamName": n, "searchedCompletely": True} for n in names.values()]
        return found, token, searched

    @staticmethod
    def _after(
        after: tuple[int, int] | None,
        streams: list[int],
        start: int | None,
        end: int | None,
        limit: int,
    ) -> list[tuple]:
        if len(streams) == 1:  # found in order by the index
            where, arguments = "stream = ?", streams
        else:
            where, arguments = f"stream IN ({', '.join(map(str, streams))})", []
        if start is not None:
            where, arguments = where + " AND timestamp >= ?", [*arguments, start]
        if end is not None:
            where, arguments = where + " AND timestamp < ?", [*arguments, end]
        if after is not None:
            where, arguments = where + " AND (timestamp, id) > (?, ?)", [*arguments, *after]
        return StoredStream.store.query(
            "SELECT id, stream, timestamp, ingested, message FROM log_events "
            f"WHERE {where} ORDER BY timestamp, id LIMIT ?",
            [*arguments, limit],
        )


def _matching(pattern: str | None) -> filter_patterns.Matches:
    try:
        return filter_patterns.compiled(pattern)
    except filter_patterns.PatternError as error:
        raise InvalidParameterException(str(error)) from None


class MessageFilter:
    """moto's filter of messages, for the other operations that have one."""

    def __init__(self, pattern: str) -> None:
        self.matches = _matching(pattern)


def execute_query(
    log_groups: list[StoredGroup], query: str, start_time: int, end_time: int
) -> list[dict[str, str]]:
    """What a query of Insights finds, from `start_time` to `end_time` in seconds."""
    try:
        asked = insights.parsed(query)
    except insights.QueryError as error:
        raise LogsClientError("MalformedQueryException", str(error)) from None
    streams = {
        stream.number: (name, f"{ACCOUNT}:{group.name}")
        for group in log_groups
        for name, stream in group.streams.items()
    }
    rows = StoredStream.store.query(
        "SELECT id, timestamp, ingested, message, stream FROM log_events "
        f"WHERE stream IN ({', '.join(map(str, streams))}) AND timestamp BETWEEN ? AND ? "
        "ORDER BY timestamp, id",
        [start_time * 1000, end_time * 1000 + 999],
    )
    return asked.run(insights.Event(*row, *streams[stream]) for *row, stream in rows)


def _place(token: str | None) -> tuple[int, int] | None:
    if not token:
        return None
    timestamp, _, number = token.partition("@")
    if not timestamp.isdecimal() or not number.isdecimal():
        raise InvalidParameterException("The specified nextToken is invalid.")
    return int(timestamp), int(number)


class StoredLogs(moto_logs.LogsBackend):
    """moto's Logs, whose deleted groups leave the store."""

    __module__ = moto_logs.__name__  # beside which moto looks for the service's addresses

    def delete_log_group(self, log_group_name: str) -> None:
        group = self.groups.get(log_group_name)
        super().delete_log_group(log_group_name)
        if not moto_seams.is_replaying():
            delete_streams(group.streams.values())


def delete_streams(streams) -> None:
    """Remove streams with all their lines from the store."""
    numbers = [(stream.number,) for stream in streams]
    StoredStream.store.write_all(
        [
            ("DELETE FROM log_events WHERE stream = ?", numbers),
            ("DELETE FROM log_streams WHERE id = ?", numbers),
        ]
    )


def prune(backend: StoredLogs) -> None:
    """Forget the lines that are older than their group's retention."""
    for group in backend.groups.values():
        if days := group.retention_in_days:
            oldest = int((time.time() - int(days) * 86_400) * 1000)
            old = [(stream.number, oldest) for stream in group.streams.values()]
            StoredStream.store.write(
                "DELETE FROM log_events WHERE stream = ? AND timestamp < ?", old
            )


def install(store: Store) -> None:
    """Put moto's Logs on `store`."""
    StoredStream.store = store
    moto_logs.LogStream, moto_logs.LogGroup = StoredStream, StoredGroup
    moto_logs.logs_backends.backend = StoredLogs
    moto_logs.EventMessageFilter, moto_logs.execute_query = MessageFilter, execute_query


def restore(backend: StoredLogs) -> None:
    """Give moto the streams that the store knows (and their groups)."""
    for group, name in StoredStream.store.query(
        "SELECT log_group, name FROM log_streams ORDER BY id"
    ):
        backend.ensure_log_group(group)
        backend.ensure_log_stream(group, name)
