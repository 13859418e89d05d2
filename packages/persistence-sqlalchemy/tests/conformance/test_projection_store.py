"""Read models on SQLite and PostgreSQL keep the promises of their port."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import pytest

from cqrs_ddd_advanced_core.testing import ProjectionStoreConformance, ProjectionStoreSubject
from cqrs_ddd_persistence_sqlalchemy import SQLAlchemyEventStore, SQLAlchemyProjectionStore

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy.ext.asyncio import AsyncEngine


def _subject(engine: AsyncEngine) -> ProjectionStoreSubject:
    return ProjectionStoreSubject(SQLAlchemyProjectionStore(engine), SQLAlchemyEventStore(engine))


class TestSQLiteProjectionStore(ProjectionStoreConformance):
    @pytest.fixture
    def subject(self, sqlite_engine: AsyncEngine) -> ProjectionStoreSubject:
        return _subject(sqlite_engine)


@pytest.mark.slow
class TestSQLiteMemoryProjectionStore(ProjectionStoreConformance):
    lacks: ClassVar[Mapping[str, str]] = {
        "concurrent_transactions": "a database in memory has one connection"
    }

    @pytest.fixture
    def subject(self, sqlite_memory_engine: AsyncEngine) -> ProjectionStoreSubject:
        return _subject(sqlite_memory_engine)


class TestPostgresProjectionStore(ProjectionStoreConformance):
    @pytest.fixture
    def subject(self, postgres_engine: AsyncEngine) -> ProjectionStoreSubject:
        return _subject(postgres_engine)
