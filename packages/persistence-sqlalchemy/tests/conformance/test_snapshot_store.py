"""The snapshot store on SQLite and PostgreSQL keeps the promises of its port."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, ClassVar, Final

import pytest
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from cqrs_ddd_advanced_core.event_sourcing import EventSourcedRepository
from cqrs_ddd_advanced_core.ports.snapshot_store import Snapshot
from cqrs_ddd_advanced_core.snapshots import EveryNEventsStrategy, SnapshotStore
from cqrs_ddd_advanced_core.testing import SnapshotStoreConformance, SnapshotStoreSubject
from cqrs_ddd_advanced_core.testing.samples import SampleAccount
from cqrs_ddd_core.adapters.memory import InMemoryUnitOfWork
from cqrs_ddd_core.ports.event_store import StreamId
from cqrs_ddd_core.primitives.exceptions import ConfigurationError
from cqrs_ddd_core.testing.samples import MOMENT, new_stream
from cqrs_ddd_persistence_sqlalchemy import (
    SQLAlchemyEventStore,
    SQLAlchemySnapshotStore,
    SQLAlchemyUnitOfWork,
)
from cqrs_ddd_persistence_sqlalchemy import snapshot_store as statements
from cqrs_ddd_persistence_sqlalchemy._session import database_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy.ext.asyncio import AsyncEngine

_FILL_POSTGRES: Final = """
INSERT INTO cqrs_snapshots SELECT '', 'Order', (n % 1000)::text, n, 'shape', '{}', now()
FROM generate_series(1, 20000) AS n
"""
_FILL_SQLITE: Final = """
WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 20000)
INSERT INTO cqrs_snapshots
SELECT '', 'Order', n % 1000, n, 'shape', x'7b7d', '2026-01-01T00:00:00.000000+00:00' FROM s
"""


def _subject(engine: AsyncEngine) -> SnapshotStoreSubject:
    return SnapshotStoreSubject(
        SQLAlchemySnapshotStore(engine), lambda: SQLAlchemyUnitOfWork(engine)
    )


class TestSQLiteSnapshotStore(SnapshotStoreConformance):
    @pytest.fixture
    def subject(self, sqlite_engine: AsyncEngine) -> SnapshotStoreSubject:
        return _subject(sqlite_engine)


class TestSQLiteMemorySnapshotStore(SnapshotStoreConformance):
    lacks: ClassVar[Mapping[str, str]] = {
        "concurrent_transactions": "a database in memory has one connection"
    }

    @pytest.fixture
    def subject(self, sqlite_memory_engine: AsyncEngine) -> SnapshotStoreSubject:
        return _subject(sqlite_memory_engine)


class TestPostgresSnapshotStore(SnapshotStoreConformance):
    @pytest.fixture
    def subject(self, postgres_engine: AsyncEngine) -> SnapshotStoreSubject:
        return _subject(postgres_engine)


@pytest.mark.parametrize("kind", ["engine", "factory", "session"])
async def test_whatever_has_an_engine_says_where_snapshots_are(
    engine: AsyncEngine, kind: str
) -> None:
    factory = async_sessionmaker(engine)
    sources = {"engine": engine, "factory": factory, "session": AsyncSession(engine)}
    snapshots = SnapshotStore(sources[kind], EveryNEventsStrategy(frequency=100))
    assert isinstance(snapshots.store, SQLAlchemySnapshotStore)
    saved = Snapshot(new_stream(), 1, "shape", b"{}", MOMENT)
    await snapshots.store.save_snapshot(saved)
    found = await SQLAlchemySnapshotStore(engine).get_latest_snapshot(saved.stream)
    assert found == saved


async def test_a_repository_takes_and_uses_snapshots(engine: AsyncEngine) -> None:
    snapshots = SnapshotStore(async_sessionmaker(engine), EveryNEventsStrategy(n=10))
    event_store = SQLAlchemyEventStore(engine)
    accounts = EventSourcedRepository(event_store, SampleAccount, snapshot_store=snapshots)
    for _ in range(6):
        async with SQLAlchemyUnitOfWork(engine):
            account = await accounts.get_by_id("a") or SampleAccount.open("a")
            for _ in range(3):
                account.deposit("0.10")
            await accounts.save(account)
    await snapshots.drain()
    assert snapshots.failures == snapshots.ignored == snapshots.skipped == 0
    stream = StreamId("SampleAccount", "a")
    newest = await snapshots.load(SampleAccount, stream)
    assert newest is not None
    assert (newest.version, newest.balance) == (10, Decimal("0.90"))
    account = await accounts.get("a")
    assert (account.version, account.balance) == (19, Decimal("1.80"))


async def test_a_unit_of_work_of_another_database_is_refused(engine: AsyncEngine) -> None:
    store = SQLAlchemySnapshotStore(engine)
    async with InMemoryUnitOfWork():
        with pytest.raises(ConfigurationError, match="another database"):
            await store.save_snapshot(Snapshot(new_stream(), 1, "shape", b"{}", MOMENT))


async def test_every_call_is_one_statement(postgres_engine: AsyncEngine) -> None:
    store, stream, seen = SQLAlchemySnapshotStore(postgres_engine), new_stream(), []
    async with SQLAlchemyUnitOfWork(postgres_engine) as uow:
        driver = (await uow.driver_connection()).driver
        driver.add_query_logger(lambda record: seen.append(record.query.split()[0]))
        await store.save_snapshot(Snapshot(stream, 1, "shape", b"{}", MOMENT))
        await store.get_latest_snapshot(stream, fingerprint="shape", up_to_version=3)
        await store.delete_snapshots(stream, keep=2)
        await store.clear("Order")
        await store.get_snapshot_count()
    assert seen[:5] == ["INSERT", "SELECT", "DELETE", "DELETE", "SELECT"]
    assert seen[5:] in ([], ["COMMIT"])


@pytest.mark.parametrize("statistics", ["none", "fresh"])
@pytest.mark.parametrize(
    "statement, arguments",
    [
        (statements._LATEST, (2**63 - 1, None)),
        (statements._LATEST, (50, "shape")),
        (statements._DELETE, (2,)),
    ],
    ids=["latest", "latest of a shape", "prune"],
)
async def test_the_snapshots_of_a_stream_are_found_by_the_primary_key(
    engine: AsyncEngine, statement: str, arguments: tuple[object, ...], statistics: str
) -> None:
    is_postgres = engine.dialect.name == "postgresql"
    fill = _FILL_POSTGRES if is_postgres else _FILL_SQLITE
    async with engine.begin() as connection:
        await connection.exec_driver_sql(fill)
        if statistics == "fresh":
            await connection.exec_driver_sql("ANALYZE")
    explain = "EXPLAIN " if is_postgres else "EXPLAIN QUERY PLAN "
    async with await database_of(engine).connect(writes=False) as driver:
        rows = await driver.fetch(explain + statement, "", "Order", "7", *arguments)
    plan = "\n".join(str(row[-1]) for row in rows)
    index = "pk_cqrs_snapshots" if is_postgres else "sqlite_autoindex_cqrs_snapshots_1"
    assert index in plan
    assert "Seq Scan" not in plan
    assert "SCAN cqrs" not in plan
    assert "TEMP B-TREE" not in plan
