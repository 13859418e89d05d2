"""Read models on SQLite and PostgreSQL are rebuilt while the shop is open."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cqrs_ddd_advanced_core.testing import RebuildConformance, RebuildSubject
from cqrs_ddd_persistence_sqlalchemy import SQLAlchemyEventStore, SQLAlchemyProjectionStore

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine


def _subject(engine: AsyncEngine) -> RebuildSubject:
    return RebuildSubject(SQLAlchemyProjectionStore(engine), SQLAlchemyEventStore(engine))


class TestSQLiteRebuild(RebuildConformance):
    @pytest.fixture
    def subject(self, sqlite_engine: AsyncEngine) -> RebuildSubject:
        return _subject(sqlite_engine)


class TestPostgresRebuild(RebuildConformance):
    @pytest.fixture
    def subject(self, postgres_engine: AsyncEngine) -> RebuildSubject:
        return _subject(postgres_engine)
