"""The subject keys on SQLite and PostgreSQL keep the promises of their port."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import pytest

from cqrs_ddd_advanced_core.testing import SubjectKeysConformance, SubjectKeysSubject
from cqrs_ddd_core.adapters.memory import InMemoryUnitOfWork
from cqrs_ddd_core.primitives.exceptions import ConfigurationError
from cqrs_ddd_persistence_sqlalchemy import SQLAlchemySubjectKeyStore, SQLAlchemyUnitOfWork

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy.ext.asyncio import AsyncEngine


def _subject(engine: AsyncEngine) -> SubjectKeysSubject:
    return SubjectKeysSubject(
        SQLAlchemySubjectKeyStore(engine), lambda: SQLAlchemyUnitOfWork(engine)
    )


class TestSQLiteSubjectKeys(SubjectKeysConformance):
    @pytest.fixture
    def subject(self, sqlite_engine: AsyncEngine) -> SubjectKeysSubject:
        return _subject(sqlite_engine)


class TestSQLiteMemorySubjectKeys(SubjectKeysConformance):
    lacks: ClassVar[Mapping[str, str]] = {
        "concurrent_transactions": "a database in memory has one connection"
    }

    @pytest.fixture
    def subject(self, sqlite_memory_engine: AsyncEngine) -> SubjectKeysSubject:
        return _subject(sqlite_memory_engine)


class TestPostgresSubjectKeys(SubjectKeysConformance):
    @pytest.fixture
    def subject(self, postgres_engine: AsyncEngine) -> SubjectKeysSubject:
        return _subject(postgres_engine)


async def test_a_unit_of_work_of_another_database_is_refused(engine: AsyncEngine) -> None:
    store = SQLAlchemySubjectKeyStore(engine)
    async with InMemoryUnitOfWork():
        with pytest.raises(ConfigurationError, match="another database"):
            await store.get_or_create({"anna": b"a"})
        with pytest.raises(ConfigurationError, match="another database"):
            await store.shred("anna")


async def test_a_look_up_of_many_subjects_is_one_statement(postgres_engine: AsyncEngine) -> None:
    store, seen = SQLAlchemySubjectKeyStore(postgres_engine), []
    await store.get_or_create({f"subject-{number}": b"key" for number in range(300)})
    async with SQLAlchemyUnitOfWork(postgres_engine) as uow:
        driver = (await uow.driver_connection()).driver
        driver.add_query_logger(lambda record: seen.append(record.query.split()[0]))
        assert len(await store.find([f"subject-{number}" for number in range(300)])) == 300
    assert [statement for statement in seen if statement != "COMMIT"] == ["SELECT"]
