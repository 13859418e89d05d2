"""Expected versions, and appends that are repeated."""

from __future__ import annotations

import asyncio

import pytest

from cqrs_ddd_core.ports.event_store import (
    ANY,
    NO_STREAM,
    STREAM_EXISTS,
    ExpectedVersion,
    IEventStore,
)
from cqrs_ddd_core.primitives.exceptions import EventStoreError, OptimisticConcurrencyError
from cqrs_ddd_core.testing.event_store._suite import EventStoreSuite, ids_of
from cqrs_ddd_core.testing.samples import new_event, new_events, new_stream

__all__ = ["VersionTests"]


class VersionTests(EventStoreSuite):
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

    @pytest.mark.parametrize("expected", [-2, -1, 0, 1, 3, NO_STREAM], ids=str)
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
        assert ids_of((await store.get_events(stream))[1:]) == ids_of(won[0])

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
            assert ids_of(found[result.version - 2 : result.version]) == ids_of(batch)

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
        assert ids_of(await store.get_events(stream)) == ids_of(events)

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


def _is_done(outcome: object) -> bool:
    return not isinstance(outcome, BaseException)
