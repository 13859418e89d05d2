"""Everything in one order, by pages and filters."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from cqrs_ddd_core.ports.event_store import (
    EventFilter,
    IEventStore,
    NewEvent,
    StoredEvent,
    StreamId,
)
from cqrs_ddd_core.ports.unit_of_work_scope import UnitOfWorkFactory
from cqrs_ddd_core.primitives.exceptions import ConcurrencyError, TransientPersistenceError
from cqrs_ddd_core.testing.conformance import Veto, needs
from cqrs_ddd_core.testing.event_store._suite import EventStoreSuite, ids_of, is_increasing
from cqrs_ddd_core.testing.samples import MOMENT, new_event, new_events, new_stream

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

__all__ = ["FeedTests"]


class FeedTests(EventStoreSuite):
    async def test_an_empty_store_has_an_empty_last_page(self, store: IEventStore) -> None:
        events, position, is_last = await store.read_page()
        assert (list(events), position, is_last) == ([], 0, True)
        assert await store.get_latest_position() == 0
        assert await store.get_head_position() == 0
        assert [event async for event in store.read_all()] == []

    async def test_positions_begin_at_one_and_grow(self, store: IEventStore) -> None:
        """S-2, A-11: a reader that starts after position 0 sees the first event."""
        streams = [new_stream(), new_stream(), new_stream()]
        events = new_events(9)
        for index, event in enumerate(events):
            await store.append(streams[index % 3], [event])
        page = await store.read_page()
        assert ids_of(page.events) == ids_of(events)
        positions = [event.position for event in page.events]
        assert positions[0] >= 1
        assert is_increasing(positions)
        assert await store.get_latest_position() == positions[-1] == page.position
        assert await store.get_head_position() == positions[-1]

    async def test_the_head_is_what_is_committed(
        self, store: IEventStore, unit_of_work: UnitOfWorkFactory
    ) -> None:
        first = await store.append(new_stream(), [new_event()])
        async with unit_of_work() as uow:
            await store.append(new_stream(), [new_event()])
            assert await store.get_head_position() == first.position
            await uow.rollback()
        assert await store.get_head_position() == first.position

    async def test_the_order_is_that_of_positions_and_not_of_times(
        self, store: IEventStore
    ) -> None:
        """S-25: an event that says it happened earlier is not read earlier."""
        for days in (0, 1, 2):
            await store.append(new_stream(), [new_event(occurred_at=MOMENT - timedelta(days))])
        times = [event.occurred_at async for event in store.read_all()]
        assert times == [MOMENT - timedelta(days) for days in (0, 1, 2)]

    async def test_pages_follow_each_other_without_loss(self, store: IEventStore) -> None:
        """S-5."""
        events = new_events(10)
        await store.append(new_stream(), events)
        found: list[UUID] = []
        position, is_last = 0, False
        while not is_last:
            page = await store.read_page(position, limit=3)
            found += ids_of(page.events)
            position, is_last = page.position, page.is_last
        assert found == ids_of(events)
        page = await store.read_page(position)
        assert (list(page.events), page.position, page.is_last) == ([], position, True)

    async def test_everything_is_read_in_batches(self, store: IEventStore) -> None:
        events = new_events(11)
        await store.append(new_stream(), events)
        everything = [event async for event in store.read_all(batch_size=4)]
        assert ids_of(everything) == ids_of(events)
        rest = [event async for event in store.read_all(everything[4].position, batch_size=4)]
        assert ids_of(rest) == ids_of(events[5:])

    @pytest.mark.parametrize(
        "event_filter, expected",
        [
            (EventFilter(), [0, 1, 2, 3]),
            (EventFilter(aggregate_types=frozenset({"Order"})), [0, 1, 2]),
            (EventFilter(aggregate_types=frozenset({"Order", "Customer"})), [0, 1, 2, 3]),
            (EventFilter(event_types=frozenset({"Shipped"})), [2]),
            (EventFilter(event_types=frozenset()), []),
            (EventFilter(correlation_id="request-2"), [2, 3]),
            (EventFilter(occurred_from=MOMENT + timedelta(seconds=1)), [1, 2, 3]),
            (EventFilter(occurred_until=MOMENT + timedelta(seconds=2)), [0, 1]),
            (EventFilter(metadata={"user_id": "u-1"}), [0, 1]),
            (EventFilter(metadata={"user_id": "u-1", "level": 1}), [0]),
            (EventFilter(metadata={"tags": ["a", {"b": None}]}), [2]),
            (EventFilter(metadata={"missing": None}), []),
            (
                EventFilter(
                    aggregate_types=frozenset({"Order"}),
                    event_types=frozenset({"Placed"}),
                    correlation_id="request-1",
                    occurred_from=MOMENT,
                    occurred_until=MOMENT + timedelta(seconds=1),
                    metadata={"level": 1},
                ),
                [0],
            ),
        ],
        ids=lambda value: "" if isinstance(value, list) else None,
    )
    async def test_a_page_holds_the_events_that_match(
        self, store: IEventStore, event_filter: EventFilter, expected: list[int]
    ) -> None:
        events = await _append_mixed(store)
        page = await store.read_page(event_filter=event_filter)
        assert ids_of(page.events) == ids_of([events[index] for index in expected])
        assert page.position == await store.get_latest_position()
        found = [event async for event in store.read_all(batch_size=1, event_filter=event_filter)]
        assert ids_of(found) == ids_of(page.events)

    async def test_the_position_moves_on_past_events_that_do_not_match(
        self, store: IEventStore
    ) -> None:
        """P-3: a worker whose events are rare gets to the end."""
        await store.append(new_stream("Order"), new_events(20))
        wanted = EventFilter(aggregate_types=frozenset({"Customer"}))
        position, is_last = 0, False
        for _ in range(25):
            page = await store.read_page(position, limit=5, event_filter=wanted)
            assert not page.events
            position, is_last = page.position, page.is_last
            if is_last:
                break
        assert is_last
        assert position == await store.get_latest_position()

    @needs("concurrent_transactions")
    async def test_a_reader_loses_nothing_under_writers_that_roll_back(
        self, store: IEventStore, unit_of_work: UnitOfWorkFactory
    ) -> None:
        """S-4, M-2: nothing appears behind a position that was returned."""
        streams = [new_stream() for _ in range(3)]
        committed: dict[UUID, StreamId] = {}

        async def write(writer: int) -> None:
            for number in range(12):
                stream = streams[(writer + number) % 3]
                events = new_events(1 + number % 3)
                try:
                    async with unit_of_work():
                        await store.append(stream, events)
                        await asyncio.sleep(0.001 * (writer % 3))
                        if number % 4 == 3:
                            raise Veto
                except (Veto, ConcurrencyError, TransientPersistenceError):
                    continue
                committed.update((event.event_id, stream) for event in events)

        async def write_all() -> None:
            await asyncio.gather(*(write(writer) for writer in range(8)))

        async with asyncio.timeout(60):
            writers = asyncio.create_task(write_all())
            seen: list[StoredEvent] = []
            position = 0
            while not (writers.done() and len(seen) >= len(committed)):
                page = await store.read_page(position, limit=7)
                seen += page.events
                position = page.position
            await writers
        assert {event.event_id: event.stream for event in seen} == committed
        assert len(seen) == len(committed)
        assert is_increasing([event.position for event in seen])
        assert _is_without_gaps(seen)


def _is_without_gaps(events: Sequence[StoredEvent]) -> bool:
    versions: defaultdict[StreamId, list[int]] = defaultdict(list)
    for event in events:
        versions[event.stream].append(event.version)
    return all(found == list(range(1, len(found) + 1)) for found in versions.values())


async def _append_mixed(store: IEventStore) -> list[NewEvent]:
    samples = [
        ("Order", "Placed", "request-1", {"user_id": "u-1", "level": 1}),
        ("Order", "Placed", "request-1", {"user_id": "u-1", "level": "1"}),
        ("Order", "Shipped", "request-2", {"user_id": "u-2", "tags": ["a", {"b": None}]}),
        ("Customer", "Placed", "request-2", {}),
    ]
    events = []
    for seconds, (aggregate_type, event_type, correlation_id, metadata) in enumerate(samples):
        event = new_event(
            event_type,
            correlation_id=correlation_id,
            metadata=metadata,
            occurred_at=MOMENT + timedelta(seconds=seconds),
        )
        await store.append(StreamId(aggregate_type, "1"), [event])
        events.append(event)
    return events
