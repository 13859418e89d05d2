"""Parked events in memory keep the promises of their port."""

from __future__ import annotations

import pytest

from cqrs_ddd_advanced_core.adapters.memory import InMemoryParkedEvents
from cqrs_ddd_advanced_core.testing import ParkedEventsConformance, ParkedEventsSubject
from cqrs_ddd_core.adapters.memory import InMemoryDatabase, InMemoryUnitOfWork


class TestInMemoryParkedEvents(ParkedEventsConformance):
    @pytest.fixture
    def subject(self) -> ParkedEventsSubject:
        database = InMemoryDatabase()
        return ParkedEventsSubject(
            InMemoryParkedEvents(database), lambda: InMemoryUnitOfWork(database)
        )
