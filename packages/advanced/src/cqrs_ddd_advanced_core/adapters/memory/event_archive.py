"""The event archive in memory."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, TypeAlias

from cqrs_ddd_advanced_core.ports.event_archive import IEventArchive
from cqrs_ddd_core.adapters.memory.database import InMemoryDatabase, Table
from cqrs_ddd_core.adapters.memory.unit_of_work import current_transaction, write_transaction
from cqrs_ddd_core.correlation import get_context
from cqrs_ddd_core.ports.event_store import StoredEvent, StreamId
from cqrs_ddd_core.primitives.exceptions import EventStoreError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cqrs_ddd_core.ports.event_store import EventFilter

__all__ = ["InMemoryEventArchive"]

_Key: TypeAlias = tuple[str, StreamId]


class InMemoryEventArchive(IEventArchive):
    """Keeps archived events in memory.

    Args:
        database: Shared with the event store; one of its own when not given.
    """

    def __init__(self, database: InMemoryDatabase | None = None) -> None:
        self._database = database or InMemoryDatabase()
        self._streams: Table[_Key, dict[int, StoredEvent]] = Table()

    async def add_events(self, stream: StreamId, events: Sequence[StoredEvent]) -> None:
        async with write_transaction(self._database) as transaction:
            kept = self._streams.get(_key(stream), transaction) or {}
            for event in events:
                if kept.get(event.version, event).event_id != event.event_id:
                    msg = f"{stream}: another event is archived as version {event.version}"
                    raise EventStoreError(msg)
            new = {event.version: event for event in events if event.version not in kept}
            self._streams.put(_key(stream), kept | new, transaction)

    async def get_events(
        self,
        stream: StreamId,
        *,
        after_version: int = 0,
        up_to_version: int | None = None,
        limit: int | None = None,
        event_filter: EventFilter | None = None,
    ) -> list[StoredEvent]:
        kept = self._streams.get(_key(stream), current_transaction(self._database)) or {}
        versions = sorted(
            version
            for version in kept
            if after_version < version and (up_to_version is None or version <= up_to_version)
        )
        return _select((kept[version] for version in versions), limit, event_filter)

    async def read_positions(
        self,
        after_position: int,
        up_to_position: int,
        *,
        limit: int,
        event_filter: EventFilter | None = None,
    ) -> list[StoredEvent]:
        tenant_id = get_context().tenant_id
        found = [
            event
            for (owner, _), kept in self._streams.items(current_transaction(self._database))
            for event in kept.values()
            if owner == tenant_id and after_position < event.position <= up_to_position
        ]
        return _select(sorted(found, key=_position), limit, event_filter)

    async def delete_events(self, stream: StreamId, *, up_to_version: int | None = None) -> int:
        async with write_transaction(self._database) as transaction:
            kept = self._streams.get(_key(stream), transaction) or {}
            rest = {
                version: event
                for version, event in kept.items()
                if up_to_version is not None and version > up_to_version
            }
            if len(rest) < len(kept):
                self._streams.put(_key(stream), rest, transaction)
            return len(kept) - len(rest)


def _key(stream: StreamId) -> _Key:
    return get_context().tenant_id, stream


def _select(
    events: Iterable[StoredEvent], limit: int | None, event_filter: EventFilter | None
) -> list[StoredEvent]:
    wanted = (event for event in events if event_filter is None or event_filter.matches(event))
    # Each reader may change the payload and the metadata of what it gets.
    return list(map(StoredEvent._make, islice(wanted, limit)))


def _position(event: StoredEvent) -> int:
    return event.position
