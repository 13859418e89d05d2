"""An event store whose rows hold encoded payloads."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from cqrs_ddd_advanced_core.codecs._boundary import PayloadBoundary
from cqrs_ddd_advanced_core.codecs.codec import PayloadPlace
from cqrs_ddd_core.ports.event_store import ANY, AppendResult, EventPage, IEventStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from cqrs_ddd_advanced_core.codecs.payload_codecs import PayloadCodecs
    from cqrs_ddd_advanced_core.codecs.personal_data_codec import PersonalDataCodec
    from cqrs_ddd_core.ports.event_store import (
        EventFilter,
        ExpectedVersion,
        NewEvent,
        StoredEvent,
        StreamId,
    )

__all__ = ["EncodedEventStore"]


class EncodedEventStore(IEventStore):
    """Compresses and encrypts payloads on their way into a store, and undoes it on every read.

    It keeps every promise of the store it wraps. Only payloads change: types, ids, times and
    metadata stay readable, and filters on them work as before. Payload conditions are checked
    here, for no database can look into an encoded payload.

    Args:
        store: Where the events are.
        codecs: What whole payloads go through; nothing when not given.
        personal_data: What encrypts personal values; nothing when not given. Rows that hold some
            cannot be read without it.
    """

    def __init__(
        self,
        store: IEventStore,
        codecs: PayloadCodecs | None = None,
        *,
        personal_data: PersonalDataCodec | None = None,
    ) -> None:
        self._store = store
        self._boundary = PayloadBoundary(codecs, personal_data)

    @property
    def personal_data(self) -> PersonalDataCodec:
        """What encrypts personal values.

        Raises:
            ConfigurationError: It was not given.
        """
        return self._boundary.personal_data

    async def append(
        self,
        stream: StreamId,
        events: Sequence[NewEvent],
        *,
        expected_version: ExpectedVersion = ANY,
    ) -> AppendResult:
        """Add events to a stream, as the port says.

        Raises:
            SubjectShreddedError: The subject of a personal value was shredded.
            PersonalDataError: Personal data cannot be written for another reason.
            PayloadCodecError: A payload is too large to be decoded again.
        """
        encoded = await self._boundary.encode(
            [event.payload for event in events],
            [PayloadPlace.in_stream(stream, event) for event in events],
        )
        rows = [
            event if payload is event.payload else replace(event, payload=payload)
            for event, payload in zip(events, encoded, strict=True)
        ]
        return await self._store.append(stream, rows, expected_version=expected_version)

    async def get_events(
        self,
        stream: StreamId,
        *,
        after_version: int = 0,
        up_to_version: int | None = None,
        limit: int | None = None,
        event_filter: EventFilter | None = None,
    ) -> list[StoredEvent]:
        found: list[StoredEvent] = []
        while True:
            batch = await self._store.get_events(
                stream,
                after_version=after_version,
                up_to_version=up_to_version,
                limit=limit,
                event_filter=event_filter,
            )
            found += await self._decode(batch, event_filter)
            # Some of the store's events may not have met a payload condition.
            if limit is None or len(batch) < limit or len(found) >= limit:
                return found[:limit]
            after_version = batch[-1].version

    async def get_stream_version(self, stream: StreamId) -> int:
        return await self._store.get_stream_version(stream)

    async def get_streams(
        self, aggregate_type: str, *, after_id: str = "", limit: int = 500
    ) -> list[StreamId]:
        return await self._store.get_streams(aggregate_type, after_id=after_id, limit=limit)

    async def delete_events(self, stream: StreamId, *, up_to_version: int) -> int:
        return await self._store.delete_events(stream, up_to_version=up_to_version)

    async def read_page(
        self, after_position: int = 0, *, limit: int = 500, event_filter: EventFilter | None = None
    ) -> EventPage:
        page = await self._store.read_page(after_position, limit=limit, event_filter=event_filter)
        return page._replace(events=await self._decode(page.events, event_filter))

    async def get_latest_position(self) -> int:
        return await self._store.get_latest_position()

    async def get_head_position(self) -> int:
        return await self._store.get_head_position()

    async def read_sealed(self, event_filter: EventFilter) -> AsyncIterator[StoredEvent]:
        """Yield settled events whose personal values are still encrypted, in position order.

        Raises:
            PayloadCodecError: A payload cannot be decoded.
        """
        async for event in self._store.read_all(event_filter=event_filter):
            place = PayloadPlace.in_stream(event.stream, event)
            payload = self._boundary.decode_sealed(event.payload_bytes, place)
            yield event._replace(payload_bytes=payload)

    async def _decode(
        self, events: Sequence[StoredEvent], event_filter: EventFilter | None
    ) -> list[StoredEvent]:
        payloads = await self._boundary.decode(
            [event.payload_bytes for event in events],
            [PayloadPlace.in_stream(event.stream, event) for event in events],
        )
        decoded = [
            event if payload is event.payload_bytes else event._replace(payload_bytes=payload)
            for event, payload in zip(events, payloads, strict=True)
        ]
        conditions = () if event_filter is None else event_filter.payload
        return [event for event in decoded if not any(c.rejects(event) for c in conditions)]
