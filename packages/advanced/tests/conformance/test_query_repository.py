"""Query repositories over read models in memory."""

from __future__ import annotations

import pytest

from cqrs_ddd_advanced_core.adapters.memory import InMemoryProjectionStore
from cqrs_ddd_advanced_core.testing import QueryRepositoryConformance, QueryRepositorySubject


class TestQueryRepositoryInMemory(QueryRepositoryConformance):
    @pytest.fixture
    def subject(self) -> QueryRepositorySubject:
        return QueryRepositorySubject(InMemoryProjectionStore())
