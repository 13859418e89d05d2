"""Checkpoints on SQLite and PostgreSQL keep the promises of their port."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import pytest

from cqrs_ddd_advanced_core.testing import CheckpointStoreConformance, CheckpointStoreSubject
from cqrs_ddd_persistence_sqlalchemy import SQLAlchemyCheckpointStore, SQLAlchemyUnitOfWork

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy.ext.asyncio import AsyncEngine


def _subject(engine: AsyncEngine) -> CheckpointStoreSubject:
    return CheckpointStoreSubject(
        SQLAlchemyCheckpointStore(engine), lambda: SQLAlchemyUnitOfWork(engine)
    )


class TestSQLiteCheckpointStore(CheckpointStoreConformance):
    @pytest.fixture
    def subject(self, sqlite_engine: AsyncEngine) -> CheckpointStoreSubject:
        return _subject(sqlite_engine)


@pytest.mark.slow
class TestSQLiteMemoryCheckpointStore(CheckpointStoreConformance):
    lacks: ClassVar[Mapping[str, str]] = {
        "concurrent_transactions": "a database in memory has one connection"
    }

    @pytest.fixture
    def subject(self, sqlite_memory_engine: AsyncEngine) -> CheckpointStoreSubject:
        return _subject(sqlite_memory_engine)


class TestPostgresCheckpointStore(CheckpointStoreConformance):
    @pytest.fixture
    def subject(self, postgres_engine: AsyncEngine) -> CheckpointStoreSubject:
        return _subject(postgres_engine)
