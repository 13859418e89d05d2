"""The unit of work on SQLite and PostgreSQL keeps the promises of its port."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import pytest

from cqrs_ddd_core.testing import UnitOfWorkConformance, UnitOfWorkSubject
from cqrs_ddd_persistence_sqlalchemy import SQLAlchemyEventStore, SQLAlchemyUnitOfWork
from cqrs_ddd_persistence_sqlalchemy.inbox import SQLAlchemyInbox
from cqrs_ddd_persistence_sqlalchemy.outbox import SQLAlchemyOutboxStorage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy.ext.asyncio import AsyncEngine


def _subject(engine: AsyncEngine) -> UnitOfWorkSubject:
    return UnitOfWorkSubject(
        unit_of_work=lambda: SQLAlchemyUnitOfWork(engine),
        event_store=SQLAlchemyEventStore(engine),
        outbox=SQLAlchemyOutboxStorage(engine),
        inbox=SQLAlchemyInbox(engine),
    )


class TestSQLiteUnitOfWork(UnitOfWorkConformance):
    @pytest.fixture
    def subject(self, sqlite_engine: AsyncEngine) -> UnitOfWorkSubject:
        return _subject(sqlite_engine)


class TestSQLiteMemoryUnitOfWork(UnitOfWorkConformance):
    lacks: ClassVar[Mapping[str, str]] = {
        "concurrent_transactions": "a database in memory has one connection"
    }

    @pytest.fixture
    def subject(self, sqlite_memory_engine: AsyncEngine) -> UnitOfWorkSubject:
        return _subject(sqlite_memory_engine)


class TestPostgresUnitOfWork(UnitOfWorkConformance):
    @pytest.fixture
    def subject(self, postgres_engine: AsyncEngine) -> UnitOfWorkSubject:
        return _subject(postgres_engine)
