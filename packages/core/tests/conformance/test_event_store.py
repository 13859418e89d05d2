"""The in-memory event store keeps the promises of its port."""

from __future__ import annotations

import pytest

from cqrs_ddd_core.adapters.memory import InMemoryDatabase, InMemoryEventStore, InMemoryUnitOfWork
from cqrs_ddd_core.testing import EventStoreConformance, EventStoreSubject


class TestInMemoryEventStore(EventStoreConformance):
    @pytest.fixture
    def subject(self) -> EventStoreSubject:
        database = InMemoryDatabase()
        return EventStoreSubject(InMemoryEventStore(database), lambda: InMemoryUnitOfWork(database))


class TestInMemoryEventStoreWithoutADatabase(EventStoreConformance):
    @pytest.fixture
    def subject(self) -> EventStoreSubject:
        return EventStoreSubject(InMemoryEventStore(), InMemoryUnitOfWork)
