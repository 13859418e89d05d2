"""Moving events, and reading them as if they had not been moved."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest

from cqrs_ddd_advanced_core.domain.exceptions import (
    EventSourcingConfigurationError,
    HistoryRemovedError,
    StreamGapError,
)
from cqrs_ddd_advanced_core.event_sourcing import (
    ArchiveProgress,
    EventSourcedLoader,
    StreamArchiver,
)
from cqrs_ddd_advanced_core.testing.event_archive._suite import (
    ArchiveSuite,
    EventArchiveSubject,
    open_account,
    state_at,
)
from cqrs_ddd_advanced_core.testing.samples import SampleAccount
from cqrs_ddd_core.ports.event_store import EventFilter, IEventStore, StreamId
from cqrs_ddd_core.primitives.exceptions import EventStoreError
from cqrs_ddd_core.primitives.id_generator import new_id
from cqrs_ddd_core.testing.conformance import elsewhere, needs, rolled_back
from cqrs_ddd_core.testing.samples import MOMENT, new_event, new_events, new_stream

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["ArchivingTests"]


class ArchivingTests(ArchiveSuite):
    """Moving events, and reading them as if they had not been moved."""

    async def test_archived_events_are_read_as_before(
        self, subject: EventArchiveSubject, whole: IEventStore
    ) -> None:
        streams = await _history(subject.event_store)
        before = await _everything(subject.event_store, streams)
        for stream, until in zip(streams, (4, 1, 9, None), strict=True):
            await subject.archiver().archive(stream, up_to_version=until)
        assert await _everything(whole, streams) == before
        assert len(await subject.event_store.get_events(streams[3])) == 1

    async def test_the_newest_event_stays(self, subject: EventArchiveSubject) -> None:
        stream, live = new_stream(), subject.event_store
        await live.append(stream, new_events(5))
        assert await subject.archiver().archive(stream, up_to_version=99) == 4
        assert await subject.archiver().archive(stream) == 0
        assert [event.version for event in await live.get_events(stream)] == [5]
        assert await subject.archiver().archive(new_stream()) == 0
        await live.append(stream, new_events(1), expected_version=5)
        assert await subject.archiver().archive(stream) == 1

    async def test_only_what_happened_before_a_moment_is_archived(
        self, subject: EventArchiveSubject
    ) -> None:
        stream = new_stream()
        events = [new_event(occurred_at=MOMENT + timedelta(hours=n)) for n in (0, 1, 5, 2, 6)]
        await subject.event_store.append(stream, events)
        moment = MOMENT + timedelta(hours=4)
        assert await subject.archiver().archive(stream, before=moment) == 2
        assert await subject.archiver().archive(stream, before=moment) == 0

    async def test_the_archive_and_the_stream_change_together(
        self, subject: EventArchiveSubject
    ) -> None:
        """G1."""
        stream, live = new_stream(), subject.event_store
        await live.append(stream, new_events(7))
        before = await live.get_events(stream)
        async with rolled_back(subject.unit_of_work):
            assert await subject.archiver().archive(stream) == 6
        assert await live.get_events(stream) == before
        assert await subject.archive.get_events(stream) == []

    async def test_nothing_is_removed_that_the_archive_refused(
        self, subject: EventArchiveSubject
    ) -> None:
        stream, live = new_stream(), subject.event_store
        await live.append(stream, new_events(5))
        events = await live.get_events(stream)
        wrong = events[3]._replace(event_id=new_id(), position=events[3].position + 100)
        await subject.archive.add_events(stream, [wrong])
        with pytest.raises(EventStoreError):
            await subject.archiver().archive(stream)
        assert await live.get_events(stream) == events

    async def test_many_streams_are_archived_with_progress(
        self, subject: EventArchiveSubject
    ) -> None:
        live = subject.event_store
        for number in range(5):
            await live.append(StreamId("Order", str(number)), new_events(number + 1))
        told: list[ArchiveProgress] = []
        done = await subject.archiver().archive_all(
            live.read_streams("Order", batch_size=2), progress=told.append
        )
        assert done == ArchiveProgress(5, 10, StreamId("Order", "4"))
        assert [progress.events for progress in told] == [0, 1, 3, 6, 10]

    async def test_writers_and_readers_go_on_while_events_are_archived(
        self, subject: EventArchiveSubject, whole: IEventStore
    ) -> None:
        stream, live = new_stream(), subject.event_store
        await live.append(stream, new_events(20))

        async def write() -> None:
            for _ in range(15):
                await live.append(stream, new_events(1))

        async def archive() -> None:
            for _ in range(8):
                await subject.archiver().archive(stream)

        async def read() -> None:
            for _ in range(20):
                found = [event async for event in whole.read_stream(stream, batch_size=7)]
                versions = [event.version for event in found]
                assert versions == list(range(1, len(versions) + 1))
                feed = [event async for event in whole.read_all(batch_size=7)]
                assert [event.version for event in feed] == list(range(1, len(feed) + 1))
                assert len(feed) >= 20

        async with asyncio.timeout(60):
            await asyncio.gather(write(), archive(), archive(), read())
        assert len(await whole.get_events(stream)) == 35

    @needs("concurrent_transactions")
    async def test_a_reader_sees_all_events_while_they_are_being_moved(
        self, subject: EventArchiveSubject, whole: IEventStore
    ) -> None:
        stream = new_stream()
        await subject.event_store.append(stream, new_events(6))
        before = await whole.get_events(stream)
        async with subject.unit_of_work():
            await subject.archiver().archive(stream)
            assert await whole.get_events(stream) == before
            assert list((await whole.read_page()).events) == before
            assert await elsewhere(whole.get_events(stream)) == before
            assert list((await elsewhere(whole.read_page())).events) == before
        assert await whole.get_events(stream) == before

    async def test_removing_for_good_reaches_the_archive(
        self, subject: EventArchiveSubject, whole: IEventStore
    ) -> None:
        stream = new_stream()
        await subject.event_store.append(stream, new_events(6))
        await subject.archiver().archive(stream, up_to_version=3)
        assert await whole.delete_events(stream, up_to_version=5) == 5
        assert await subject.archive.get_events(stream) == []
        assert [event.version for event in await whole.get_events(stream)] == [6]

    async def test_an_archive_is_not_archived(
        self, subject: EventArchiveSubject, whole: IEventStore
    ) -> None:
        with pytest.raises(EventSourcingConfigurationError, match="live store"):
            StreamArchiver(whole, subject.archive, subject.unit_of_work)

    async def test_an_aggregate_is_loaded_through_the_archive_only(
        self, subject: EventArchiveSubject, whole: IEventStore
    ) -> None:
        stream, live = await open_account(subject.event_store, 5), subject.event_store
        await subject.archiver().archive(stream)
        with pytest.raises(StreamGapError, match="archive"):
            await EventSourcedLoader(SampleAccount, live).load(stream.aggregate_id)
        account = await EventSourcedLoader(SampleAccount, whole).load(stream.aggregate_id)
        assert account is not None
        assert account.balance == 5
        with pytest.raises(HistoryRemovedError, match="ArchivedEventStore"):
            await state_at(live, stream, 2)
        assert (await state_at(whole, stream, 2)).balance == 1


async def _history(store: IEventStore) -> list[StreamId]:
    """Append to four streams in turns."""
    streams = [new_stream() for _ in range(4)]
    for number in range(10):
        for stream in streams:
            moment = MOMENT + timedelta(hours=number)
            await store.append(stream, [new_event(f"Event{number % 3}", occurred_at=moment)])
    return streams


async def _everything(store: IEventStore, streams: Sequence[StreamId]) -> dict[Any, Any]:
    """Read all there is in all the ways there are."""
    found: dict[Any, Any] = {}
    filters = {
        "all": None,
        "some": EventFilter(event_types=frozenset({"Event1"})),
        "late": EventFilter(occurred_from=MOMENT + timedelta(hours=5)),
    }
    for stream, (name, wanted), after in product(streams, filters.items(), (0, 3, 9, 10)):
        for until, limit in product((None, 7), (None, 1, 4)):
            found[stream, name, after, until, limit] = await store.get_events(
                stream,
                after_version=after,
                up_to_version=until,
                limit=limit,
                event_filter=wanted,
            )
    for (name, wanted), size in product(filters.items(), (1, 3, 100)):
        feed = store.read_all(batch_size=size, event_filter=wanted)
        found[name, size] = [event async for event in feed]
    found["versions"] = [await store.get_stream_version(stream) for stream in streams]
    found["streams"] = await store.get_streams(streams[0].aggregate_type)
    found["latest"] = await store.get_latest_position()
    return found
