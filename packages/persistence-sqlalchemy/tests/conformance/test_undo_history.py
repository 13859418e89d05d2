"""The undo history on SQLite and PostgreSQL keeps the promises of its port."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import pytest

from cqrs_ddd_advanced_core.testing import UndoHistoryConformance, UndoHistorySubject
from cqrs_ddd_core.adapters.memory import InMemoryUnitOfWork
from cqrs_ddd_core.primitives.exceptions import ConfigurationError
from cqrs_ddd_persistence_sqlalchemy import (
    SQLAlchemyEventStore,
    SQLAlchemyUndoHistory,
    SQLAlchemyUnitOfWork,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy.ext.asyncio import AsyncEngine


def _subject(engine: AsyncEngine) -> UndoHistorySubject:
    return UndoHistorySubject(
        SQLAlchemyUndoHistory(engine),
        lambda: SQLAlchemyUnitOfWork(engine),
        SQLAlchemyEventStore(engine),
    )


class TestSQLiteUndoHistory(UndoHistoryConformance):
    @pytest.fixture
    def subject(self, sqlite_engine: AsyncEngine) -> UndoHistorySubject:
        return _subject(sqlite_engine)


@pytest.mark.slow
class TestSQLiteMemoryUndoHistory(UndoHistoryConformance):
    lacks: ClassVar[Mapping[str, str]] = {
        "concurrent_transactions": "a database in memory has one connection"
    }

    @pytest.fixture
    def subject(self, sqlite_memory_engine: AsyncEngine) -> UndoHistorySubject:
        return _subject(sqlite_memory_engine)


class TestPostgresUndoHistory(UndoHistoryConformance):
    @pytest.fixture
    def subject(self, postgres_engine: AsyncEngine) -> UndoHistorySubject:
        return _subject(postgres_engine)


async def test_a_unit_of_work_of_another_database_is_refused(engine: AsyncEngine) -> None:
    history = SQLAlchemyUndoHistory(engine)
    async with InMemoryUnitOfWork():
        with pytest.raises(ConfigurationError, match="another database"):
            await history.lock("user:1")
