"""The inbox on SQLite and PostgreSQL keeps the promises of its port."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import pytest

from cqrs_ddd_core.adapters.memory import InMemoryUnitOfWork
from cqrs_ddd_core.primitives.exceptions import ConfigurationError
from cqrs_ddd_core.primitives.id_generator import new_id
from cqrs_ddd_core.testing import InboxConformance, InboxSubject
from cqrs_ddd_persistence_sqlalchemy import (
    SQLAlchemyEventStore,
    SQLAlchemyInbox,
    SQLAlchemyUnitOfWork,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy.ext.asyncio import AsyncEngine


def _subject(engine: AsyncEngine) -> InboxSubject:
    return InboxSubject(
        SQLAlchemyInbox(engine), lambda: SQLAlchemyUnitOfWork(engine), SQLAlchemyEventStore(engine)
    )


class TestSQLiteInbox(InboxConformance):
    @pytest.fixture
    def subject(self, sqlite_engine: AsyncEngine) -> InboxSubject:
        return _subject(sqlite_engine)


class TestSQLiteMemoryInbox(InboxConformance):
    lacks: ClassVar[Mapping[str, str]] = {
        "concurrent_transactions": "a database in memory has one connection"
    }

    @pytest.fixture
    def subject(self, sqlite_memory_engine: AsyncEngine) -> InboxSubject:
        return _subject(sqlite_memory_engine)


class TestPostgresInbox(InboxConformance):
    @pytest.fixture
    def subject(self, postgres_engine: AsyncEngine) -> InboxSubject:
        return _subject(postgres_engine)


async def test_a_unit_of_work_of_another_database_is_refused(engine: AsyncEngine) -> None:
    inbox = SQLAlchemyInbox(engine)
    async with InMemoryUnitOfWork():
        with pytest.raises(ConfigurationError, match="another database"):
            await inbox.receive("billing", new_id())


async def test_a_new_message_costs_one_statement(postgres_engine: AsyncEngine) -> None:
    inbox, statements = SQLAlchemyInbox(postgres_engine), []
    async with SQLAlchemyUnitOfWork(postgres_engine) as uow:
        driver = (await uow.driver_connection()).driver
        driver.add_query_logger(lambda record: statements.append(record.query))
        assert await inbox.receive("billing", new_id()) is None
    assert [statement.split()[0] for statement in statements if statement != "COMMIT"] == ["INSERT"]


async def test_many_new_messages_cost_one_statement(postgres_engine: AsyncEngine) -> None:
    inbox, statements = SQLAlchemyInbox(postgres_engine), []
    async with SQLAlchemyUnitOfWork(postgres_engine) as uow:
        driver = (await uow.driver_connection()).driver
        driver.add_query_logger(lambda record: statements.append(record.query))
        assert await inbox.receive_many("billing", [new_id() for _ in range(200)]) == set()
    assert [statement.split()[0] for statement in statements if statement != "COMMIT"] == ["INSERT"]
