"""The projection store in memory keeps the promises of its port, behind a cache too."""

from __future__ import annotations

import pytest

from cqrs_ddd_advanced_core.adapters.memory import InMemoryProjectionStore
from cqrs_ddd_advanced_core.queries import CachedProjectionStore
from cqrs_ddd_advanced_core.testing import ProjectionStoreConformance, ProjectionStoreSubject
from cqrs_ddd_core.adapters.memory import InMemoryCache, InMemoryDatabase, InMemoryEventStore


class TestInMemoryProjectionStore(ProjectionStoreConformance):
    @pytest.fixture
    def subject(self) -> ProjectionStoreSubject:
        database = InMemoryDatabase()
        return ProjectionStoreSubject(
            InMemoryProjectionStore(database), InMemoryEventStore(database)
        )


class TestCachedProjectionStore(ProjectionStoreConformance):
    @pytest.fixture
    def subject(self) -> ProjectionStoreSubject:
        database = InMemoryDatabase()
        store = CachedProjectionStore(InMemoryProjectionStore(database), InMemoryCache(), ttl=60)
        return ProjectionStoreSubject(store, InMemoryEventStore(database))
