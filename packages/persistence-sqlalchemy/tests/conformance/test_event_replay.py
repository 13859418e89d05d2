"""The past of aggregates on SQLite and PostgreSQL looks as promised."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cqrs_ddd_advanced_core.testing.event_replay import EventReplayConformance, EventReplaySubject
from cqrs_ddd_persistence_sqlalchemy import SQLAlchemyEventStore, SQLAlchemyUnitOfWork

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine


def _subject(engine: AsyncEngine) -> EventReplaySubject:
    return EventReplaySubject(SQLAlchemyEventStore(engine), lambda: SQLAlchemyUnitOfWork(engine))


class TestSQLiteEventReplay(EventReplayConformance):
    @pytest.fixture
    def subject(self, sqlite_engine: AsyncEngine) -> EventReplaySubject:
        return _subject(sqlite_engine)


class TestPostgresEventReplay(EventReplayConformance):
    @pytest.fixture
    def subject(self, postgres_engine: AsyncEngine) -> EventReplaySubject:
        return _subject(postgres_engine)
