"""Archiving when the server goes away, beside the immutability of events, and by its indexes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from cqrs_ddd_advanced_core.event_sourcing import ArchivedEventStore, StreamArchiver
from cqrs_ddd_core.ports.event_store import StreamId
from cqrs_ddd_core.primitives.exceptions import CQRSDDDError, PersistenceError
from cqrs_ddd_core.testing.samples import new_events, new_stream
from cqrs_ddd_persistence_sqlalchemy import (
    SQLAlchemyEventArchive,
    SQLAlchemyEventStore,
    SQLAlchemyUnitOfWork,
)
from cqrs_ddd_persistence_sqlalchemy._database import database_of

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from cqrs_ddd_persistence_sqlalchemy._dialect import DriverConnection


def _archiver(engine: AsyncEngine) -> StreamArchiver:
    return StreamArchiver(
        SQLAlchemyEventStore(engine),
        SQLAlchemyEventArchive(engine),
        lambda: SQLAlchemyUnitOfWork(engine),
    )


async def test_a_connection_that_is_lost_while_archiving_leaves_every_event_where_it_was(
    postgres_engine: AsyncEngine,
) -> None:
    """G1."""
    store, archive = SQLAlchemyEventStore(postgres_engine), SQLAlchemyEventArchive(postgres_engine)
    stream = new_stream()
    await store.append(stream, new_events(5))
    before = await store.get_events(stream)
    with pytest.raises(CQRSDDDError):
        await _archive_and_lose_the_connection(postgres_engine, stream)
    assert await store.get_events(stream) == before
    assert await archive.get_events(stream) == []
    assert await _archiver(postgres_engine).archive(stream) == 4
    assert await ArchivedEventStore(store, archive).get_events(stream) == before


async def _archive_and_lose_the_connection(engine: AsyncEngine, stream: StreamId) -> None:
    async with SQLAlchemyUnitOfWork(engine) as uow:
        assert await _archiver(engine).archive(stream) == 4
        rows = await (await uow.driver_connection()).fetch("SELECT pg_backend_pid()")
        async with engine.connect() as other:
            await other.execute(text(f"SELECT pg_terminate_backend({rows[0][0]}, 5000)"))


async def test_events_are_immutable_again_after_archiving(engine: AsyncEngine) -> None:
    stream = new_stream()
    await SQLAlchemyEventStore(engine).append(stream, new_events(3))
    async with SQLAlchemyUnitOfWork(engine) as uow:
        await _archiver(engine).archive(stream)
        driver = await uow.driver_connection()
        with pytest.raises(PersistenceError, match="immutable"):
            await driver.execute("DELETE FROM cqrs_events")
        await uow.rollback()


@pytest.mark.parametrize(
    "change",
    ["UPDATE cqrs_event_archive SET event_type = 'Other'", "DELETE FROM cqrs_event_archive"],
    ids=["update", "delete"],
)
async def test_archived_events_cannot_be_changed(engine: AsyncEngine, change: str) -> None:
    stream, archive = new_stream(), SQLAlchemyEventArchive(engine)
    await SQLAlchemyEventStore(engine).append(stream, new_events(3))
    await _archiver(engine).archive(stream)
    before = await archive.get_events(stream)
    with pytest.raises(PersistenceError, match=r"immutable.*cqrs_event_archive"):
        async with SQLAlchemyUnitOfWork(engine) as uow:
            await (await uow.driver_connection()).execute(change)
    assert await archive.get_events(stream) == before


@pytest.mark.parametrize("analysed", [False, True], ids=["no statistics", "statistics"])
async def test_the_archive_is_read_by_its_indexes(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch, *, analysed: bool
) -> None:
    store, archive = SQLAlchemyEventStore(engine), SQLAlchemyEventArchive(engine)
    streams = [new_stream() for _ in range(10)]
    for stream in streams:
        await store.append(stream, new_events(200))
        await archive.add_events(stream, await store.get_events(stream))
    if analysed:
        async with SQLAlchemyUnitOfWork(engine) as uow:
            await (await uow.driver_connection()).execute("ANALYZE cqrs_event_archive")
    plans: list[str] = []
    connection_type = database_of(engine)._connection_type
    fetch = connection_type.fetch
    explain = "EXPLAIN " if engine.dialect.name == "postgresql" else "EXPLAIN QUERY PLAN "

    async def watched(connection: DriverConnection, sql: str, *args: object) -> object:
        plans.append(
            "\n".join(str(row[-1]) for row in await fetch(connection, explain + sql, *args))
        )
        return await fetch(connection, sql, *args)

    monkeypatch.setattr(connection_type, "fetch", watched)
    assert len(await archive.get_events(streams[3], after_version=50, limit=20)) == 20
    assert len(await archive.read_positions(500, 10_000, limit=100)) == 100
    for plan in plans:
        assert "Seq Scan" not in plan
        assert "SCAN cqrs_event_archive" not in plan
    assert len(plans) == 2
