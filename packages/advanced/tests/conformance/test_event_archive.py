"""The event archive in memory keeps the promises of its port, and so does a store behind it."""

from __future__ import annotations

import pytest

from cqrs_ddd_advanced_core.adapters.memory import InMemoryEventArchive
from cqrs_ddd_advanced_core.event_sourcing import ArchivedEventStore
from cqrs_ddd_advanced_core.testing import EventArchiveConformance, EventArchiveSubject
from cqrs_ddd_core.adapters.memory import InMemoryDatabase, InMemoryEventStore, InMemoryUnitOfWork
from cqrs_ddd_core.testing import EventStoreConformance, EventStoreSubject


class TestInMemoryEventArchive(EventArchiveConformance):
    @pytest.fixture
    def subject(self) -> EventArchiveSubject:
        database = InMemoryDatabase()
        return EventArchiveSubject(
            InMemoryEventArchive(database),
            InMemoryEventStore(database),
            lambda: InMemoryUnitOfWork(database),
        )


class TestArchivedEventStore(EventStoreConformance):
    @pytest.fixture
    def subject(self) -> EventStoreSubject:
        database = InMemoryDatabase()
        live, archive = InMemoryEventStore(database), InMemoryEventArchive(database)
        return EventStoreSubject(
            ArchivedEventStore(live, archive), lambda: InMemoryUnitOfWork(database)
        )
