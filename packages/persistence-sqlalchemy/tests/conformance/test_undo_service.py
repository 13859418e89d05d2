"""Commands on SQLite and PostgreSQL can be undone and redone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cqrs_ddd_advanced_core.testing.undo_service import (
    Basket,
    UndoServiceConformance,
    UndoServiceSubject,
)
from cqrs_ddd_persistence_sqlalchemy import (
    SQLAlchemyInbox,
    SQLAlchemyRepository,
    SQLAlchemyUndoHistory,
    SQLAlchemyUnitOfWork,
)

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine


def _subject(engine: AsyncEngine) -> UndoServiceSubject:
    return UndoServiceSubject(
        history=SQLAlchemyUndoHistory(engine),
        unit_of_work=lambda: SQLAlchemyUnitOfWork(engine),
        inbox=SQLAlchemyInbox(engine),
        baskets=SQLAlchemyRepository(Basket, engine),
    )


class TestSQLiteUndoService(UndoServiceConformance):
    @pytest.fixture
    def subject(self, sqlite_engine: AsyncEngine) -> UndoServiceSubject:
        return _subject(sqlite_engine)


class TestPostgresUndoService(UndoServiceConformance):
    @pytest.fixture
    def subject(self, postgres_engine: AsyncEngine) -> UndoServiceSubject:
        return _subject(postgres_engine)
