"""Connections that break, run out or are shared: what the caller learns, and what stays behind."""

from __future__ import annotations

import asyncio
import socket
from itertools import islice
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from cqrs_ddd_core.adapters.memory import InMemoryUnitOfWork
from cqrs_ddd_core.ports.event_store import StreamId
from cqrs_ddd_core.primitives.exceptions import (
    ConfigurationError,
    EventStoreError,
    PersistenceError,
    TransientPersistenceError,
    UniqueViolationError,
    UnitOfWorkError,
)
from cqrs_ddd_core.testing.samples import new_event, new_stream
from cqrs_ddd_persistence_sqlalchemy import (
    SQLAlchemyEventStore,
    SQLAlchemyUnitOfWork,
    create_engine,
)
from cqrs_ddd_persistence_sqlalchemy._session import database_of, reading

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

_MARK = "INSERT INTO cqrs_outbox_partitions (number) VALUES ({})"


async def _marks(engine: AsyncEngine) -> set[int]:
    async with reading(database_of(engine)) as connection:
        rows = await connection.fetch("SELECT number FROM cqrs_outbox_partitions WHERE number > 99")
    return {row[0] for row in rows}


def _checked_out(engine: AsyncEngine) -> str:
    return engine.sync_engine.pool.status().rpartition("Checked out connections: ")[2]


@pytest.mark.parametrize("when", ["between statements", "in a statement"])
async def test_a_terminated_backend_undoes_everything_and_can_be_retried(
    postgres_engine: AsyncEngine, when: str
) -> None:
    """F10: the error says try again, the connection is not used again, the next one works."""
    store, stream, lost = SQLAlchemyEventStore(postgres_engine), new_stream(), new_stream()

    async def work() -> None:
        async with SQLAlchemyUnitOfWork(postgres_engine) as uow:
            await store.append(lost, [new_event()])
            driver = await uow.driver_connection()
            pid = driver.driver.get_server_pid()
            terminating = asyncio.create_task(_terminate(postgres_engine, pid))
            if when == "between statements":
                await terminating
            await driver.execute("SELECT pg_sleep(30)")

    with pytest.raises(TransientPersistenceError):
        await work()
    assert await store.get_stream_version(lost) == 0
    await store.append(stream, [new_event()])
    assert await store.get_stream_version(stream) == 1
    assert _checked_out(postgres_engine) == "0"


async def _terminate(engine: AsyncEngine, pid: int) -> None:
    async with reading(database_of(engine)) as connection:
        await connection.fetch("SELECT pg_terminate_backend($1)", pid)


async def test_a_connection_notices_when_its_server_is_gone(postgres_engine: AsyncEngine) -> None:
    """F12: the operating system asks after seconds, not after hours."""
    async with SQLAlchemyUnitOfWork(postgres_engine) as uow:
        driver = (await uow.driver_connection()).driver
        own = driver._transport.get_extra_info("socket")
        assert own.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert own.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 25_000


async def test_connections_that_died_in_the_pool_are_not_handed_out(
    postgres_engine: AsyncEngine,
) -> None:
    store, stream = SQLAlchemyEventStore(postgres_engine), new_stream()
    database = database_of(postgres_engine)
    idle = [await database.connect(writes=False) for _ in range(5)]
    pids = [connection.driver.get_server_pid() for connection in idle]
    hung_up: asyncio.Queue[object] = asyncio.Queue()
    for connection in idle:
        connection.driver.add_termination_listener(hung_up.put_nowait)
        await connection.release()
    other = create_engine(postgres_engine.url)
    for pid in pids:
        await _terminate(other, pid)
    await other.dispose()
    for _ in idle:
        await hung_up.get()
    for number in range(5):
        assert (await store.append(stream, [new_event()])).version == number + 1


# -- the pool -----------------------------------------------------------------------------------


async def test_an_exhausted_pool_is_a_typed_error_and_leaks_nothing(
    postgres_engine: AsyncEngine, postgres_database: str
) -> None:
    """F15."""
    engine = create_engine(postgres_database, pool_size=2, max_overflow=0, pool_timeout=0.2)
    store, go_on = SQLAlchemyEventStore(engine), asyncio.Event()

    async def work(stream: StreamId) -> None:
        async with SQLAlchemyUnitOfWork(engine):
            await store.append(stream, [new_event()])
            await go_on.wait()

    tasks = [asyncio.create_task(work(new_stream())) for _ in range(50)]
    for refused in islice(asyncio.as_completed(tasks), 48):
        with pytest.raises(TransientPersistenceError, match="pool is too small"):
            await refused
    go_on.set()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [outcome for outcome in outcomes if outcome is None] == [None, None]
    assert _checked_out(engine) == "0"
    await asyncio.gather(*(store.append(new_stream(), [new_event()]) for _ in range(10)))
    await engine.dispose()


# -- failed statements ---------------------------------------------------------------------------


async def test_a_unit_of_work_with_a_failed_statement_cannot_commit(
    postgres_engine: AsyncEngine,
) -> None:
    """S-16: PostgreSQL answers such a COMMIT with a ROLLBACK, which must not look like success."""
    store, stream = SQLAlchemyEventStore(postgres_engine), new_stream()
    async with SQLAlchemyUnitOfWork(postgres_engine) as uow:
        await store.append(stream, [new_event()])
        driver = await uow.driver_connection()
        with pytest.raises(UniqueViolationError):
            await driver.execute(_MARK.format(1))
        with pytest.raises(UnitOfWorkError):
            await uow.commit()
    assert await store.get_stream_version(stream) == 0
    async with SQLAlchemyUnitOfWork(postgres_engine):
        await store.append(stream, [new_event()])
    assert await store.get_stream_version(stream) == 1


async def test_a_failed_statement_says_what_to_do_when_more_follow(
    postgres_engine: AsyncEngine,
) -> None:
    store = SQLAlchemyEventStore(postgres_engine)
    async with SQLAlchemyUnitOfWork(postgres_engine) as uow:
        driver = await uow.driver_connection()
        with pytest.raises(PersistenceError):
            await driver.execute("SELECT 1/0")
        with pytest.raises(UnitOfWorkError, match="new unit of work"):
            await store.get_stream_version(new_stream())
        await uow.rollback()


async def test_an_event_id_that_is_taken_is_refused_inside_a_unit_of_work(
    engine: AsyncEngine,
) -> None:
    store, event, stream = SQLAlchemyEventStore(engine), new_event(), new_stream()
    await store.append(new_stream(), [event])
    async with SQLAlchemyUnitOfWork(engine) as uow:
        with pytest.raises(EventStoreError):
            await store.append(stream, [event])
        await uow.rollback()
    assert await store.get_stream_version(stream) == 0


# -- the session --------------------------------------------------------------------------------


async def test_a_session_takes_part_in_the_transaction(engine: AsyncEngine) -> None:
    """S-9: what it wrote commits and vanishes with everything else."""
    store, stream = SQLAlchemyEventStore(engine), new_stream()
    async with SQLAlchemyUnitOfWork(engine) as uow:
        await uow.session.execute(text(_MARK.format(100)))
        await store.append(stream, [new_event()])
        await uow.session.commit()
        await uow.rollback()
    assert (await _marks(engine), await store.get_stream_version(stream)) == (set(), 0)
    async with SQLAlchemyUnitOfWork(engine) as uow:
        await store.append(stream, [new_event()])
        await uow.session.execute(text(_MARK.format(101)))
        await (await uow.connection()).execute(text(_MARK.format(102)))
    assert (await _marks(engine), await store.get_stream_version(stream)) == ({101, 102}, 1)


async def test_a_savepoint_of_the_session_undoes_its_part_only(engine: AsyncEngine) -> None:
    store, stream = SQLAlchemyEventStore(engine), new_stream()
    async with SQLAlchemyUnitOfWork(engine) as uow:
        await uow.session.execute(text(_MARK.format(100)))
        savepoint = await uow.session.begin_nested()
        await uow.session.execute(text(_MARK.format(101)))
        await store.append(stream, [new_event()])
        await savepoint.rollback()
        await uow.session.execute(text(_MARK.format(102)))
    assert (await _marks(engine), await store.get_stream_version(stream)) == ({100, 102}, 0)


async def test_a_rolled_back_session_keeps_the_unit_of_work_from_committing(
    engine: AsyncEngine,
) -> None:
    store, stream = SQLAlchemyEventStore(engine), new_stream()
    async with SQLAlchemyUnitOfWork(engine) as uow:
        await store.append(stream, [new_event()])
        await uow.session.execute(text(_MARK.format(100)))
        await uow.session.rollback()
        await uow.session.execute(text(_MARK.format(101)))
        with pytest.raises(UnitOfWorkError, match="rolled back"):
            await uow.commit()
    assert (await _marks(engine), await store.get_stream_version(stream)) == (set(), 0)


async def test_neither_session_nor_connection_outlive_the_unit_of_work(
    engine: AsyncEngine,
) -> None:
    async with SQLAlchemyUnitOfWork(engine) as uow:
        session, connection = uow.session, await uow.connection()
        await session.execute(text("SELECT 1"))
        with pytest.raises(UnitOfWorkError, match="commits"):
            await connection.commit()
    with pytest.raises(UnitOfWorkError):
        await session.execute(text("SELECT 1"))
    with pytest.raises(UnitOfWorkError):
        await connection.execute(text("SELECT 1"))


async def test_a_store_made_from_one_session_serves_concurrent_units_of_work(
    engine: AsyncEngine,
) -> None:
    """S-7: the session only says which database; nobody's transaction is shared."""
    factory = async_sessionmaker(engine)
    streams = [new_stream() for _ in range(6)]
    async with AsyncSession(engine) as session:
        store = SQLAlchemyEventStore(session)

        async def work(number: int, stream: StreamId) -> None:
            async with SQLAlchemyUnitOfWork(factory) as uow:
                await store.append(stream, [new_event()])
                if number % 2:
                    await uow.rollback()

        await asyncio.gather(*(work(number, stream) for number, stream in enumerate(streams)))
        versions = [await store.get_stream_version(stream) for stream in streams]
    assert versions == [1, 0, 1, 0, 1, 0]


async def test_a_write_into_another_database_than_the_unit_of_work_s_is_refused(
    engine: AsyncEngine,
) -> None:
    store, stream = SQLAlchemyEventStore(engine), new_stream()
    async with InMemoryUnitOfWork():
        assert await store.get_stream_version(stream) == 0
        with pytest.raises(ConfigurationError, match="another database"):
            await store.append(stream, [new_event()])


async def test_the_isolation_level_of_the_engine_is_kept(postgres_database: str) -> None:
    engine = create_engine(postgres_database, isolation_level="SERIALIZABLE")
    async with SQLAlchemyUnitOfWork(engine) as uow:
        driver = await uow.driver_connection()
        assert (await driver.fetch("SHOW transaction_isolation"))[0][0] == "serializable"
        await uow.session.execute(text("SELECT 1"))
    async with engine.connect() as connection:
        level = await connection.scalar(text("SHOW transaction_isolation"))
    assert level == "serializable"
    await engine.dispose()


async def test_sqlite_connections_are_durable_and_strict(sqlite_engine: AsyncEngine) -> None:
    async with SQLAlchemyUnitOfWork(sqlite_engine) as uow:
        driver = await uow.driver_connection()
        found = [
            (await driver.fetch(f"PRAGMA {name}"))[0][0]
            for name in ("journal_mode", "synchronous", "foreign_keys")
        ]
    assert found == ["wal", 2, 1]


async def test_a_connection_that_was_there_before_is_made_durable_too(
    sqlite_engine: AsyncEngine,
) -> None:
    fresh = create_engine(sqlite_engine.url)
    async with fresh.connect() as connection:
        assert await connection.scalar(text("PRAGMA foreign_keys")) == 0
    async with SQLAlchemyUnitOfWork(fresh) as uow:
        assert await uow.session.scalar(text("PRAGMA foreign_keys")) == 1
    await fresh.dispose()
