"""The port by itself."""

from __future__ import annotations

from datetime import timedelta

import pytest

from cqrs_ddd_advanced_core.ports.event_archive import IEventArchive
from cqrs_ddd_advanced_core.testing.event_archive._suite import ArchiveSuite, EventArchiveSubject
from cqrs_ddd_core.correlation import message_context
from cqrs_ddd_core.ports.event_store import EventFilter, IEventStore, StoredEvent, StreamId
from cqrs_ddd_core.primitives.exceptions import EventStoreError
from cqrs_ddd_core.primitives.id_generator import new_id
from cqrs_ddd_core.testing.conformance import rolled_back
from cqrs_ddd_core.testing.samples import MOMENT, new_event, new_events, new_stream

__all__ = ["ArchiveTests"]


class ArchiveTests(ArchiveSuite):
    """The port by itself."""

    async def test_events_come_back_exactly(
        self, archive: IEventArchive, live: IEventStore
    ) -> None:
        stream = new_stream()
        await live.append(
            stream,
            [
                new_event(payload=bytes(range(256)), schema_version=7),
                new_event(correlation_id=None, causation_id=None, metadata={}),
            ],
        )
        events = await live.get_events(stream)
        await archive.add_events(stream, events)
        assert await archive.get_events(stream) == events
        assert await archive.read_positions(0, events[-1].position, limit=10) == events

    async def test_reading_is_limited(self, archive: IEventArchive, live: IEventStore) -> None:
        stream, events = await _archived(archive, live, 10)
        _, others = await _archived(archive, live, 3)
        found = await archive.get_events(stream, after_version=2, up_to_version=8, limit=4)
        assert found == events[2:6]
        late = EventFilter(occurred_from=MOMENT + timedelta(hours=7))
        assert await archive.get_events(stream, event_filter=late) == events[7:]
        assert await archive.get_events(new_stream()) == []
        last = others[-1].position
        assert await archive.read_positions(0, last, limit=100) == [*events, *others]
        found = await archive.read_positions(events[3].position, events[8].position, limit=3)
        assert found == events[4:7]
        found = await archive.read_positions(0, last, limit=2, event_filter=late)
        assert found == events[7:9]

    async def test_adding_again_changes_nothing(
        self, archive: IEventArchive, live: IEventStore
    ) -> None:
        stream, events = await _archived(archive, live, 4)
        await archive.add_events(stream, events[1:3])
        await archive.add_events(stream, [])
        assert await archive.get_events(stream) == events

    async def test_another_event_in_the_same_place_is_refused(
        self, archive: IEventArchive, live: IEventStore
    ) -> None:
        stream, events = await _archived(archive, live, 2)
        other = events[1]._replace(event_id=new_id(), position=events[1].position + 1)
        with pytest.raises(EventStoreError, match="version 2"):
            await archive.add_events(stream, [other])
        assert await archive.get_events(stream) == events

    async def test_changing_what_was_read_changes_nothing(
        self, archive: IEventArchive, live: IEventStore
    ) -> None:
        stream, events = await _archived(archive, live, 1)
        [found] = await archive.get_events(stream)
        dict.update(found.metadata, changed=True)
        found.payload["note"] = "changed"
        assert await archive.get_events(stream) == events

    async def test_archived_events_can_be_removed_for_good(
        self, archive: IEventArchive, live: IEventStore
    ) -> None:
        stream, events = await _archived(archive, live, 5)
        assert await archive.delete_events(stream, up_to_version=2) == 2
        assert await archive.get_events(stream) == events[2:]
        assert await archive.delete_events(stream) == 3
        assert await archive.delete_events(stream) == 0
        assert await archive.get_events(stream) == []
        assert await archive.read_positions(0, events[-1].position, limit=10) == []

    async def test_tenants_have_their_own_archive(
        self, archive: IEventArchive, live: IEventStore
    ) -> None:
        stream, events = await _archived(archive, live, 2)
        with message_context(tenant_id="other"):
            assert await archive.get_events(stream) == []
            assert await archive.read_positions(0, 1000, limit=10) == []
            assert await archive.delete_events(stream) == 0
            await live.append(stream, new_events(1))
            others = await live.get_events(stream)
            await archive.add_events(stream, others)
            assert await archive.get_events(stream) == others
        assert await archive.get_events(stream) == events

    async def test_a_rollback_forgets_what_was_added_and_removed(
        self, subject: EventArchiveSubject
    ) -> None:
        """G1."""
        archive = subject.archive
        stream, events = await _archived(archive, subject.event_store, 2)
        async with rolled_back(subject.unit_of_work):
            new = events[1]._replace(version=3, position=events[1].position + 1, event_id=new_id())
            await archive.add_events(stream, [new])
            assert len(await archive.get_events(stream)) == 3
            assert await archive.delete_events(stream) == 3
        assert await archive.get_events(stream) == events


async def _archived(
    archive: IEventArchive, live: IEventStore, count: int
) -> tuple[StreamId, list[StoredEvent]]:
    stream = new_stream()
    events = [new_event(occurred_at=MOMENT + timedelta(hours=n)) for n in range(count)]
    await live.append(stream, events)
    stored = await live.get_events(stream)
    await archive.add_events(stream, stored)
    return stream, stored
