"""The in-memory unit of work keeps the promises of its port."""

from __future__ import annotations

import pytest

from cqrs_ddd_core.adapters.memory import (
    InMemoryDatabase,
    InMemoryEventStore,
    InMemoryInbox,
    InMemoryOutboxStorage,
    InMemoryUnitOfWork,
)
from cqrs_ddd_core.testing import UnitOfWorkConformance, UnitOfWorkSubject


class TestInMemoryUnitOfWork(UnitOfWorkConformance):
    @pytest.fixture
    def subject(self) -> UnitOfWorkSubject:
        database = InMemoryDatabase()
        return UnitOfWorkSubject(
            lambda: InMemoryUnitOfWork(database),
            InMemoryEventStore(database),
            InMemoryOutboxStorage(database),
            InMemoryInbox(database),
        )


class TestInMemoryUnitOfWorkOverSeveralDatabases(UnitOfWorkConformance):
    @pytest.fixture
    def subject(self) -> UnitOfWorkSubject:
        return UnitOfWorkSubject(
            InMemoryUnitOfWork, InMemoryEventStore(), InMemoryOutboxStorage(), InMemoryInbox()
        )
