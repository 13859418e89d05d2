"""The checkpoint store in memory keeps the promises of its port."""

from __future__ import annotations

import pytest

from cqrs_ddd_advanced_core.adapters.memory import InMemoryCheckpointStore
from cqrs_ddd_advanced_core.testing import CheckpointStoreConformance, CheckpointStoreSubject
from cqrs_ddd_core.adapters.memory import InMemoryDatabase, InMemoryUnitOfWork


class TestInMemoryCheckpointStore(CheckpointStoreConformance):
    @pytest.fixture
    def subject(self) -> CheckpointStoreSubject:
        database = InMemoryDatabase()
        return CheckpointStoreSubject(
            InMemoryCheckpointStore(database), lambda: InMemoryUnitOfWork(database)
        )
