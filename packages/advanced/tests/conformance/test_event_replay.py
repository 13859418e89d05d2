"""The past of aggregates in memory looks as promised."""

from __future__ import annotations

import pytest

from cqrs_ddd_advanced_core.testing.event_replay import EventReplayConformance, EventReplaySubject
from cqrs_ddd_core.adapters.memory import InMemoryDatabase, InMemoryEventStore, InMemoryUnitOfWork


class TestInMemoryEventReplay(EventReplayConformance):
    @pytest.fixture
    def subject(self) -> EventReplaySubject:
        database = InMemoryDatabase()
        store = InMemoryEventStore(database)
        return EventReplaySubject(store, lambda: InMemoryUnitOfWork(database))
