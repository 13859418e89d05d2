"""Locks whose holders are other processes, die, or lose their connection."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import pytest

from cqrs_ddd_core.ports.locking import LockMode, ResourceIdentifier
from cqrs_ddd_core.primitives.exceptions import ConfigurationError, LockAcquisitionError
from cqrs_ddd_persistence_sqlalchemy import (
    PostgresLock,
    SQLAlchemyUnitOfWork,
    TableLock,
    create_engine,
)

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

WRITE: Final = ResourceIdentifier("Order", "o-1")
READ: Final = ResourceIdentifier("Order", "o-1", LockMode.READ)

# Takes the lock, says so, and holds it until it is told to end or killed.
HOLDER: Final = """
import asyncio, sys
from cqrs_ddd_core.ports.locking import ResourceIdentifier
from cqrs_ddd_persistence_sqlalchemy import PostgresLock, TableLock, create_engine

async def main():
    engine = create_engine(sys.argv[1])
    lock = {"PostgresLock": PostgresLock, "TableLock": TableLock}[sys.argv[2]](engine)
    resource = ResourceIdentifier("Order", "o-1")
    token = await lock.acquire(resource, ttl=float(sys.argv[3]))
    print("locked", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    await lock.release(resource, token)
    await lock.close()
    await engine.dispose()

asyncio.run(main())
"""


def _url(engine: AsyncEngine) -> str:
    return engine.url.render_as_string(hide_password=False)


@asynccontextmanager
async def holder(engine: AsyncEngine, strategy: str, ttl: float) -> AsyncIterator[Process]:
    """Run another process that holds the lock."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLDER, _url(engine), strategy, str(ttl), stdin=PIPE, stdout=PIPE
    )
    assert process.stdout is not None
    try:
        assert (await process.stdout.readline()).strip() == b"locked"
        yield process
    finally:
        await process.communicate(b"\n")


@pytest.fixture
async def lock(postgres_engine: AsyncEngine) -> AsyncIterator[PostgresLock]:
    async with PostgresLock(postgres_engine) as lock:
        yield lock


async def _value(engine: AsyncEngine, sql: str) -> object:
    async with engine.connect() as connection:
        return (await connection.exec_driver_sql(sql)).scalar()


async def _until(engine: AsyncEngine, sql: str, expected: object) -> None:
    while await _value(engine, sql) != expected:  # noqa: ASYNC110 - the server calls nobody
        await asyncio.sleep(0.01)


# -- advisory locks --------------------------------------------------------------------------------

_WAITING = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock' AND wait_event = 'advisory'
"""
_CONNECTIONS = """
SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
AND backend_type = 'client backend'
"""
_ADVISORY = """
SELECT count(*) FROM pg_locks JOIN pg_database d ON d.oid = database
WHERE locktype = 'advisory' AND datname = current_database()
"""
_TERMINATE = """
SELECT count(pg_terminate_backend(pid)) FROM pg_locks JOIN pg_database d ON d.oid = database
WHERE locktype = 'advisory' AND datname = current_database()
"""


async def test_a_waiter_stands_in_the_server_s_queue(
    postgres_engine: AsyncEngine, lock: PostgresLock
) -> None:
    async with holder(postgres_engine, "PostgresLock", 60):
        waiter = asyncio.create_task(lock.acquire(WRITE, timeout=30))
        await _until(postgres_engine, _WAITING, 1)
        assert not waiter.done()
    assert await lock.release(WRITE, await waiter)


async def test_a_killed_holder_s_lock_is_free_at_once(
    postgres_engine: AsyncEngine, lock: PostgresLock
) -> None:
    async with holder(postgres_engine, "PostgresLock", 3600) as process:
        with pytest.raises(LockAcquisitionError):
            await lock.acquire(READ, timeout=0.1)
        process.kill()
        token = await lock.acquire(WRITE, timeout=30)
    assert await lock.release(WRITE, token)


async def test_a_lock_is_lost_with_its_connection(
    postgres_engine: AsyncEngine, lock: PostgresLock
) -> None:
    other = ResourceIdentifier("Order", "o-2")
    token, second = await lock.acquire(WRITE, ttl=3600), await lock.acquire(other, ttl=3600)
    await _value(postgres_engine, _TERMINATE)
    await _until(postgres_engine, _ADVISORY, 0)
    assert not await lock.extend(WRITE, token, 30)
    assert not await lock.release(WRITE, token)
    assert not await lock.release(other, second)
    again = await lock.acquire(WRITE, timeout=30)
    assert await lock.extend(WRITE, again, 30)
    assert await lock.release(WRITE, again)


async def test_a_lock_that_was_waited_for_is_lost_with_its_connection(
    postgres_engine: AsyncEngine, lock: PostgresLock
) -> None:
    async with holder(postgres_engine, "PostgresLock", 60):
        waiter = asyncio.create_task(lock.acquire(WRITE, timeout=30))
        await _until(postgres_engine, _WAITING, 1)
    token = await waiter
    await _value(postgres_engine, _TERMINATE)
    await _until(postgres_engine, _ADVISORY, 0)
    assert not await lock.extend(WRITE, token, 30)
    assert not await lock.release(WRITE, token)
    assert await lock.release(WRITE, await lock.acquire(WRITE, timeout=30))


async def test_a_hold_ends_for_other_processes_too(postgres_engine: AsyncEngine) -> None:
    async with PostgresLock(postgres_engine) as one, PostgresLock(postgres_engine) as two:
        await one.acquire(WRITE, ttl=0.1)
        token = await two.acquire(WRITE, timeout=30)
        assert await two.release(WRITE, token)


async def test_waiting_takes_no_connection_from_the_pool(postgres_database: str) -> None:
    engine = create_engine(postgres_database, pool_size=1, max_overflow=0, pool_timeout=5)
    async with PostgresLock(engine) as one, PostgresLock(engine) as two:
        token = await one.acquire(WRITE)
        waiter = asyncio.create_task(two.acquire(WRITE, timeout=30))
        await _until(engine, _WAITING, 1)
        assert await _value(engine, "SELECT 1") == 1
        await one.release(WRITE, token)
        assert await two.release(WRITE, await waiter)
    await engine.dispose()


async def test_connections_are_given_back(postgres_engine: AsyncEngine) -> None:
    before = await _value(postgres_engine, _CONNECTIONS)
    async with PostgresLock(postgres_engine) as one, PostgresLock(postgres_engine) as two:
        for _ in range(3):
            token = await one.acquire(WRITE)
            waiters = [asyncio.create_task(two.acquire(WRITE, timeout=0.05)) for _ in range(5)]
            outcomes = await asyncio.gather(*waiters, return_exceptions=True)
            assert all(isinstance(outcome, LockAcquisitionError) for outcome in outcomes)
            await one.release(WRITE, token)
        await two.acquire(WRITE)
    await _until(postgres_engine, _CONNECTIONS, before)
    assert await _value(postgres_engine, _ADVISORY) == 0


async def test_postgres_locks_need_postgres(sqlite_engine: AsyncEngine) -> None:
    with pytest.raises(ConfigurationError, match="use TableLock"):
        PostgresLock(sqlite_engine)


# -- locks in a table ------------------------------------------------------------------------------


async def test_a_table_lock_excludes_other_processes(engine: AsyncEngine) -> None:
    lock = TableLock(engine)
    async with holder(engine, "TableLock", 60):
        with pytest.raises(LockAcquisitionError):
            await lock.acquire(READ, timeout=0.1)
    assert await lock.release(WRITE, await lock.acquire(WRITE, timeout=30))


async def test_a_killed_holder_s_table_lock_ends_with_its_time(engine: AsyncEngine) -> None:
    lock = TableLock(engine)
    async with holder(engine, "TableLock", 1.0) as process:
        process.kill()
        token = await lock.acquire(WRITE, timeout=30)
    assert await lock.release(WRITE, token)


async def test_a_table_lock_outlives_the_unit_of_work_it_was_taken_in(
    postgres_engine: AsyncEngine,
) -> None:
    one, two = TableLock(postgres_engine), TableLock(postgres_engine)
    uow = SQLAlchemyUnitOfWork(postgres_engine)
    async with uow:
        await uow.driver_connection()
        token = await one.acquire(WRITE)
        await uow.rollback()
    with pytest.raises(LockAcquisitionError):
        await two.acquire(WRITE, timeout=0.1)
    assert await one.release(WRITE, token)
