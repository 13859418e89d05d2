"""The undo history in memory keeps the promises of its port."""

from __future__ import annotations

import pytest

from cqrs_ddd_advanced_core.adapters.memory import InMemoryUndoHistory
from cqrs_ddd_advanced_core.testing import UndoHistoryConformance, UndoHistorySubject
from cqrs_ddd_core.adapters.memory import (
    InMemoryDatabase,
    InMemoryEventStore,
    InMemoryUnitOfWork,
)


class TestInMemoryUndoHistory(UndoHistoryConformance):
    @pytest.fixture
    def subject(self) -> UndoHistorySubject:
        database = InMemoryDatabase()
        return UndoHistorySubject(
            InMemoryUndoHistory(database),
            lambda: InMemoryUnitOfWork(database),
            InMemoryEventStore(database),
        )
