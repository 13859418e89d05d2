"""An event store whose old events are in an archive."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cqrs_ddd_core.ports.event_store import ANY, EventPage, IEventStore

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cqrs_ddd_advanced_core.ports.event_archive import IEventArchive
    from cqrs_ddd_core.ports.event_store import (
        AppendResult,
        EventFilter,
        ExpectedVersion,
        NewEvent,
        StoredEvent,
        StreamId,
    )

__all__ = ["ArchivedEventStore"]


class ArchivedEventStore(IEventStore):
    """Reads streams and everything through live store and archive, as if nothing was moved.

    Appends go to the live store. It keeps all promises of the event store, also while events are
    being archived: the live store is read first, so an event is found in one of the two.
    Reading the end of a stream does not ask the archive.

    Payload codecs go around it, not inside: the archive keeps the bytes of the live store.

    Args:
        event_store: The live events; no decorator that changes payloads.
        archive: The old events.
    """

    def __init__(self, event_store: IEventStore, archive: IEventArchive) -> None:
        self._live = event_store
        self._archive = archive

    async def append(
        self,
        stream: StreamId,
        events: Sequence[NewEvent],
        *,
        expected_version: ExpectedVersion = ANY,
    ) -> AppendResult:
        return await self._live.append(stream, events, expected_version=expected_version)

    async def get_events(
        self,
        stream: StreamId,
        *,
        after_version: int = 0,
        up_to_version: int | None = None,
        limit: int | None = None,
        event_filter: EventFilter | None = None,
    ) -> list[StoredEvent]:
        live = await self._live.get_events(
            stream,
            after_version=after_version,
            up_to_version=up_to_version,
            limit=limit,
            event_filter=event_filter,
        )
        if live and live[0].version <= after_version + 1:
            return live
        archived = await self._archive.get_events(
            stream,
            after_version=after_version,
            up_to_version=up_to_version,
            limit=limit,
            event_filter=event_filter,
        )
        return _merged(live, archived)[:limit]

    async def get_stream_version(self, stream: StreamId) -> int:
        return await self._live.get_stream_version(stream)

    async def get_streams(
        self, aggregate_type: str, *, after_id: str = "", limit: int = 500
    ) -> list[StreamId]:
        return await self._live.get_streams(aggregate_type, after_id=after_id, limit=limit)

    async def delete_events(self, stream: StreamId, *, up_to_version: int) -> int:
        removed = await self._live.delete_events(stream, up_to_version=up_to_version)
        return removed + await self._archive.delete_events(stream, up_to_version=up_to_version)

    async def read_page(
        self, after_position: int = 0, *, limit: int = 500, event_filter: EventFilter | None = None
    ) -> EventPage:
        page = await self._live.read_page(after_position, limit=limit, event_filter=event_filter)
        archived = await self._archive.read_positions(
            after_position, page.position, limit=limit, event_filter=event_filter
        )
        if not archived:
            return page
        events = _merged(page.events, archived)
        if len(events) <= limit and len(archived) < limit:
            return page._replace(events=events)
        # There may be more between the last of these and where the live page has looked.
        return EventPage(events[:limit], events[limit - 1].position, is_last=False)

    async def get_latest_position(self) -> int:
        return await self._live.get_latest_position()

    async def get_head_position(self) -> int:
        return await self._live.get_head_position()


def _merged(live: Sequence[StoredEvent], archived: Sequence[StoredEvent]) -> list[StoredEvent]:
    """Return all events by position; one that was moved meanwhile comes once."""
    known = {event.position for event in live}
    new = (event for event in archived if event.position not in known)
    return sorted([*live, *new], key=_position)


def _position(event: StoredEvent) -> int:
    return event.position
