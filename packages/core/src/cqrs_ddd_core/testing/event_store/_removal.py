"""Which streams there are, and removing the past of one."""

from __future__ import annotations

import asyncio

import pytest

from cqrs_ddd_core.correlation import message_context
from cqrs_ddd_core.ports.event_store import (
    ANY,
    NO_STREAM,
    STREAM_EXISTS,
    ExpectedVersion,
    IEventStore,
    StreamId,
)
from cqrs_ddd_core.ports.unit_of_work_scope import UnitOfWorkFactory
from cqrs_ddd_core.primitives.exceptions import NewestEventError, OptimisticConcurrencyError
from cqrs_ddd_core.testing.conformance import elsewhere, needs, rolled_back
from cqrs_ddd_core.testing.event_store._suite import EventStoreSuite, ids_of
from cqrs_ddd_core.testing.samples import AWKWARD_TEXT, new_event, new_events, new_stream

__all__ = ["RemovalTests"]


class RemovalTests(EventStoreSuite):
    async def test_streams_are_listed_by_id_in_code_point_order(self, store: IEventStore) -> None:
        ids = [
            "b",
            "a",
            "B",
            "Z",
            "ä",
            "a-1",
            "a1",
            "10",
            "9",
            "\U0001f4bf",
            "\uffee",
            AWKWARD_TEXT,
        ]
        for aggregate_id in ids:
            await store.append(StreamId("Order", aggregate_id), new_events(2))
        await store.append(StreamId("Customer", "c"), new_events(1))
        expected = [StreamId("Order", aggregate_id) for aggregate_id in sorted(ids)]
        assert await store.get_streams("Order") == expected
        assert await store.get_streams("Order", limit=3) == expected[:3]
        assert (
            await store.get_streams("Order", after_id="B", limit=2)
            == [s for s in expected if s.aggregate_id > "B"][:2]
        )
        assert [s async for s in store.read_streams("Order", batch_size=5)] == expected
        assert await store.get_streams("Order", limit=0) == []
        assert await store.get_streams("Nothing") == []

    async def test_a_unit_of_work_lists_the_streams_it_began(
        self, store: IEventStore, unit_of_work: UnitOfWorkFactory
    ) -> None:
        await store.append(StreamId("Order", "2"), new_events(1))
        async with rolled_back(unit_of_work):
            await store.append(StreamId("Order", "1"), new_events(1))
            await store.append(StreamId("Order", "2"), new_events(1))
            assert [s.aggregate_id for s in await store.get_streams("Order")] == ["1", "2"]
        assert [s.aggregate_id for s in await store.get_streams("Order")] == ["2"]

    @needs("concurrent_transactions")
    async def test_others_do_not_see_a_stream_before_its_commit(
        self, store: IEventStore, unit_of_work: UnitOfWorkFactory
    ) -> None:
        async with unit_of_work():
            await store.append(StreamId("Order", "1"), new_events(1))
            assert await elsewhere(store.get_streams("Order")) == []
        assert await store.get_streams("Order") == [StreamId("Order", "1")]

    async def test_tenants_list_and_remove_their_own_events_only(self, store: IEventStore) -> None:
        stream = StreamId("Order", "1")
        await store.append(stream, new_events(3))
        with message_context(tenant_id="a"):
            assert await store.get_streams("Order") == []
            assert await store.delete_events(stream, up_to_version=2) == 0
        assert len(await store.get_events(stream)) == 3

    async def test_removed_events_are_gone_and_the_others_stay(self, store: IEventStore) -> None:
        stream, other, events = new_stream(), new_stream(), new_events(5)
        await store.append(stream, events)
        await store.append(other, new_events(2))
        assert await store.delete_events(stream, up_to_version=3) == 3
        found = await store.get_events(stream)
        assert [event.version for event in found] == [4, 5]
        assert ids_of(found) == ids_of(events[3:])
        assert len(await store.get_events(other)) == 2
        assert await store.delete_events(stream, up_to_version=3) == 0
        assert await store.delete_events(stream, up_to_version=4) == 1
        assert stream in await store.get_streams(stream.aggregate_type)

    async def test_a_stream_with_a_removed_past_is_read_between_versions(
        self, store: IEventStore
    ) -> None:
        stream, events = new_stream(), new_events(10)
        await store.append(stream, events)
        await store.delete_events(stream, up_to_version=5)
        assert await store.get_events(stream, up_to_version=5) == []
        part = await store.get_events(stream, after_version=3, up_to_version=8)
        assert [event.version for event in part] == [6, 7, 8]
        part = await store.get_events(stream, after_version=6, limit=2)
        assert [event.version for event in part] == [7, 8]
        rest = [event async for event in store.read_stream(stream, batch_size=2)]
        assert ids_of(rest) == ids_of(events[5:])

    @pytest.mark.parametrize("expected", [4, STREAM_EXISTS, ANY], ids=str)
    async def test_the_versions_go_on_after_a_removal(
        self, store: IEventStore, expected: ExpectedVersion
    ) -> None:
        stream = new_stream()
        await store.append(stream, new_events(4))
        await store.delete_events(stream, up_to_version=3)
        assert await store.get_stream_version(stream) == 4
        for stale in (NO_STREAM, 1, 3):
            with pytest.raises(OptimisticConcurrencyError):
                await store.append(stream, new_events(1), expected_version=stale)
        result = await store.append(stream, new_events(2), expected_version=expected)
        assert result.version == await store.get_stream_version(stream) == 6
        assert [event.version for event in await store.get_events(stream)] == [4, 5, 6]

    async def test_a_repeat_of_what_is_left_is_still_recognised(self, store: IEventStore) -> None:
        stream, events = new_stream(), new_events(2)
        await store.append(stream, new_events(2))
        first = await store.append(stream, events, expected_version=2)
        await store.delete_events(stream, up_to_version=2)
        assert await store.append(stream, events, expected_version=2) == first
        assert await store.get_stream_version(stream) == 4

    @pytest.mark.parametrize("up_to_version", [3, 4, 100])
    async def test_the_newest_event_cannot_be_removed(
        self, store: IEventStore, up_to_version: int
    ) -> None:
        stream = new_stream()
        await store.append(stream, new_events(3))
        with pytest.raises(NewestEventError, match="tombstone or a summary") as refused:
            await store.delete_events(stream, up_to_version=up_to_version)
        assert refused.value.version == 3
        assert len(await store.get_events(stream)) == 3

    async def test_there_may_be_nothing_to_remove(self, store: IEventStore) -> None:
        stream = new_stream()
        assert await store.delete_events(stream, up_to_version=7) == 0
        await store.append(stream, new_events(1))
        assert await store.delete_events(stream, up_to_version=0) == 0
        assert await store.get_stream_version(stream) == 1

    async def test_a_unit_of_work_removes_what_a_summary_replaces(
        self, store: IEventStore, unit_of_work: UnitOfWorkFactory
    ) -> None:
        stream, summary = new_stream(), new_event("Summary")
        await store.append(stream, new_events(3))
        async with unit_of_work():
            await store.append(stream, [summary], expected_version=3)
            assert await store.delete_events(stream, up_to_version=3) == 3
            assert ids_of(await store.get_events(stream)) == [summary.event_id]
            assert await store.get_stream_version(stream) == 4
            await store.append(stream, new_events(1), expected_version=4)
        assert [event.version for event in await store.get_events(stream)] == [4, 5]

    async def test_a_unit_of_work_may_remove_what_it_appended(
        self, store: IEventStore, unit_of_work: UnitOfWorkFactory
    ) -> None:
        stream, events = new_stream(), new_events(3)
        await store.append(stream, new_events(2))
        async with unit_of_work():
            await store.append(stream, events, expected_version=2)
            assert await store.delete_events(stream, up_to_version=4) == 4
            assert await store.get_stream_version(stream) == 5
        assert ids_of(await store.get_events(stream)) == ids_of(events[2:])
        assert ids_of((await store.read_page()).events) == ids_of(events[2:])

    async def test_a_rolled_back_removal_never_was(
        self, store: IEventStore, unit_of_work: UnitOfWorkFactory
    ) -> None:
        stream, events = new_stream(), new_events(3)
        await store.append(stream, events)
        async with rolled_back(unit_of_work):
            assert await store.delete_events(stream, up_to_version=2) == 2
            assert await store.append(stream, new_events(1), expected_version=3)
        assert ids_of(await store.get_events(stream)) == ids_of(events)
        assert ids_of((await store.read_page()).events) == ids_of(events)

    async def test_readers_of_everything_pass_over_what_was_removed(
        self, store: IEventStore
    ) -> None:
        stream, events = new_stream(), new_events(8)
        await store.append(stream, events[:6])
        page = await store.read_page(limit=2)
        await store.delete_events(stream, up_to_version=5)
        await store.append(stream, events[6:])
        rest = [event async for event in store.read_all(page.position, batch_size=1)]
        assert ids_of(rest) == ids_of(events[5:])
        assert await store.get_latest_position() == rest[-1].position

    async def test_appends_go_on_while_the_past_is_removed(self, store: IEventStore) -> None:
        stream = new_stream()
        await store.append(stream, new_events(30))

        async def append() -> None:
            for _ in range(10):
                await store.append(stream, new_events(1))

        async def remove() -> int:
            return sum(
                [
                    await store.delete_events(stream, up_to_version=version)
                    for version in (9, 19, 29)
                ]
            )

        async with asyncio.timeout(60):
            *_, removed, again = await asyncio.gather(append(), append(), remove(), remove())
        assert removed + again == 29
        found = await store.get_events(stream)
        assert [event.version for event in found] == list(range(30, 51))
