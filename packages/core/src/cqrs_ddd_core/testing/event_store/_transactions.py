"""Units of work, and tenants."""

from __future__ import annotations

import asyncio

import pytest

from cqrs_ddd_core.correlation import message_context
from cqrs_ddd_core.ports.event_store import NO_STREAM, IEventStore, StreamId
from cqrs_ddd_core.ports.unit_of_work_scope import UnitOfWorkFactory
from cqrs_ddd_core.primitives.exceptions import ConcurrencyError, OptimisticConcurrencyError
from cqrs_ddd_core.testing.conformance import elsewhere, needs, rolled_back
from cqrs_ddd_core.testing.event_store._suite import EventStoreSuite, ids_of
from cqrs_ddd_core.testing.samples import new_event, new_events, new_stream

__all__ = ["TransactionTests"]


class TransactionTests(EventStoreSuite):
    async def test_a_unit_of_work_commits_its_appends_together(
        self, store: IEventStore, unit_of_work: UnitOfWorkFactory
    ) -> None:
        one, two = new_stream(), new_stream()
        first, second, third = new_events(3)
        async with unit_of_work():
            await store.append(one, [first], expected_version=NO_STREAM)
            await store.append(two, [second], expected_version=NO_STREAM)
            await store.append(one, [third], expected_version=1)
        assert ids_of(await store.get_events(one)) == [first.event_id, third.event_id]
        assert ids_of((await store.read_page()).events) == ids_of([first, second, third])

    async def test_a_unit_of_work_reads_what_it_wrote(
        self, store: IEventStore, unit_of_work: UnitOfWorkFactory
    ) -> None:
        stream, events = new_stream(), new_events(5)
        await store.append(stream, events[:2])
        async with unit_of_work():
            await store.append(stream, events[2:], expected_version=2)
            assert await store.get_stream_version(stream) == 5
            assert ids_of(await store.get_events(stream)) == ids_of(events)
            part = await store.get_events(stream, after_version=1, up_to_version=4)
            assert ids_of(part) == ids_of(events[1:4])
            later = [e async for e in store.read_stream(stream, after_version=3, batch_size=1)]
            assert ids_of(later) == ids_of(events[3:])

    @needs("concurrent_transactions")
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

    async def test_tenants_see_their_own_events_only(self, store: IEventStore) -> None:
        stream = StreamId("Order", "1")
        events = {tenant: new_event() for tenant in ("", "a", "b")}
        for tenant, event in events.items():
            with message_context(tenant_id=tenant):
                await store.append(stream, [event], expected_version=NO_STREAM)
        for tenant, event in events.items():
            with message_context(tenant_id=tenant):
                assert ids_of(await store.get_events(stream)) == [event.event_id]
                page = await store.read_page()
                assert ids_of(page.events) == [event.event_id]
                assert await store.get_stream_version(stream) == 1
                assert await store.get_latest_position() == page.events[0].position
                assert await store.get_head_position() == page.events[0].position
