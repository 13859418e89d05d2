"""The in-memory snapshot store keeps the promises of its port."""

from __future__ import annotations

import pytest

from cqrs_ddd_advanced_core.adapters.memory import InMemorySnapshotStore
from cqrs_ddd_advanced_core.testing import SnapshotStoreConformance, SnapshotStoreSubject
from cqrs_ddd_core.adapters.memory import InMemoryDatabase, InMemoryUnitOfWork


class TestInMemorySnapshotStore(SnapshotStoreConformance):
    @pytest.fixture
    def subject(self) -> SnapshotStoreSubject:
        database = InMemoryDatabase()
        return SnapshotStoreSubject(
            InMemorySnapshotStore(database), lambda: InMemoryUnitOfWork(database)
        )
