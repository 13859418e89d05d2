"""What is tested, and what the tests of this suite share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from cqrs_ddd_advanced_core.event_sourcing import (
    ArchivedEventStore,
    EventReplayService,
    StreamArchiver,
)
from cqrs_ddd_advanced_core.ports.event_archive import IEventArchive
from cqrs_ddd_advanced_core.testing.samples import SampleAccount
from cqrs_ddd_core.cqrs.event_serializer import serialize_event
from cqrs_ddd_core.ports.event_store import IEventStore, StreamId
from cqrs_ddd_core.ports.unit_of_work_scope import UnitOfWorkFactory
from cqrs_ddd_core.primitives.id_generator import new_id
from cqrs_ddd_core.testing.conformance import Conformance

__all__ = ["ArchiveSuite", "EventArchiveSubject", "open_account", "state_at"]


@dataclass(frozen=True)
class EventArchiveSubject:
    """An empty archive, an empty event store of the same database, and its units of work."""

    archive: IEventArchive
    event_store: IEventStore
    unit_of_work: UnitOfWorkFactory

    def archiver(self) -> StreamArchiver:
        return StreamArchiver(self.event_store, self.archive, self.unit_of_work, batch_size=3)


class ArchiveSuite(Conformance):
    @pytest.fixture
    def subject(self) -> EventArchiveSubject:
        raise NotImplementedError("yield an EventArchiveSubject with an empty archive and store")

    @pytest.fixture
    def archive(self, subject: EventArchiveSubject) -> IEventArchive:
        return subject.archive

    @pytest.fixture
    def live(self, subject: EventArchiveSubject) -> IEventStore:
        return subject.event_store

    @pytest.fixture
    def whole(self, subject: EventArchiveSubject) -> IEventStore:
        return ArchivedEventStore(subject.event_store, subject.archive)


async def open_account(store: IEventStore, deposits: int) -> StreamId:
    account = SampleAccount.open(str(new_id()))
    for _ in range(deposits):
        account.deposit(1)
    stream = StreamId(SampleAccount.aggregate_type, account.id)
    events = [serialize_event(event) for event in account.get_uncommitted_events()]
    await store.append(stream, events)
    return stream


async def state_at(
    store: IEventStore, stream: StreamId, version: int, aggregate_class: Any = SampleAccount
) -> Any:
    replay = EventReplayService(store)
    state = await replay.get_snapshot_at_version(aggregate_class, stream.aggregate_id, version)
    assert state is not None
    return state
