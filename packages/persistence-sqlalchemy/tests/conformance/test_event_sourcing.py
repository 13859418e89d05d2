"""Event sourcing on SQLite and PostgreSQL keeps its promises."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cqrs_ddd_advanced_core.testing.event_sourcing import (
    EventSourcingConformance,
    EventSourcingSubject,
)
from cqrs_ddd_persistence_sqlalchemy import (
    SQLAlchemyEventStore,
    SQLAlchemyOutboxStorage,
    SQLAlchemyUnitOfWork,
)

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine


def _subject(engine: AsyncEngine) -> EventSourcingSubject:
    return EventSourcingSubject(
        SQLAlchemyEventStore(engine),
        SQLAlchemyOutboxStorage(engine),
        lambda: SQLAlchemyUnitOfWork(engine),
    )


class TestSQLiteEventSourcing(EventSourcingConformance):
    @pytest.fixture
    def subject(self, sqlite_engine: AsyncEngine) -> EventSourcingSubject:
        return _subject(sqlite_engine)


class TestPostgresEventSourcing(EventSourcingConformance):
    @pytest.fixture
    def subject(self, postgres_engine: AsyncEngine) -> EventSourcingSubject:
        return _subject(postgres_engine)
