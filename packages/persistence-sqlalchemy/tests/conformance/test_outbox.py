"""The outbox on SQLite and PostgreSQL keeps the promises of its port."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cqrs_ddd_core.testing import OutboxConformance, OutboxSubject
from cqrs_ddd_persistence_sqlalchemy.outbox import SQLAlchemyOutboxStorage
from cqrs_ddd_persistence_sqlalchemy.unit_of_work import SQLAlchemyUnitOfWork

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine


def _subject(engine: AsyncEngine) -> OutboxSubject:
    return OutboxSubject(SQLAlchemyOutboxStorage(engine), lambda: SQLAlchemyUnitOfWork(engine))


class TestSQLiteOutbox(OutboxConformance):
    @pytest.fixture
    def subject(self, sqlite_engine: AsyncEngine) -> OutboxSubject:
        return _subject(sqlite_engine)


class TestPostgresOutbox(OutboxConformance):
    @pytest.fixture
    def subject(self, postgres_engine: AsyncEngine) -> OutboxSubject:
        return _subject(postgres_engine)
