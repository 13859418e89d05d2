"""Event sourcing in memory keeps its promises."""

from __future__ import annotations

import pytest

from cqrs_ddd_advanced_core.testing.event_sourcing import (
    EventSourcingConformance,
    EventSourcingSubject,
)
from cqrs_ddd_core.adapters.memory import (
    InMemoryDatabase,
    InMemoryEventStore,
    InMemoryOutboxStorage,
    InMemoryUnitOfWork,
)


class TestInMemoryEventSourcing(EventSourcingConformance):
    @pytest.fixture
    def subject(self) -> EventSourcingSubject:
        database = InMemoryDatabase()
        return EventSourcingSubject(
            InMemoryEventStore(database),
            InMemoryOutboxStorage(database),
            lambda: InMemoryUnitOfWork(database),
        )
