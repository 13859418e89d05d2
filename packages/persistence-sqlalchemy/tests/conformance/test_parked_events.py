"""Parked events on SQLite and PostgreSQL keep the promises of their port."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import pytest

from cqrs_ddd_advanced_core.testing import ParkedEventsConformance, ParkedEventsSubject
from cqrs_ddd_persistence_sqlalchemy import SQLAlchemyParkedEvents, SQLAlchemyUnitOfWork

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy.ext.asyncio import AsyncEngine


def _subject(engine: AsyncEngine) -> ParkedEventsSubject:
    return ParkedEventsSubject(SQLAlchemyParkedEvents(engine), lambda: SQLAlchemyUnitOfWork(engine))


class TestSQLiteParkedEvents(ParkedEventsConformance):
    @pytest.fixture
    def subject(self, sqlite_engine: AsyncEngine) -> ParkedEventsSubject:
        return _subject(sqlite_engine)


class TestSQLiteMemoryParkedEvents(ParkedEventsConformance):
    lacks: ClassVar[Mapping[str, str]] = {
        "concurrent_transactions": "a database in memory has one connection"
    }

    @pytest.fixture
    def subject(self, sqlite_memory_engine: AsyncEngine) -> ParkedEventsSubject:
        return _subject(sqlite_memory_engine)


class TestPostgresParkedEvents(ParkedEventsConformance):
    @pytest.fixture
    def subject(self, postgres_engine: AsyncEngine) -> ParkedEventsSubject:
        return _subject(postgres_engine)
