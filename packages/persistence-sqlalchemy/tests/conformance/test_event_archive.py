"""The event archive on SQLite and PostgreSQL keeps the promises of its port."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import pytest

from cqrs_ddd_advanced_core.event_sourcing import ArchivedEventStore
from cqrs_ddd_advanced_core.testing import EventArchiveConformance, EventArchiveSubject
from cqrs_ddd_core.testing import EventStoreConformance, EventStoreSubject
from cqrs_ddd_persistence_sqlalchemy import (
    SQLAlchemyEventArchive,
    SQLAlchemyEventStore,
    SQLAlchemyUnitOfWork,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy.ext.asyncio import AsyncEngine


def _subject(engine: AsyncEngine) -> EventArchiveSubject:
    return EventArchiveSubject(
        SQLAlchemyEventArchive(engine),
        SQLAlchemyEventStore(engine),
        lambda: SQLAlchemyUnitOfWork(engine),
    )


class TestSQLiteEventArchive(EventArchiveConformance):
    @pytest.fixture
    def subject(self, sqlite_engine: AsyncEngine) -> EventArchiveSubject:
        return _subject(sqlite_engine)


class TestSQLiteMemoryEventArchive(EventArchiveConformance):
    lacks: ClassVar[Mapping[str, str]] = {
        "concurrent_transactions": "a database in memory has one connection"
    }

    @pytest.fixture
    def subject(self, sqlite_memory_engine: AsyncEngine) -> EventArchiveSubject:
        return _subject(sqlite_memory_engine)


class TestPostgresEventArchive(EventArchiveConformance):
    @pytest.fixture
    def subject(self, postgres_engine: AsyncEngine) -> EventArchiveSubject:
        return _subject(postgres_engine)


class TestArchivedEventStore(EventStoreConformance):
    @pytest.fixture
    def subject(self, postgres_engine: AsyncEngine) -> EventStoreSubject:
        subject = _subject(postgres_engine)
        store = ArchivedEventStore(subject.event_store, subject.archive)
        return EventStoreSubject(store, subject.unit_of_work)
