"""Streams that are appended to at the version they were loaded at."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cqrs_ddd_core.cqrs.event_recorder import EventRecorder
from cqrs_ddd_core.ports.event_store import IEventStore, StreamId
from cqrs_ddd_core.ports.unit_of_work import UnitOfWork
from cqrs_ddd_core.primitives.exceptions import OptimisticConcurrencyError
from cqrs_ddd_core.testing.conformance import Veto, elsewhere
from cqrs_ddd_core.testing.samples import (
    SampleOrder,
    SampleOrderShipped,
    new_events,
    place_order,
)
from cqrs_ddd_core.testing.unit_of_work._suite import (
    ALL,
    NOTHING,
    UnitOfWorkSubject,
    UnitOfWorkSuite,
    Work,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cqrs_ddd_core.domain.events import DomainEvent
    from cqrs_ddd_core.ports.event_store import NewEvent
    from cqrs_ddd_core.ports.unit_of_work import RecordedAppend

__all__ = ["StreamTests"]


class StreamTests(UnitOfWorkSuite):
    @pytest.fixture
    def store(self, subject: UnitOfWorkSubject) -> IEventStore:
        return subject.event_store

    @pytest.fixture
    def recorder(self, store: IEventStore) -> EventRecorder:
        return EventRecorder((), event_store=store)

    async def test_a_saved_stream_is_appended_at_the_version_of_its_aggregate(
        self, subject: UnitOfWorkSubject, store: IEventStore, recorder: EventRecorder
    ) -> None:
        order = place_order()
        async with subject.unit_of_work() as uow:
            uow.record_with(recorder.record)
            pending = uow.save_stream(order, store)
            assert (pending.version, pending.next_version, order.version) == (0, 1, 1)
            order.ship("p")
            assert uow.save_stream(order, store) is pending
            assert uow.pending_stream(_stream(order)) is pending
            assert [event.event_type for event in pending.events] == [
                "SampleOrderPlaced",
                "SampleOrderShipped",
            ]
        assert (pending.version, pending.events, order.version) == (2, [], 2)
        assert await store.get_stream_version(_stream(order)) == 2

    async def test_what_was_appended_is_known_before_the_commit(
        self, subject: UnitOfWorkSubject, store: IEventStore, recorder: EventRecorder
    ) -> None:
        """In the order the events were raised; those of no stream are nowhere appended."""
        first = place_order()
        first.ship("p")
        second, nowhere = place_order(), SampleOrderShipped(parcel="p")
        known: list[RecordedAppend] = []

        async def look(uow: UnitOfWork) -> None:
            known.extend(uow.recorded_appends)

        async with subject.unit_of_work() as uow:
            uow.record_with(recorder.record)
            uow.after_record(look)
            uow.save_stream(first, store)
            uow.add_events([nowhere])
            uow.save_stream(second, store)
        stored = [event async for event in store.read_all()]
        appended = [event.event_id for append in known for event in append.events]
        assert appended == [event.event_id for event in stored]
        assert [append.position for append in known] == [stored[1].position, stored[2].position]

    async def test_a_stream_that_moved_on_refuses_the_commit(
        self, subject: UnitOfWorkSubject, store: IEventStore, recorder: EventRecorder
    ) -> None:
        """G2: whatever is recorded for a loaded stream is expected at the loaded version."""
        order, work = place_order(), Work(subject)
        await store.append(_stream(order), new_events(1))
        uow = subject.unit_of_work()
        uow.record_with(recorder.record)
        uow.expect_stream(order, store)
        uow.add_events(order.get_uncommitted_events())
        with pytest.raises(OptimisticConcurrencyError) as caught:
            async with uow:
                await work.write()
        assert (caught.value.expected, caught.value.actual) == (0, 1)
        assert await work.traces() == NOTHING

    async def test_a_conflict_may_be_resolved_in_the_same_unit_of_work(
        self, subject: UnitOfWorkSubject, store: IEventStore, recorder: EventRecorder
    ) -> None:
        order, work = place_order(), Work(subject)
        stream = _stream(order)
        await store.append(stream, new_events(3))

        async def append_after(
            conflict: OptimisticConcurrencyError, events: Sequence[NewEvent]
        ) -> int:
            assert (conflict.target, len(events)) == (stream, 1)
            return await store.get_stream_version(stream)

        async with subject.unit_of_work() as uow:
            uow.record_with(recorder.record)
            uow.save_stream(order, store).on_conflict = append_after
            await work.write()
        assert await store.get_stream_version(stream) == 4
        assert await work.traces() == ALL

    async def test_a_second_copy_is_stale_once_the_first_is_saved(
        self, subject: UnitOfWorkSubject, store: IEventStore, recorder: EventRecorder
    ) -> None:
        first = place_order()
        second = place_order(first.id)
        async with subject.unit_of_work() as uow:
            uow.record_with(recorder.record)
            uow.save_stream(first, store)
            with pytest.raises(OptimisticConcurrencyError):
                uow.save_stream(second, store)
            second.mark_events_as_committed()
        assert await store.get_stream_version(_stream(first)) == 1

    async def test_hooks_after_recording_see_the_events_and_can_veto(
        self, subject: UnitOfWorkSubject, store: IEventStore, recorder: EventRecorder
    ) -> None:
        order, seen = place_order(), list[int]()

        async def look(uow: UnitOfWork) -> None:
            assert uow.position is not None
            seen.append(await store.get_stream_version(_stream(order)))
            raise Veto

        uow = subject.unit_of_work()
        uow.record_with(recorder.record)
        uow.after_record(look)
        with pytest.raises(Veto):
            async with uow:
                uow.save_stream(order, store)
        assert seen == [1]
        assert await elsewhere(store.get_stream_version(_stream(order))) == 0

    async def test_a_fallback_recorder_only_serves_where_there_is_no_other(
        self, subject: UnitOfWorkSubject, store: IEventStore, recorder: EventRecorder
    ) -> None:
        taken = list[str]()

        async def record(uow: UnitOfWork) -> list[DomainEvent]:
            events = uow.take_events()
            taken.extend(event.event_type for event in events)
            return events

        for is_alone in (True, False):
            order = place_order()
            async with subject.unit_of_work() as uow:
                uow.record_with(recorder.record, fallback=True)
                if not is_alone:
                    uow.record_with(record)
                uow.save_events(order)
            assert await store.get_stream_version(_stream(order)) == int(is_alone)
        assert taken == ["SampleOrderPlaced"]


def _stream(order: SampleOrder) -> StreamId:
    return StreamId(SampleOrder.aggregate_type, order.id)
