"""The event store on SQLite and PostgreSQL keeps the promises of its port."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import pytest

from cqrs_ddd_core.testing import EventStoreConformance, EventStoreSubject
from cqrs_ddd_persistence_sqlalchemy import SQLAlchemyEventStore, SQLAlchemyUnitOfWork

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy.ext.asyncio import AsyncEngine


def _subject(engine: AsyncEngine) -> EventStoreSubject:
    return EventStoreSubject(SQLAlchemyEventStore(engine), lambda: SQLAlchemyUnitOfWork(engine))


class TestSQLiteEventStore(EventStoreConformance):
    @pytest.fixture
    def subject(self, sqlite_engine: AsyncEngine) -> EventStoreSubject:
        return _subject(sqlite_engine)


@pytest.mark.slow
class TestSQLiteMemoryEventStore(EventStoreConformance):
    lacks: ClassVar[Mapping[str, str]] = {
        "concurrent_transactions": "a database in memory has one connection"
    }

    @pytest.fixture
    def subject(self, sqlite_memory_engine: AsyncEngine) -> EventStoreSubject:
        return _subject(sqlite_memory_engine)


class TestPostgresEventStore(EventStoreConformance):
    @pytest.fixture
    def subject(self, postgres_engine: AsyncEngine) -> EventStoreSubject:
        return _subject(postgres_engine)


@pytest.mark.slow
class TestSerializedPostgresEventStore(EventStoreConformance):
    @pytest.fixture
    def subject(self, postgres_engine: AsyncEngine) -> EventStoreSubject:
        store = SQLAlchemyEventStore(postgres_engine, ordering="serialized")
        return EventStoreSubject(store, lambda: SQLAlchemyUnitOfWork(postgres_engine))
