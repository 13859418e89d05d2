"""What every event store must do."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from cqrs_ddd_core.correlation import message_context
from cqrs_ddd_core.ports.event_store import (
    ANY,
    NO_STREAM,
    STREAM_EXISTS,
    EventFilter,
    ExpectedVersion,
    IEventStore,
    NewEvent,
    StoredEvent,
    StreamId,
)
from cqrs_ddd_core.ports.unit_of_work_scope import UnitOfWorkFactory
from cqrs_ddd_core.primitives.clock import utc_now
from cqrs_ddd_core.primitives.exceptions import (
    ConcurrencyError,
    EventStoreError,
    OptimisticConcurrencyError,
    TransientPersistenceError,
)
from cqrs_ddd_core.testing.conformance import Conformance, Veto, elsewhere, rolled_back
from cqrs_ddd_core.testing.samples import AWKWARD_TEXT, MOMENT, new_event, new_events, new_stream

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

__all__ = ["EventStoreConformance", "EventStoreSubject"]


@dataclass(frozen=True)
class EventStoreSubject:
    """An empty event store and the units of work of its database."""

    store: IEventStore
    unit_of_work: UnitOfWorkFactory


class EventStoreConformance(Conformance):
    """Appending, reading, following, transactions and tenants."""

    @pytest.fixture
    def subject(self) -> EventStoreSubject:
        raise NotImplementedError("yield an EventStoreSubject with an empty store")

    @pytest.fixture
    def store(self, subject: EventStoreSubject) -> IEventStore:
        return subject.store

    @pytest.fixture
    def unit_of_work(self, subject: EventStoreSubject) -> UnitOfWorkFactory:
        return subject.unit_of_work

    # -- what was appended is read back -------------------------------------------------------

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
        ],
        ids=["empty", "spaces and order", "numbers", "unicode", "escapes", "300 kB"],
    )
    async def test_payload_bytes_are_kept_exactly(self, store: IEventStore, payload: bytes) -> None:
        stream = new_stream()
        await store.append(stream, [new_event(payload=payload)])
        [stored] = await store.get_events(stream)
        assert stored.payload_bytes == payload
        [listed] = (await store.read_page()).events
        assert listed.payload_bytes == payload

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
        """A-7."""
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
        assert [event.event_id for event in found] == _ids(events[2:5])
        assert await store.get_events(stream, after_version=7) == []

    async def test_a_stream_is_read_in_batches(self, store: IEventStore) -> None:
        stream, events = new_stream(), new_events(10)
        await store.append(stream, events)
        found = [event async for event in store.read_stream(stream, after_version=1, batch_size=4)]
        assert [event.event_id for event in found] == _ids(events[1:])

    async def test_a_thousand_events_are_appended_at_once(self, store: IEventStore) -> None:
        stream, events = new_stream(), new_events(1000)
        result = await store.append(stream, events, expected_version=NO_STREAM)
        found = await store.get_events(stream)
        assert _ids(found) == _ids(events)
        assert [event.version for event in found] == list(range(1, 1001))
        assert _is_increasing([event.position for event in found])
        assert result == (1000, found[-1].position)

    # -- expected versions --------------------------------------------------------------------

    @pytest.mark.parametrize("expected", [0, NO_STREAM, ANY], ids=str)
    async def test_a_stream_begins_at_version_one(
        self, store: IEventStore, expected: ExpectedVersion
    ) -> None:
        stream = new_stream()
        result = await store.append(stream, new_events(2), expected_version=expected)
        assert result.version == await store.get_stream_version(stream) == 2
        assert result.position == await store.get_latest_position()

    @pytest.mark.parametrize("expected", [2, STREAM_EXISTS, ANY], ids=str)
    async def test_a_stream_goes_on_without_gaps(
        self, store: IEventStore, expected: ExpectedVersion
    ) -> None:
        stream = new_stream()
        await store.append(stream, new_events(2))
        assert (await store.append(stream, new_events(2), expected_version=expected)).version == 4
        assert [event.version for event in await store.get_events(stream)] == [1, 2, 3, 4]

    @pytest.mark.parametrize("expected", [0, 1, 3, NO_STREAM], ids=str)
    async def test_another_version_than_expected_is_refused(
        self, store: IEventStore, expected: ExpectedVersion
    ) -> None:
        """S-3."""
        stream = new_stream()
        await store.append(stream, new_events(2))
        with pytest.raises(OptimisticConcurrencyError) as refused:
            await store.append(stream, new_events(2), expected_version=expected)
        assert refused.value.expected == expected
        assert refused.value.actual in (2, None)
        assert await store.get_stream_version(stream) == 2

    @pytest.mark.parametrize("expected", [1, STREAM_EXISTS], ids=str)
    async def test_a_missing_stream_is_refused_when_it_should_exist(
        self, store: IEventStore, expected: ExpectedVersion
    ) -> None:
        stream = new_stream()
        with pytest.raises(OptimisticConcurrencyError):
            await store.append(stream, new_events(1), expected_version=expected)
        assert await store.get_stream_version(stream) == 0

    async def test_nothing_to_append_writes_nothing(self, store: IEventStore) -> None:
        stream = new_stream()
        assert await store.append(stream, [], expected_version=NO_STREAM) == (0, 0)
        await store.append(stream, new_events(3))
        latest = await store.get_latest_position()
        assert await store.append(stream, []) == (3, 0)
        assert await store.get_latest_position() == latest

    async def test_of_many_appends_at_one_version_one_wins(self, store: IEventStore) -> None:
        stream = new_stream()
        await store.append(stream, new_events(1))
        batches = [new_events(2) for _ in range(32)]
        outcomes = await asyncio.gather(
            *(store.append(stream, batch, expected_version=1) for batch in batches),
            return_exceptions=True,
        )
        won = [batch for batch, outcome in zip(batches, outcomes, strict=True) if _is_done(outcome)]
        lost = [outcome for outcome in outcomes if not _is_done(outcome)]
        assert all(isinstance(outcome, OptimisticConcurrencyError) for outcome in lost)
        assert len(lost) == 31
        assert _ids((await store.get_events(stream))[1:]) == _ids(won[0])

    async def test_appends_at_any_version_all_succeed_without_gaps(
        self, store: IEventStore
    ) -> None:
        stream = new_stream()
        batches = [new_events(2) for _ in range(20)]
        results = await asyncio.gather(*(store.append(stream, batch) for batch in batches))
        assert sorted(result.version for result in results) == list(range(2, 41, 2))
        found = await store.get_events(stream)
        assert [event.version for event in found] == list(range(1, 41))
        for batch, result in zip(batches, results, strict=True):
            assert _ids(found[result.version - 2 : result.version]) == _ids(batch)

    # -- repeated appends ---------------------------------------------------------------------

    @pytest.mark.parametrize("expected", [0, 1, NO_STREAM, STREAM_EXISTS, ANY], ids=str)
    async def test_a_repeated_append_is_recognised_as_done(
        self, store: IEventStore, expected: ExpectedVersion
    ) -> None:
        stream, events = new_stream(), new_events(3)
        first = await store.append(stream, events, expected_version=NO_STREAM)
        await store.append(stream, new_events(1))
        assert await store.append(stream, events, expected_version=expected) == first
        assert await store.get_stream_version(stream) == 4

    async def test_concurrent_repeats_of_one_append_store_it_once(self, store: IEventStore) -> None:
        stream, events = new_stream(), new_events(2)
        results = await asyncio.gather(*(store.append(stream, events) for _ in range(8)))
        assert len(set(results)) == 1
        assert _ids(await store.get_events(stream)) == _ids(events)

    async def test_an_event_id_is_stored_once(self, store: IEventStore) -> None:
        stream, other = new_stream(), new_stream()
        events = new_events(2)
        await store.append(stream, events)
        for target, again in [
            (other, events),
            (stream, [*events, new_event()]),
            (stream, [new_event(), events[0]]),
            (stream, events[::-1]),
        ]:
            with pytest.raises(EventStoreError):
                await store.append(target, again)
        assert await store.get_stream_version(stream) == 2
        assert await store.get_stream_version(other) == 0

    async def test_one_append_cannot_hold_an_event_twice(self, store: IEventStore) -> None:
        stream, event = new_stream(), new_event()
        with pytest.raises(EventStoreError):
            await store.append(stream, [event, event])
        assert await store.get_stream_version(stream) == 0

    # -- everything in one order --------------------------------------------------------------

    async def test_an_empty_store_has_an_empty_last_page(self, store: IEventStore) -> None:
        events, position, is_last = await store.read_page()
        assert (list(events), position, is_last) == ([], 0, True)
        assert await store.get_latest_position() == 0
        assert [event async for event in store.read_all()] == []

    async def test_positions_begin_at_one_and_grow(self, store: IEventStore) -> None:
        """S-2, A-11: a reader that starts after position 0 sees the first event."""
        streams = [new_stream(), new_stream(), new_stream()]
        events = new_events(9)
        for index, event in enumerate(events):
            await store.append(streams[index % 3], [event])
        page = await store.read_page()
        assert _ids(page.events) == _ids(events)
        positions = [event.position for event in page.events]
        assert positions[0] >= 1
        assert _is_increasing(positions)
        assert await store.get_latest_position() == positions[-1] == page.position

    async def test_pages_follow_each_other_without_loss(self, store: IEventStore) -> None:
        """S-5."""
        events = new_events(10)
        await store.append(new_stream(), events)
        found: list[UUID] = []
        position, is_last = 0, False
        while not is_last:
            page = await store.read_page(position, limit=3)
            found += _ids(page.events)
            position, is_last = page.position, page.is_last
        assert found == _ids(events)
        page = await store.read_page(position)
        assert (list(page.events), page.position, page.is_last) == ([], position, True)

    async def test_everything_is_read_in_batches(self, store: IEventStore) -> None:
        events = new_events(11)
        await store.append(new_stream(), events)
        everything = [event async for event in store.read_all(batch_size=4)]
        assert _ids(everything) == _ids(events)
        rest = [event async for event in store.read_all(everything[4].position, batch_size=4)]
        assert _ids(rest) == _ids(events[5:])

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
        assert _ids(page.events) == _ids([events[index] for index in expected])
        assert page.position == await store.get_latest_position()
        found = [event async for event in store.read_all(batch_size=1, event_filter=event_filter)]
        assert _ids(found) == _ids(page.events)

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

    @pytest.mark.needs("concurrent_transactions")
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
        assert _is_increasing([event.position for event in seen])
        versions: defaultdict[StreamId, list[int]] = defaultdict(list)
        for event in seen:
            versions[event.stream].append(event.version)
        assert all(found == list(range(1, len(found) + 1)) for found in versions.values())

    # -- units of work ------------------------------------------------------------------------

    async def test_a_unit_of_work_commits_its_appends_together(
        self, store: IEventStore, unit_of_work: UnitOfWorkFactory
    ) -> None:
        one, two = new_stream(), new_stream()
        first, second, third = new_events(3)
        async with unit_of_work():
            await store.append(one, [first], expected_version=NO_STREAM)
            await store.append(two, [second], expected_version=NO_STREAM)
            await store.append(one, [third], expected_version=1)
        assert _ids(await store.get_events(one)) == [first.event_id, third.event_id]
        assert _ids((await store.read_page()).events) == _ids([first, second, third])

    async def test_a_unit_of_work_reads_what_it_wrote(
        self, store: IEventStore, unit_of_work: UnitOfWorkFactory
    ) -> None:
        stream, events = new_stream(), new_events(5)
        await store.append(stream, events[:2])
        async with unit_of_work():
            await store.append(stream, events[2:], expected_version=2)
            assert await store.get_stream_version(stream) == 5
            assert _ids(await store.get_events(stream)) == _ids(events)
            part = await store.get_events(stream, after_version=1, up_to_version=4)
            assert _ids(part) == _ids(events[1:4])
            later = [e async for e in store.read_stream(stream, after_version=3, batch_size=1)]
            assert _ids(later) == _ids(events[3:])

    @pytest.mark.needs("concurrent_transactions")
    async def test_others_see_an_append_after_its_commit(
        self, store: IEventStore, unit_of_work: UnitOfWorkFactory
    ) -> None:
        stream = new_stream()
        async with unit_of_work():
            await store.append(stream, new_events(2))
            assert await elsewhere(store.get_events(stream)) == []
            assert await elsewhere(store.get_stream_version(stream)) == 0
            assert not (await elsewhere(store.read_page())).events
        assert await store.get_stream_version(stream) == 2
        assert len((await store.read_page()).events) == 2

    async def test_a_rolled_back_append_never_was(
        self, store: IEventStore, unit_of_work: UnitOfWorkFactory
    ) -> None:
        """M-1."""
        stream, event = new_stream(), new_event()
        async with rolled_back(unit_of_work):
            await store.append(stream, [event, new_event()])
        assert await store.get_stream_version(stream) == 0
        assert not (await store.read_page()).events
        assert (await store.append(stream, [event], expected_version=NO_STREAM)).version == 1

    async def test_a_refused_append_leaves_the_unit_of_work_usable(
        self, store: IEventStore, unit_of_work: UnitOfWorkFactory
    ) -> None:
        """S-16."""
        stream, other = new_stream(), new_stream()
        await store.append(stream, new_events(2))
        async with unit_of_work():
            await store.append(other, new_events(1))
            with pytest.raises(OptimisticConcurrencyError):
                await store.append(stream, new_events(1), expected_version=1)
            await store.append(stream, new_events(1), expected_version=2)
        assert await store.get_stream_version(stream) == 3
        assert await store.get_stream_version(other) == 1

    async def test_an_append_repeated_after_its_commit_is_recognised_in_a_unit_of_work(
        self, store: IEventStore, unit_of_work: UnitOfWorkFactory
    ) -> None:
        stream, events = new_stream(), new_events(2)
        first = await store.append(stream, events)
        async with unit_of_work():
            assert await store.append(stream, events, expected_version=NO_STREAM) == first
        assert await store.get_stream_version(stream) == 2

    async def test_of_many_units_of_work_at_one_version_one_commits(
        self, store: IEventStore, unit_of_work: UnitOfWorkFactory
    ) -> None:
        """S-15: the loser learns it as a concurrency error."""
        stream, marker = new_stream(), new_stream()

        async def work() -> None:
            version = await store.get_stream_version(stream)
            async with unit_of_work():
                await store.append(stream, new_events(1), expected_version=version)
                await store.append(marker, new_events(1))

        outcomes = await asyncio.gather(*(work() for _ in range(8)), return_exceptions=True)
        committed = [outcome for outcome in outcomes if outcome is None]
        assert all(isinstance(o, ConcurrencyError) for o in outcomes if o is not None)
        assert await store.get_stream_version(stream) == len(committed) >= 1
        assert await store.get_stream_version(marker) == len(committed)

    # -- tenants ------------------------------------------------------------------------------

    async def test_tenants_see_their_own_events_only(self, store: IEventStore) -> None:
        stream = StreamId("Order", "1")
        events = {tenant: new_event() for tenant in ("", "a", "b")}
        for tenant, event in events.items():
            with message_context(tenant_id=tenant):
                await store.append(stream, [event], expected_version=NO_STREAM)
        for tenant, event in events.items():
            with message_context(tenant_id=tenant):
                assert _ids(await store.get_events(stream)) == [event.event_id]
                page = await store.read_page()
                assert _ids(page.events) == [event.event_id]
                assert await store.get_stream_version(stream) == 1
                assert await store.get_latest_position() == page.events[0].position


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


def _ids(events: Sequence[NewEvent | StoredEvent]) -> list[UUID]:
    return [event.event_id for event in events]


def _is_done(outcome: object) -> bool:
    return not isinstance(outcome, BaseException)


def _is_increasing(numbers: list[int]) -> bool:
    return all(before < after for before, after in pairwise(numbers))
