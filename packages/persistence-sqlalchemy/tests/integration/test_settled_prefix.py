"""G3 on PostgreSQL: readers stop at a hole until nothing can fill it, and wait for nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from cqrs_ddd_core.ports.event_store import NewEvent, StoredEvent
from cqrs_ddd_core.primitives.exceptions import EventStoreError
from cqrs_ddd_core.testing.samples import new_event, new_events, new_stream
from cqrs_ddd_persistence_sqlalchemy import (
    SQLAlchemyEventStore,
    SQLAlchemyUnitOfWork,
    create_engine,
    upgrade,
)
from tools.services.postgres import create_database, drop_database

if TYPE_CHECKING:
    from uuid import UUID

    from sqlalchemy.ext.asyncio import AsyncEngine

    from tools.services.postgres import PostgresServer


@pytest.fixture
def store(postgres_engine: AsyncEngine) -> SQLAlchemyEventStore:
    return SQLAlchemyEventStore(postgres_engine)


@pytest.fixture
def another_database(postgres_url: str) -> Iterator[str]:
    url = create_database(postgres_url)
    yield url
    drop_database(url)


@asynccontextmanager
async def _holding(
    engine: AsyncEngine, event: NewEvent, store: SQLAlchemyEventStore | None = None
) -> AsyncIterator[SQLAlchemyUnitOfWork]:
    """Append in a unit of work of another task, and keep it open for the block."""
    appended, done = asyncio.Event(), asyncio.Event()
    unit = SQLAlchemyUnitOfWork(engine)

    async def hold() -> None:
        async with unit:
            await (store or SQLAlchemyEventStore(engine)).append(new_stream(), [event])
            appended.set()
            await done.wait()

    task = asyncio.create_task(hold())
    await asyncio.wait([task, asyncio.create_task(appended.wait())], return_when="FIRST_COMPLETED")
    try:
        yield unit
    finally:
        done.set()
        await task


async def _leave_a_hole(engine: AsyncEngine) -> None:
    async with SQLAlchemyUnitOfWork(engine) as uow:
        await SQLAlchemyEventStore(engine).append(new_stream(), new_events(2))
        await uow.rollback()


@asynccontextmanager
async def _foreign_transaction(url: str) -> AsyncIterator[None]:
    """Keep a writing transaction open that has nothing to do with events."""
    engine = create_engine(url)
    try:
        async with engine.begin() as connection:
            await connection.exec_driver_sql("SELECT pg_current_xact_id()")
            yield
    finally:
        await engine.dispose()


async def _ids(store: SQLAlchemyEventStore) -> list[UUID]:
    return [event.event_id async for event in store.read_all()]


async def test_an_event_that_commits_late_is_not_skipped(
    postgres_engine: AsyncEngine, store: SQLAlchemyEventStore
) -> None:
    """S-4."""
    first, slow, fast = new_events(3)
    await store.append(new_stream(), [first])
    async with _holding(postgres_engine, slow):
        await store.append(new_stream(), [fast])
        assert await _ids(store) == [first.event_id]
        assert (await store.read_page()).is_last
        # The head tells what readers wait for.
        assert await store.get_head_position() == await store.get_latest_position() + 2
    assert await _ids(store) == [first.event_id, slow.event_id, fast.event_id]
    assert await store.get_head_position() == await store.get_latest_position()


async def test_a_rolled_back_position_does_not_hold_readers_back(
    postgres_engine: AsyncEngine, store: SQLAlchemyEventStore
) -> None:
    events = new_events(4)
    for event in events:
        await store.append(new_stream(), [event])
        await _leave_a_hole(postgres_engine)
    assert await _ids(store) == [event.event_id for event in events]
    assert store.hole_age == 0


@pytest.mark.parametrize("where", ["postgres_database", "another_database"])
async def test_an_open_transaction_delays_what_is_behind_a_hole_only(
    postgres_engine: AsyncEngine,
    store: SQLAlchemyEventStore,
    where: str,
    request: pytest.FixtureRequest,
) -> None:
    before, behind = new_events(2)
    async with _foreign_transaction(request.getfixturevalue(where)):
        await store.append(new_stream(), [before])
        assert await _ids(store) == [before.event_id]
        assert store.hole_age == 0
        await _leave_a_hole(postgres_engine)
        await store.append(new_stream(), [behind])
        assert await _ids(store) == [before.event_id]
        assert store.hole_age > 0
    assert await _ids(store) == [before.event_id, behind.event_id]
    assert store.hole_age == 0


async def test_old_holes_are_not_settled_again_after_a_restart(
    postgres_engine: AsyncEngine, postgres_database: str, store: SQLAlchemyEventStore
) -> None:
    events = new_events(60)
    for event in events:
        await store.append(new_stream(), [event])
        await _leave_a_hole(postgres_engine)
    await _ids(store)
    restarted = create_engine(postgres_database)
    async with _foreign_transaction(postgres_database):
        assert await _ids(SQLAlchemyEventStore(restarted)) == [event.event_id for event in events]
    await restarted.dispose()


async def test_many_holes_are_settled_together(
    postgres_engine: AsyncEngine, store: SQLAlchemyEventStore
) -> None:
    events = new_events(30)
    async with asyncio.timeout(30):
        for event in events:
            await asyncio.gather(*(_leave_a_hole(postgres_engine) for _ in range(3)))
            await store.append(new_stream(), [event])
        assert await _ids(store) == [event.event_id for event in events]


async def test_a_thousand_commits_beside_an_open_append_lose_nothing(
    postgres_engine: AsyncEngine, store: SQLAlchemyEventStore
) -> None:
    """F02."""
    held, seen = new_event(), list[StoredEvent]()
    others = [new_events(1) for _ in range(1000)]

    async def look() -> None:
        page = await store.read_page(seen[-1].position if seen else 0)
        seen.extend(page.events)

    async def write(batches: list[list[NewEvent]]) -> None:
        for batch in batches:
            await store.append(new_stream(), batch)

    await store.append(new_stream(), others[0])
    async with _holding(postgres_engine, held):
        writers = asyncio.gather(*(write(others[1 + n :: 4]) for n in range(4)))
        while not writers.done():
            await look()
        await writers
        assert [event.event_id for event in seen] == [others[0][0].event_id]
        assert store.hole_age > 0
    while len(seen) < 1001:
        await look()
    expected = {held.event_id, *(event.event_id for [event] in others)}
    assert {event.event_id for event in seen} == expected
    assert len(seen) == len(expected)
    assert seen[1].event_id == held.event_id


async def test_serialized_appends_wait_for_the_commit_before_them(
    postgres_engine: AsyncEngine,
) -> None:
    store = SQLAlchemyEventStore(postgres_engine, ordering="serialized")
    async with _holding(postgres_engine, new_event(), store) as holder:
        later = asyncio.create_task(store.append(new_stream(), new_events(2)))
        while not await _somebody_waits_for_a_lock(postgres_engine):
            assert not later.done()
        assert holder.position is not None
    assert (await later).position > holder.position


async def _somebody_waits_for_a_lock(engine: AsyncEngine) -> bool:
    async with engine.connect() as connection:
        waiting = await connection.exec_driver_sql(
            "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database "
            "WHERE locktype = 'advisory' AND NOT granted AND datname = current_database()"
        )
        return bool(waiting.scalar())


async def test_a_sequence_that_hands_out_positions_in_blocks_is_refused(
    postgres_engine: AsyncEngine, store: SQLAlchemyEventStore
) -> None:
    """F60."""
    async with postgres_engine.begin() as connection:
        await connection.exec_driver_sql(
            "ALTER TABLE cqrs_events ALTER COLUMN position SET CACHE 50"
        )
    with pytest.raises(EventStoreError, match="CACHE 1"):
        await store.read_page()


async def test_a_horizon_beyond_the_sequence_is_not_believed(
    postgres_engine: AsyncEngine, store: SQLAlchemyEventStore
) -> None:
    async with postgres_engine.begin() as connection:
        await connection.exec_driver_sql("UPDATE cqrs_event_horizon SET position = 1000")
    slow, fast = new_events(2)
    async with _holding(postgres_engine, slow):
        await store.append(new_stream(), [fast])
        assert await _ids(store) == []
    assert await _ids(store) == [slow.event_id, fast.event_id]


async def test_a_restored_dump_is_read_on_in_a_second_cluster(
    new_postgres_server: Callable[[], PostgresServer],
) -> None:
    """F59: neither positions nor the horizon depend on the transaction ids of the cluster."""
    old, new = new_postgres_server(), new_postgres_server()
    source, target = old.new_database(), new.new_database()
    before, after = new_events(6), new_events(3)
    async with _opened(source) as engine:
        await upgrade(engine)
        store = SQLAlchemyEventStore(engine)
        for event in before:
            await store.append(new_stream(), [event])
            await _leave_a_hole(engine)
        expected = [(event.position, event.event_id) async for event in store.read_all()]
        dump = str(old.folder / "events.sql")
        async with _holding(engine, new_event()):
            old.tool("pg_dump", "--file", dump, source)
    new.tool("psql", "--quiet", "--set", "ON_ERROR_STOP=1", "--file", dump, target)
    async with _opened(target) as engine:
        await upgrade(engine)
        store = SQLAlchemyEventStore(engine)
        assert [(e.position, e.event_id) async for e in store.read_all()] == expected
        for event in after:
            await store.append(new_stream(), [event])
        rest = [event async for event in store.read_all(expected[-1][0])]
    assert [event.event_id for event in rest] == [event.event_id for event in after]
    assert rest[0].position > expected[-1][0]


@asynccontextmanager
async def _opened(url: str) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(url)
    try:
        yield engine
    finally:
        await engine.dispose()
