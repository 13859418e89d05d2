"""Listing streams and removing their past: indexes, and the switch that lets events be removed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cqrs_ddd_core.ports.event_store import EventFilter, StreamId
from cqrs_ddd_core.primitives.exceptions import NewestEventError, PersistenceError
from cqrs_ddd_core.testing.samples import MOMENT, new_events, new_stream
from cqrs_ddd_persistence_sqlalchemy import (
    SQLAlchemyEventStore,
    SQLAlchemyUnitOfWork,
    allow_event_changes,
)
from cqrs_ddd_persistence_sqlalchemy._database import database_of

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from cqrs_ddd_persistence_sqlalchemy._dialect import DriverConnection


class _Watched:
    """Explains every SELECT a store sends."""

    def __init__(self, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> None:
        self.plans: list[str] = []
        postgres = engine.dialect.name == "postgresql"
        prefix = "EXPLAIN " if postgres else "EXPLAIN QUERY PLAN "
        connection_type = database_of(engine)._connection_type
        fetch = connection_type.fetch

        async def watched(connection: DriverConnection, sql: str, *args: object) -> object:
            rows = await fetch(connection, prefix + sql, *args)
            self.plans.append("\n".join(str(row[-1]) for row in rows))
            return await fetch(connection, sql, *args)

        monkeypatch.setattr(connection_type, "fetch", watched)


@pytest.mark.parametrize("analysed", [False, True], ids=["no statistics", "statistics"])
async def test_listing_streams_goes_by_their_index(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch, *, analysed: bool
) -> None:
    store = SQLAlchemyEventStore(engine)
    for number in range(30):
        await store.append(StreamId("Order", f"{number:02}"), new_events(200))
    await _analyse(engine, analysed)
    watched = _Watched(engine, monkeypatch)
    found = await store.get_streams("Order", after_id="04", limit=10)
    assert [stream.aggregate_id for stream in found] == [f"{n:02}" for n in range(5, 15)]
    [plan] = watched.plans
    assert "cqrs_events_stream" in plan or "sqlite_autoindex_cqrs_events" in plan
    assert "Seq Scan" not in plan
    assert "SCAN cqrs_events" not in plan


@pytest.mark.parametrize("analysed", [False, True], ids=["no statistics", "statistics"])
async def test_a_filtered_stream_goes_by_its_index(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch, *, analysed: bool
) -> None:
    store = SQLAlchemyEventStore(engine)
    streams = [new_stream() for _ in range(10)]
    for stream in streams:
        await store.append(stream, new_events(200))
    await _analyse(engine, analysed)
    watched = _Watched(engine, monkeypatch)
    wanted = EventFilter(occurred_from=MOMENT, correlation_id="request-1")
    found = await store.get_events(streams[3], after_version=50, limit=20, event_filter=wanted)
    assert [event.version for event in found] == list(range(51, 71))
    [plan] = watched.plans
    assert "cqrs_events_stream" in plan or "sqlite_autoindex_cqrs_events" in plan
    assert "Seq Scan" not in plan
    assert "SCAN cqrs_events" not in plan


async def _analyse(engine: AsyncEngine, analysed: bool) -> None:
    if analysed:
        async with SQLAlchemyUnitOfWork(engine) as uow:
            await (await uow.driver_connection()).execute("ANALYZE cqrs_events")


async def test_events_are_immutable_again_after_a_removal(engine: AsyncEngine) -> None:
    store, stream = SQLAlchemyEventStore(engine), new_stream()
    await store.append(stream, new_events(3))
    async with SQLAlchemyUnitOfWork(engine) as uow:
        assert await store.delete_events(stream, up_to_version=1) == 1
        driver = await uow.driver_connection()
        with pytest.raises(PersistenceError, match="immutable"):
            await driver.execute("DELETE FROM cqrs_events")
        await uow.rollback()
    assert len(await store.get_events(stream)) == 3
    assert await store.delete_events(stream, up_to_version=1) == 1
    with pytest.raises(PersistenceError, match="immutable"):
        async with SQLAlchemyUnitOfWork(engine) as uow:
            await (await uow.driver_connection()).execute("DELETE FROM cqrs_events")


async def test_a_removal_leaves_an_administrators_block_as_it_is(engine: AsyncEngine) -> None:
    store, stream = SQLAlchemyEventStore(engine), new_stream()
    await store.append(stream, new_events(3))
    async with SQLAlchemyUnitOfWork(engine) as uow, allow_event_changes(uow):
        assert await store.delete_events(stream, up_to_version=1) == 1
        driver = await uow.driver_connection()
        assert await driver.execute("DELETE FROM cqrs_events WHERE version = 2") == 1
    assert [event.version for event in await store.get_events(stream)] == [3]


async def test_an_error_in_an_administrators_block_is_the_one_that_is_seen(
    engine: AsyncEngine,
) -> None:
    with pytest.raises(PersistenceError, match="nothing_like_it"):
        async with SQLAlchemyUnitOfWork(engine) as uow, allow_event_changes(uow):
            await (await uow.driver_connection()).execute("DELETE FROM nothing_like_it")


async def test_a_refused_removal_leaves_the_unit_of_work_usable(engine: AsyncEngine) -> None:
    store, stream = SQLAlchemyEventStore(engine), new_stream()
    await store.append(stream, new_events(2))
    async with SQLAlchemyUnitOfWork(engine):
        with pytest.raises(NewestEventError):
            await store.delete_events(stream, up_to_version=2)
        await store.append(stream, new_events(1), expected_version=2)
        assert await store.delete_events(stream, up_to_version=2) == 2
    assert [event.version for event in await store.get_events(stream)] == [3]


async def test_a_reader_that_never_saw_the_removed_events_goes_on(engine: AsyncEngine) -> None:
    """The holes are new to a horizon that has not settled them yet."""
    store, stream = SQLAlchemyEventStore(engine), new_stream()
    async with SQLAlchemyUnitOfWork(engine):
        await store.append(stream, new_events(50))
        await store.delete_events(stream, up_to_version=49)
    page = await store.read_page()
    assert [event.version for event in page.events] == [50]
    assert page.is_last
    assert await store.get_latest_position() == page.position
