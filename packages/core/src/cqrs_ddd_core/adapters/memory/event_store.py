"""The event store in memory."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections import defaultdict
from heapq import nsmallest
from itertools import count
from typing import TYPE_CHECKING

from pydantic_core import to_json

from cqrs_ddd_core.adapters.memory.database import InMemoryDatabase, Participant
from cqrs_ddd_core.adapters.memory.unit_of_work import current_transaction, write_transaction
from cqrs_ddd_core.correlation import get_context
from cqrs_ddd_core.ports.event_store import (
    ANY,
    NO_STREAM,
    STREAM_EXISTS,
    AppendResult,
    EventFilter,
    EventPage,
    ExpectedVersion,
    IEventStore,
    NewEvent,
    StoredEvent,
    StreamId,
)
from cqrs_ddd_core.ports.wake_up import EVENTS_TOPIC, IWakeUp, announce_after_commit
from cqrs_ddd_core.primitives.clock import IClock, SystemClock
from cqrs_ddd_core.primitives.exceptions import (
    EventStoreError,
    NewestEventError,
    OptimisticConcurrencyError,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime
    from uuid import UUID

    from cqrs_ddd_core.adapters.memory.database import Transaction

__all__ = ["InMemoryEventStore"]


class InMemoryEventStore(IEventStore):
    """Keeps events in memory, and every promise of the port.

    Positions follow the order of commits; a rollback leaves holes, as in a real database.
    Reading a stream or a page costs what is read, however many events there are.

    Args:
        database: Shared with the other adapters; one of its own when not given.
        clock: Tells when events are recorded.
        wake_up: Told after the commit that there are new events.
    """

    def __init__(
        self,
        database: InMemoryDatabase | None = None,
        *,
        clock: IClock | None = None,
        wake_up: IWakeUp | None = None,
    ) -> None:
        self._database = database or InMemoryDatabase()
        self._clock = clock or SystemClock()
        self._wake_up = wake_up
        self._next_position = count(1).__next__
        self._logs: defaultdict[str, _Log] = defaultdict(_Log)

    async def append(
        self,
        stream: StreamId,
        events: Sequence[NewEvent],
        *,
        expected_version: ExpectedVersion = ANY,
    ) -> AppendResult:
        if not events:
            return AppendResult(await self.get_stream_version(stream), 0)
        async with write_transaction(self._database) as transaction:
            log = self._log()
            done = log.find_append(stream, events, transaction)
            if done is not None:
                return AppendResult(done.version, done.position)
            version = log.version(stream, transaction)
            _check_version(stream, version, expected_version)
            now = self._clock.now()
            rows = [
                _stored(self._next_position(), stream, number, event, now)
                for number, event in enumerate(events, version + 1)
            ]
            log.add(rows, transaction)
        if self._wake_up is not None:
            announce_after_commit(self._wake_up, EVENTS_TOPIC)
        return AppendResult(rows[-1].version, rows[-1].position)

    async def get_events(
        self,
        stream: StreamId,
        *,
        after_version: int = 0,
        up_to_version: int | None = None,
        limit: int | None = None,
        event_filter: EventFilter | None = None,
    ) -> list[StoredEvent]:
        rows = self._log().read(stream, self._transaction(), after_version, up_to_version)
        if event_filter is None:
            return list(_copied(rows[:limit]))
        return [event for event in _copied(rows) if event_filter.matches(event)][:limit]

    async def get_stream_version(self, stream: StreamId) -> int:
        return self._log().version(stream, self._transaction())

    async def get_streams(
        self, aggregate_type: str, *, after_id: str = "", limit: int = 500
    ) -> list[StreamId]:
        streams = self._log().streams(self._transaction())
        return nsmallest(
            limit,
            (
                s
                for s in streams
                if s.aggregate_type == aggregate_type and s.aggregate_id > after_id
            ),
        )

    async def delete_events(self, stream: StreamId, *, up_to_version: int) -> int:
        async with write_transaction(self._database) as transaction:
            log = self._log()
            version = log.version(stream, transaction)
            if 0 < version <= up_to_version:
                raise NewestEventError(stream, version, up_to_version)
            return log.remove(stream, up_to_version, transaction)

    async def read_page(
        self, after_position: int = 0, *, limit: int = 500, event_filter: EventFilter | None = None
    ) -> EventPage:
        # A reader that polls must let the writers it waits for get on.
        await asyncio.sleep(0)
        rows = self._log().committed.rows
        index = bisect_right(rows, after_position, key=_position)
        found: list[StoredEvent] = []
        while index < len(rows) and len(found) < limit:
            event = StoredEvent._make(rows[index])
            if event_filter is None or event_filter.matches(event):
                found.append(event)
            after_position = event.position
            index += 1
        return EventPage(found, after_position, index == len(rows))

    async def get_latest_position(self) -> int:
        rows = self._log().committed.rows
        return rows[-1].position if rows else 0

    async def get_head_position(self) -> int:
        return await self.get_latest_position()

    def _log(self) -> _Log:
        return self._logs[get_context().tenant_id]

    def _transaction(self) -> Transaction | None:
        return current_transaction(self._database)


class _Rows:
    """Events in position order, by stream and by id; a stream may have lost its oldest ones."""

    def __init__(self) -> None:
        self.rows: list[StoredEvent] = []
        self.streams: dict[StreamId, list[StoredEvent]] = {}
        self.ids: dict[UUID, StoredEvent] = {}

    def add(self, rows: list[StoredEvent]) -> None:
        self.rows += rows
        for row in rows:
            self.streams.setdefault(row.stream, []).append(row)
            self.ids[row.event_id] = row

    def version(self, stream: StreamId) -> int:
        rows = self.streams.get(stream)
        return rows[-1].version if rows else 0

    def read(self, stream: StreamId, after: int, until: int | None) -> list[StoredEvent]:
        rows = self.streams.get(stream)
        if not rows:
            return []
        first = rows[0].version - 1
        return rows[max(after - first, 0) : None if until is None else max(until - first, 0)]

    def remove(self, versions: Mapping[StreamId, int]) -> None:
        """Remove events of streams, each up to a version."""
        gone: set[int] = set()
        for stream, until in versions.items():
            for row in self.read(stream, 0, until):
                gone.add(row.position)
                del self.ids[row.event_id]
            self.streams[stream] = self.read(stream, until, None)
        self.rows = [row for row in self.rows if row.position not in gone]


class _Log(Participant):
    """The events of one tenant: those committed, and those of the one writer there can be."""

    def __init__(self) -> None:
        self.committed = _Rows()
        self._pending = _Rows()
        # How far the writer has removed committed streams.
        self._removed: dict[StreamId, int] = {}

    def version(self, stream: StreamId, transaction: Transaction | None) -> int:
        pending = 0 if transaction is None else self._pending.version(stream)
        return pending or self.committed.version(stream)

    def streams(self, transaction: Transaction | None) -> Iterable[StreamId]:
        committed = self.committed.streams
        return committed if transaction is None else {**committed, **self._pending.streams}

    def read(
        self, stream: StreamId, transaction: Transaction | None, after: int, until: int | None
    ) -> list[StoredEvent]:
        if transaction is None:
            return self.committed.read(stream, after, until)
        left = max(after, self._removed.get(stream, 0))
        return self.committed.read(stream, left, until) + self._pending.read(stream, after, until)

    def remove(self, stream: StreamId, until: int, transaction: Transaction) -> int:
        count = len(self.read(stream, transaction, 0, until))
        if count:
            transaction.enlist(self)
            self._pending.remove({stream: until})
            self._removed[stream] = until
        return count

    def find_append(
        self, stream: StreamId, events: Sequence[NewEvent], transaction: Transaction
    ) -> StoredEvent | None:
        """Return the last event when all of them were appended before, in this order."""
        ids = [event.event_id for event in events]
        rows = [row for row in map(self._find, ids) if row is not None]
        if rows:
            run = self.read(stream, transaction, rows[0].version - 1, rows[-1].version)
            if [row.event_id for row in run] == ids:
                return rows[-1]
        elif len(set(ids)) == len(ids):
            return None
        msg = f"{stream}: some of these event ids are stored already, but not by this append"
        raise EventStoreError(msg)

    def _find(self, event_id: UUID) -> StoredEvent | None:
        row = self.committed.ids.get(event_id)
        if row is None or row.version <= self._removed.get(row.stream, 0):
            row = self._pending.ids.get(event_id)
        return row

    def add(self, rows: list[StoredEvent], transaction: Transaction) -> None:
        transaction.enlist(self)
        self._pending.add(rows)

    def commit(self) -> None:
        if self._removed:
            self.committed.remove(self._removed)
        self.committed.add(self._pending.rows)
        self.rollback()

    def rollback(self) -> None:
        self._pending = _Rows()
        self._removed = {}


def _check_version(stream: StreamId, actual: int, expected: ExpectedVersion) -> None:
    if expected is ANY or (expected is STREAM_EXISTS and actual > 0):
        return
    if actual != (0 if expected is NO_STREAM else expected):
        raise OptimisticConcurrencyError(stream, expected, actual)


def _stored(
    position: int, stream: StreamId, version: int, event: NewEvent, recorded_at: datetime
) -> StoredEvent:
    return StoredEvent(
        position,
        *stream,
        version,
        event.event_id,
        event.event_type,
        event.schema_version,
        event.payload,
        event.occurred_at,
        recorded_at,
        event.correlation_id,
        event.causation_id,
        to_json(event.metadata),
    )


def _copied(events: Iterable[StoredEvent]) -> Iterator[StoredEvent]:
    """Yield events whose payload and metadata each reader may change."""
    return map(StoredEvent._make, events)


def _position(event: StoredEvent) -> int:
    return event.position
