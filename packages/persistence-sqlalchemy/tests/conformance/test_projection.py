"""Projections on SQLite and PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cqrs_ddd_advanced_core.testing import ProjectionConformance, ProjectionSubject
from cqrs_ddd_persistence_sqlalchemy import SQLAlchemyEventStore, SQLAlchemyProjectionStore

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine


def _subject(engine: AsyncEngine) -> ProjectionSubject:
    return ProjectionSubject(SQLAlchemyProjectionStore(engine), SQLAlchemyEventStore(engine))


class TestSQLiteProjections(ProjectionConformance):
    @pytest.fixture
    def subject(self, sqlite_engine: AsyncEngine) -> ProjectionSubject:
        return _subject(sqlite_engine)


class TestPostgresProjections(ProjectionConformance):
    @pytest.fixture
    def subject(self, postgres_engine: AsyncEngine) -> ProjectionSubject:
        return _subject(postgres_engine)
