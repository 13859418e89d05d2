"""Appended events are read back, exactly."""

from __future__ import annotations

from datetime import timedelta

import pytest

from cqrs_ddd_core.ports.event_store import NO_STREAM, IEventStore, NewEvent, StoredEvent, StreamId
from cqrs_ddd_core.primitives.clock import utc_now
from cqrs_ddd_core.testing.event_store._suite import EventStoreSuite, ids_of, is_increasing
from cqrs_ddd_core.testing.samples import AWKWARD_TEXT, MOMENT, new_event, new_events, new_stream

__all__ = ["StreamTests"]


class StreamTests(EventStoreSuite):
    async def test_an_event_comes_back_exactly_as_it_was_appended(self, store: IEventStore) -> None:
        stream, event, before = new_stream(), new_event(schema_version=7), utc_now()
        result = await store.append(stream, [event], expected_version=NO_STREAM)
        [stored] = await store.get_events(stream)
        assert _as_new(stored) == event
        assert (stored.stream, stored.version, stored.position) == (stream, 1, result.position)
        assert before - timedelta(minutes=5) < stored.recorded_at < utc_now() + timedelta(minutes=5)

    @pytest.mark.parametrize(
        "payload",
        [
            b"{}",
            b'{"b": 1,\n  "a": 1.10, "a": 2}',
            b'{"total": 0.1000, "big": 12345678901234567890.123456789}',
            ('{"text": "' + "日本語 \U0001f4bf é" + '"}').encode(),
            b'{"escaped": "\\u00e9 \\u0000 \\" \\\\"}',
            b'{"long": "' + b"x" * 300_000 + b'"}',
            bytes(range(256)),
            b"",
        ],
        ids=[
            "empty",
            "spaces and order",
            "numbers",
            "unicode",
            "escapes",
            "300 kB",
            "no text",
            "nothing",
        ],
    )
    async def test_payload_bytes_are_kept_exactly(self, store: IEventStore, payload: bytes) -> None:
        stream = new_stream()
        await store.append(stream, [new_event(payload=payload), new_event(payload=payload)])
        assert [e.payload_bytes for e in await store.get_events(stream)] == [payload] * 2
        assert [e.payload_bytes for e in (await store.read_page()).events] == [payload] * 2

    async def test_times_come_back_as_aware_utc(self, store: IEventStore) -> None:
        """S-1."""
        stream = new_stream()
        await store.append(stream, [new_event(occurred_at=MOMENT)])
        [stored] = await store.get_events(stream)
        assert stored.occurred_at == MOMENT
        assert stored.occurred_at.utcoffset() == timedelta(0)
        assert stored.recorded_at.utcoffset() == timedelta(0)

    async def test_ids_and_types_may_hold_any_text(self, store: IEventStore) -> None:
        stream = StreamId(f"Type {AWKWARD_TEXT}", f"id {AWKWARD_TEXT}")
        event = new_event(AWKWARD_TEXT, correlation_id=AWKWARD_TEXT, causation_id="")
        await store.append(stream, [event])
        [stored] = await store.get_events(stream)
        assert _as_new(stored) == event
        assert stored.stream == stream

    async def test_missing_ids_and_metadata_stay_missing(self, store: IEventStore) -> None:
        stream = new_stream()
        await store.append(stream, [new_event(correlation_id=None, causation_id=None, metadata={})])
        [stored] = await store.get_events(stream)
        assert (stored.correlation_id, stored.causation_id) == (None, None)
        assert stored.metadata == {}

    async def test_changing_what_was_read_changes_nothing(self, store: IEventStore) -> None:
        """A-10."""
        stream = new_stream()
        await store.append(stream, [new_event(metadata={"list": [1]})])
        [first] = await store.get_events(stream)
        first.payload["note"] = "changed"
        first.metadata["list"].append(2)
        [second] = await store.get_events(stream)
        assert second.payload["note"] == ""
        assert second.metadata == {"list": [1]}

    async def test_streams_of_two_types_with_one_id_are_apart(self, store: IEventStore) -> None:
        """A-7, S-25: the type is part of the stream."""
        await store.append(StreamId("Order", "1"), new_events(2))
        await store.append(StreamId("Customer", "1"), new_events(1), expected_version=NO_STREAM)
        assert await store.get_stream_version(StreamId("Order", "1")) == 2
        assert [e.version for e in await store.get_events(StreamId("Customer", "1"))] == [1]

    async def test_an_unknown_stream_is_empty(self, store: IEventStore) -> None:
        stream = new_stream()
        assert await store.get_events(stream) == []
        assert [event async for event in store.read_stream(stream)] == []
        assert await store.get_stream_version(stream) == 0

    async def test_a_stream_is_read_between_versions(self, store: IEventStore) -> None:
        stream, events = new_stream(), new_events(7)
        await store.append(stream, events[:4])
        await store.append(stream, events[4:])
        found = await store.get_events(stream, after_version=2, up_to_version=5)
        assert [event.version for event in found] == [3, 4, 5]
        assert [event.event_id for event in found] == ids_of(events[2:5])
        assert await store.get_events(stream, after_version=7) == []

    async def test_a_stream_is_read_in_batches(self, store: IEventStore) -> None:
        stream, events = new_stream(), new_events(10)
        await store.append(stream, events)
        found = [event async for event in store.read_stream(stream, after_version=1, batch_size=4)]
        assert [event.event_id for event in found] == ids_of(events[1:])

    async def test_a_thousand_events_are_appended_at_once(self, store: IEventStore) -> None:
        stream, events = new_stream(), new_events(1000)
        result = await store.append(stream, events, expected_version=NO_STREAM)
        found = await store.get_events(stream)
        assert ids_of(found) == ids_of(events)
        assert [event.version for event in found] == list(range(1, 1001))
        assert is_increasing([event.position for event in found])
        assert result == (1000, found[-1].position)


def _as_new(stored: StoredEvent) -> NewEvent:
    return NewEvent(
        stored.event_id,
        stored.event_type,
        stored.payload_bytes,
        stored.occurred_at,
        stored.schema_version,
        stored.correlation_id,
        stored.causation_id,
        stored.metadata,
    )
