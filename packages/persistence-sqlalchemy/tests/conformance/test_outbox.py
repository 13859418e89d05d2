"""The outbox on SQLite and PostgreSQL keeps the promises of its port."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

import pytest

from cqrs_ddd_core.primitives.exceptions import ConfigurationError
from cqrs_ddd_core.testing import OutboxConformance, OutboxSubject
from cqrs_ddd_core.testing.samples import new_message
from cqrs_ddd_persistence_sqlalchemy import _outbox_sql as statements
from cqrs_ddd_persistence_sqlalchemy._session import database_of
from cqrs_ddd_persistence_sqlalchemy.outbox import SQLAlchemyOutboxStorage
from cqrs_ddd_persistence_sqlalchemy.unit_of_work import SQLAlchemyUnitOfWork

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy.ext.asyncio import AsyncEngine


def _subject(engine: AsyncEngine) -> OutboxSubject:
    return OutboxSubject(SQLAlchemyOutboxStorage(engine), lambda: SQLAlchemyUnitOfWork(engine))


class TestSQLiteOutbox(OutboxConformance):
    @pytest.fixture
    def subject(self, sqlite_engine: AsyncEngine) -> OutboxSubject:
        return _subject(sqlite_engine)


@pytest.mark.slow
class TestSQLiteMemoryOutbox(OutboxConformance):
    lacks: ClassVar[Mapping[str, str]] = {
        "concurrent_transactions": "a database in memory has one connection"
    }

    @pytest.fixture
    def subject(self, sqlite_memory_engine: AsyncEngine) -> OutboxSubject:
        return _subject(sqlite_memory_engine)


class TestPostgresOutbox(OutboxConformance):
    @pytest.fixture
    def subject(self, postgres_engine: AsyncEngine) -> OutboxSubject:
        return _subject(postgres_engine)


async def test_any_number_of_messages_costs_one_statement(postgres_engine: AsyncEngine) -> None:
    storage = SQLAlchemyOutboxStorage(postgres_engine)
    await storage.save_messages([new_message()])
    seen: list[str] = []
    async with SQLAlchemyUnitOfWork(postgres_engine) as uow:
        driver = (await uow.driver_connection()).driver
        driver.add_query_logger(lambda record: seen.append(record.query))
        await storage.save_messages([new_message() for _ in range(500)])
    assert [statement.split()[0] for statement in seen if statement != "COMMIT"] == ["INSERT"]


async def test_another_number_of_partitions_is_refused(engine: AsyncEngine) -> None:
    storage = SQLAlchemyOutboxStorage(engine, partitions=4)
    with pytest.raises(ConfigurationError, match="partitions=16"):
        await storage.save_messages([new_message()])
    with pytest.raises(ConfigurationError, match="partitions=16"):
        await storage.lease_partitions("one", seconds=60)
    assert await storage.count_pending() == 0


async def test_any_error_text_can_be_noted(engine: AsyncEngine) -> None:
    storage = SQLAlchemyOutboxStorage(engine)
    await storage.save_messages([new_message()])
    leases = await storage.lease_partitions("one", seconds=60)
    [claimed] = await storage.claim_pending(leases)
    error = "NUL \0 and half a character \udc80"
    assert await storage.mark_failed(leases, claimed.sequence, error=error, retry_in=None)
    [parked] = await storage.list_parked()
    assert parked.error == "NUL \ufffd and half a character ?"


async def test_one_message_id_of_two_tenants_is_two_messages(engine: AsyncEngine) -> None:
    storage, message = SQLAlchemyOutboxStorage(engine), new_message()
    other = replace(message, tenant_id="another")
    await storage.save_messages([message, other])
    leases = await storage.lease_partitions("one", seconds=60)
    claimed = await storage.claim_pending(leases)
    assert [item.message for item in claimed] == [message, other]


class TestManyWaitingMessages:
    """However many messages wait or were published, a claim reads what it returns."""

    @pytest.fixture
    async def storage(self, engine: AsyncEngine) -> SQLAlchemyOutboxStorage:
        storage = SQLAlchemyOutboxStorage(engine)
        for _ in range(2):
            messages = [new_message(f"Order-{number}", payload=b"{}") for number in range(10_000)]
            await storage.save_messages(messages)
            leases = await storage.lease_partitions("one", seconds=600)
            claimed = await storage.claim_pending(leases, limit=5_000)
            await storage.mark_published(leases, [item.sequence for item in claimed])
        return storage

    @pytest.mark.parametrize("statistics", ["none", "fresh"])
    async def test_a_claim_follows_indexes(
        self, storage: SQLAlchemyOutboxStorage, engine: AsyncEngine, statistics: str
    ) -> None:
        if statistics == "fresh":
            async with engine.begin() as connection:
                await connection.exec_driver_sql("ANALYZE")
        is_postgres = engine.dialect.name == "postgresql"
        leases = await storage.lease_partitions("one", seconds=600)
        claim = statements.claim((lease.number for lease in leases), postgres=is_postgres)
        explain = "EXPLAIN " if is_postgres else "EXPLAIN QUERY PLAN "
        owned = json.dumps([lease._asdict() for lease in leases])
        async with await database_of(engine).connect(writes=False) as driver:
            rows = await driver.fetch(explain + claim, owned, 100, "[1, 2]")
        plan = "\n".join(str(row[-1]) for row in rows)
        assert "ix_cqrs_outbox_unpublished" in plan
        assert "ix_cqrs_outbox_failed" in plan
        assert "Seq Scan on cqrs_outbox o" not in plan
        assert "Bitmap" not in plan
        assert "SCAN o" not in plan.replace("SCAN owned", "")
