"""Query repositories over read models in memory."""

from __future__ import annotations

import pytest

from cqrs_ddd_advanced_core.adapters.memory import InMemoryProjectionStore
from cqrs_ddd_advanced_core.queries import CachedProjectionStore
from cqrs_ddd_advanced_core.testing import QueryRepositoryConformance, QueryRepositorySubject
from cqrs_ddd_core.adapters.memory import InMemoryCache


class TestQueryRepositoryInMemory(QueryRepositoryConformance):
    @pytest.fixture
    def subject(self) -> QueryRepositorySubject:
        return QueryRepositorySubject(InMemoryProjectionStore())


class TestCachedQueryRepository(QueryRepositoryConformance):
    @pytest.fixture
    def subject(self) -> QueryRepositorySubject:
        store = CachedProjectionStore(InMemoryProjectionStore(), InMemoryCache(), ttl=60)
        return QueryRepositorySubject(store)
