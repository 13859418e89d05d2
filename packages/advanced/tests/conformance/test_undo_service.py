"""Commands in memory can be undone and redone."""

from __future__ import annotations

import pytest

from cqrs_ddd_advanced_core.adapters.memory import InMemoryUndoHistory
from cqrs_ddd_advanced_core.testing.undo_service import (
    Basket,
    UndoServiceConformance,
    UndoServiceSubject,
)
from cqrs_ddd_core.adapters.memory import (
    InMemoryDatabase,
    InMemoryInbox,
    InMemoryRepository,
    InMemoryUnitOfWork,
)


class TestInMemoryUndoService(UndoServiceConformance):
    @pytest.fixture
    def subject(self) -> UndoServiceSubject:
        database = InMemoryDatabase()
        return UndoServiceSubject(
            history=InMemoryUndoHistory(database),
            unit_of_work=lambda: InMemoryUnitOfWork(database),
            inbox=InMemoryInbox(database),
            baskets=InMemoryRepository(Basket, database),
        )
