"""Parked events in memory."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from cqrs_ddd_advanced_core.ports.checkpoint_store import CheckpointKey
from cqrs_ddd_advanced_core.ports.parked_events import IParkedEvents, ParkedEvent
from cqrs_ddd_core.adapters.memory.database import InMemoryDatabase, Table
from cqrs_ddd_core.adapters.memory.unit_of_work import current_transaction, write_transaction
from cqrs_ddd_core.correlation import get_context
from cqrs_ddd_core.primitives.clock import IClock, SystemClock

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from cqrs_ddd_core.adapters.memory.database import Transaction
    from cqrs_ddd_core.ports.event_store import StoredEvent, StreamId

__all__ = ["InMemoryParkedEvents"]

_Place: TypeAlias = tuple[str, CheckpointKey, int]


class InMemoryParkedEvents(IParkedEvents):
    """Keeps in memory which events projections gave up.

    Args:
        database: Shared with the checkpoints.
        clock: Tells when events are parked.
    """

    def __init__(
        self, database: InMemoryDatabase | None = None, *, clock: IClock | None = None
    ) -> None:
        self._database = database or InMemoryDatabase()
        self._clock = clock or SystemClock()
        self._events: Table[_Place, ParkedEvent] = Table()

    async def park(self, key: CheckpointKey, event: StoredEvent, error: str | None) -> None:
        now = self._clock.now()
        parked = ParkedEvent(key, event.position, event.stream, event.event_type, error, now)
        async with write_transaction(self._database) as transaction:
            self._events.put(_place(key, event.position), parked, transaction)

    async def held_streams(self, key: CheckpointKey) -> set[StreamId]:
        return {one.stream for one in self._all() if one.key == key}

    async def list_parked(
        self, projection: str, *, version: int | None = None, limit: int = 100, after: int = 0
    ) -> Sequence[ParkedEvent]:
        found = (
            one
            for one in self._all()
            if one.key.projection == projection
            and version in (None, one.key.version)
            and one.position > after
        )
        return sorted(found, key=lambda one: (one.position, one.key))[:limit]

    async def list_stream(self, key: CheckpointKey, stream: StreamId) -> Sequence[ParkedEvent]:
        found = (one for one in self._all() if one.key == key and one.stream == stream)
        return sorted(found, key=lambda one: one.position)

    async def remove(self, key: CheckpointKey, positions: Collection[int]) -> int:
        async with write_transaction(self._database) as transaction:
            places = {_place(key, position) for position in positions}
            return self._remove(places, transaction)

    async def count(self, projection: str, version: int) -> int:
        return len(self._of(projection, version))

    async def clear(self, projection: str, version: int) -> int:
        async with write_transaction(self._database) as transaction:
            found = self._of(projection, version)
            return self._remove({_place(one.key, one.position) for one in found}, transaction)

    async def move(self, projection: str, version: int, to_version: int) -> int:
        async with write_transaction(self._database) as transaction:
            found = self._of(projection, version)
            for one in found:
                moved = replace(one, key=one.key._replace(version=to_version))
                self._events.put(_place(moved.key, one.position), moved, transaction)
            return self._remove({_place(one.key, one.position) for one in found}, transaction)

    def _remove(self, places: set[_Place], transaction: Transaction) -> int:
        found = [one for one in places if self._events.get(one, transaction) is not None]
        for place in found:
            self._events.delete(place, transaction)
        return len(found)

    def _of(self, projection: str, version: int) -> list[ParkedEvent]:
        return [one for one in self._all() if one.key[:2] == (projection, version)]

    def _all(self) -> list[ParkedEvent]:
        tenant_id = get_context().tenant_id
        events = self._events.items(current_transaction(self._database))
        return [one for (tenant, *_), one in events if tenant == tenant_id]


def _place(key: CheckpointKey, position: int) -> _Place:
    return get_context().tenant_id, key, position
