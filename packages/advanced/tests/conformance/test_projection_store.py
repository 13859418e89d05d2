"""The projection store in memory keeps the promises of its port."""

from __future__ import annotations

import pytest

from cqrs_ddd_advanced_core.adapters.memory import InMemoryProjectionStore
from cqrs_ddd_advanced_core.testing import ProjectionStoreConformance, ProjectionStoreSubject
from cqrs_ddd_core.adapters.memory import InMemoryDatabase, InMemoryEventStore


class TestInMemoryProjectionStore(ProjectionStoreConformance):
    @pytest.fixture
    def subject(self) -> ProjectionStoreSubject:
        database = InMemoryDatabase()
        return ProjectionStoreSubject(
            InMemoryProjectionStore(database), InMemoryEventStore(database)
        )
