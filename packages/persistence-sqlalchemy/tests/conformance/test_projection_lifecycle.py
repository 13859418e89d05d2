"""Inline, live and staged projections and reactions on SQLite and PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import pytest

from cqrs_ddd_advanced_core.testing import (
    ProjectionLifecycleConformance,
    ProjectionLifecycleSubject,
)
from cqrs_ddd_persistence_sqlalchemy import SQLAlchemyEventStore, SQLAlchemyProjectionStore

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy.ext.asyncio import AsyncEngine


def _subject(engine: AsyncEngine) -> ProjectionLifecycleSubject:
    return ProjectionLifecycleSubject(
        SQLAlchemyEventStore(engine), SQLAlchemyProjectionStore(engine)
    )


class TestSQLiteProjectionLifecycle(ProjectionLifecycleConformance):
    @pytest.fixture
    def subject(self, sqlite_engine: AsyncEngine) -> ProjectionLifecycleSubject:
        return _subject(sqlite_engine)


@pytest.mark.slow
class TestSQLiteMemoryProjectionLifecycle(ProjectionLifecycleConformance):
    lacks: ClassVar[Mapping[str, str]] = {
        "concurrent_transactions": "a database in memory has one connection"
    }

    @pytest.fixture
    def subject(self, sqlite_memory_engine: AsyncEngine) -> ProjectionLifecycleSubject:
        return _subject(sqlite_memory_engine)


class TestPostgresProjectionLifecycle(ProjectionLifecycleConformance):
    @pytest.fixture
    def subject(self, postgres_engine: AsyncEngine) -> ProjectionLifecycleSubject:
        return _subject(postgres_engine)
