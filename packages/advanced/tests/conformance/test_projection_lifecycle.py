"""Inline, live and staged projections and reactions in memory."""

from __future__ import annotations

import pytest

from cqrs_ddd_advanced_core.adapters.memory import InMemoryProjectionStore
from cqrs_ddd_advanced_core.testing import (
    ProjectionLifecycleConformance,
    ProjectionLifecycleSubject,
)
from cqrs_ddd_core.adapters.memory import InMemoryDatabase, InMemoryEventStore


class TestInMemoryProjectionLifecycle(ProjectionLifecycleConformance):
    @pytest.fixture
    def subject(self) -> ProjectionLifecycleSubject:
        database = InMemoryDatabase()
        return ProjectionLifecycleSubject(
            InMemoryEventStore(database), InMemoryProjectionStore(database)
        )
