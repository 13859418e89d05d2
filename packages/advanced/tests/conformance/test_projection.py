"""Projections on the stores in memory."""

from __future__ import annotations

import pytest

from cqrs_ddd_advanced_core.adapters.memory import InMemoryProjectionStore
from cqrs_ddd_advanced_core.testing import ProjectionConformance, ProjectionSubject
from cqrs_ddd_core.adapters.memory import InMemoryDatabase, InMemoryEventStore


class TestInMemoryProjections(ProjectionConformance):
    @pytest.fixture
    def subject(self) -> ProjectionSubject:
        database = InMemoryDatabase()
        return ProjectionSubject(InMemoryProjectionStore(database), InMemoryEventStore(database))
