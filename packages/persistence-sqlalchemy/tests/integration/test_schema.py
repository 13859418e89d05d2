"""The tables in use: immutable events, upgrades beside writers, and what is said without them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text

from cqrs_ddd_core.ports.event_store import StreamId
from cqrs_ddd_core.primitives.exceptions import (
    PersistenceError,
    SchemaNotInstalledError,
    TransientPersistenceError,
)
from cqrs_ddd_core.testing.samples import new_event, new_events, new_stream
from cqrs_ddd_persistence_sqlalchemy import (
    SQLAlchemyEventStore,
    SQLAlchemyUnitOfWork,
    allow_event_changes,
    drop_schema,
    upgrade,
)
from cqrs_ddd_persistence_sqlalchemy._schema import metadata
from cqrs_ddd_persistence_sqlalchemy.schema import VERSION_TABLE

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine


async def test_columns_have_the_types_and_defaults_of_the_models(
    postgres_engine: AsyncEngine,
) -> None:
    """G12."""

    def compare(connection: Connection) -> list[object]:
        options = {"version_table": VERSION_TABLE, "compare_server_default": True}
        context = MigrationContext.configure(connection, opts=options)
        return list(compare_metadata(context, metadata))

    async with postgres_engine.connect() as connection:
        assert await connection.run_sync(compare) == []


async def test_appends_go_on_while_an_upgrade_runs(engine: AsyncEngine) -> None:
    store, streams = SQLAlchemyEventStore(engine), [new_stream() for _ in range(8)]

    async def append(stream: StreamId) -> None:
        for _ in range(10):
            await store.append(stream, [new_event()])

    await asyncio.gather(upgrade(engine), upgrade(engine), *map(append, streams))
    assert [await store.get_stream_version(stream) for stream in streams] == [10] * 8


async def test_an_upgrade_gives_way_when_a_table_is_in_use(postgres_engine: AsyncEngine) -> None:
    async with postgres_engine.begin() as connection:
        await connection.execute(text(f"LOCK TABLE {VERSION_TABLE}"))
        with pytest.raises(TransientPersistenceError, match="lock"):
            await upgrade(postgres_engine, lock_timeout=0.05)


@pytest.mark.parametrize("read", [True, False], ids=["read", "append"])
async def test_missing_tables_name_the_call_that_makes_them(
    engine: AsyncEngine, *, read: bool
) -> None:
    await drop_schema(engine)
    store = SQLAlchemyEventStore(engine)
    with pytest.raises(SchemaNotInstalledError, match="upgrade"):
        await (store.read_page() if read else store.append(new_stream(), new_events(1)))


@pytest.mark.parametrize(
    "change",
    ["UPDATE cqrs_events SET event_type = 'Other'", "DELETE FROM cqrs_events"],
    ids=["update", "delete"],
)
async def test_events_cannot_be_changed(engine: AsyncEngine, change: str) -> None:
    store, stream = SQLAlchemyEventStore(engine), new_stream()
    await store.append(stream, new_events(2))
    before = await store.get_events(stream)
    with pytest.raises(PersistenceError, match="immutable"):
        async with SQLAlchemyUnitOfWork(engine) as uow:
            await (await uow.driver_connection()).execute(change)
    assert await store.get_events(stream) == before


async def test_events_cannot_be_truncated(postgres_engine: AsyncEngine) -> None:
    with pytest.raises(PersistenceError, match="immutable"):
        async with SQLAlchemyUnitOfWork(postgres_engine) as uow:
            await (await uow.driver_connection()).execute("TRUNCATE cqrs_events")


async def test_an_administrator_can_change_events_in_one_block_only(engine: AsyncEngine) -> None:
    store, stream = SQLAlchemyEventStore(engine), new_stream()
    await store.append(stream, new_events(2))
    delete = "DELETE FROM cqrs_events WHERE version = 2"
    async with SQLAlchemyUnitOfWork(engine) as uow:
        driver = await uow.driver_connection()
        async with allow_event_changes(uow):
            assert await driver.execute(delete) == 1
    assert await store.get_stream_version(stream) == 1
    async with SQLAlchemyUnitOfWork(engine) as uow:
        async with allow_event_changes(uow):
            pass
        driver = await uow.driver_connection()
        with pytest.raises(PersistenceError, match="immutable"):
            await driver.execute("DELETE FROM cqrs_events")
        await uow.rollback()


async def test_a_deleted_newest_position_is_not_used_again(sqlite_engine: AsyncEngine) -> None:
    store = SQLAlchemyEventStore(sqlite_engine)
    last = (await store.append(new_stream(), new_events(2))).position
    async with SQLAlchemyUnitOfWork(sqlite_engine) as uow, allow_event_changes(uow):
        await (await uow.driver_connection()).execute("DELETE FROM cqrs_events")
    assert (await store.append(new_stream(), new_events(1))).position > last
