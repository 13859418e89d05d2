"""An empty database with our schema, a raw pool and an engine beside each other."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import uuid4

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from cqrs_ddd_core.cqrs.event_serializer import serialize_event
from cqrs_ddd_core.domain.events import DomainEvent
from cqrs_ddd_core.ports.event_store import NewEvent, StreamId
from cqrs_ddd_persistence_sqlalchemy import SQLAlchemyEventStore, create_schema
from tools.services import postgres

__all__ = [
    "Bench",
    "OrderPlaced",
    "connections",
    "empty_database",
    "fill",
    "new_event",
    "new_stream",
    "opened",
    "settle",
]


class OrderPlaced(DomainEvent):
    """An event of about 150 bytes of JSON."""

    customer_id: str = "customer-0042"
    total: Decimal = Decimal("129.90")
    currency: str = "EUR"
    placed_at: datetime = datetime(2026, 1, 1, 12, tzinfo=UTC)
    note: str = "leave it with the neighbour"


@dataclass(frozen=True)
class Bench:
    """What both ways work with."""

    pool: asyncpg.Pool[asyncpg.Record]
    engine: AsyncEngine
    store: SQLAlchemyEventStore


_server_url = ""
_database = ""


@asynccontextmanager
async def connections() -> AsyncIterator[None]:
    """Give the benchmarks a database of their own on a server that waits for the disk."""
    global _server_url
    with _server() as _server_url:
        async with empty_database():
            yield


@asynccontextmanager
async def empty_database() -> AsyncIterator[None]:
    """Let a comparison begin with a database in which the others have left nothing."""
    global _database  # noqa: PLW0603 - the one that is opened from here on
    before, _database = _database, postgres.create_database(_server_url)
    try:
        engine = create_async_engine(_engine_url())
        await create_schema(engine)
        await engine.dispose()
        yield
    finally:
        postgres.drop_database(_database)
        _database = before


@contextmanager
def _server() -> Iterator[str]:
    given = os.environ.get("CQRS_DDD_TEST_POSTGRES_URL")
    if given:
        yield given
        return
    server = postgres.find_local(durable=True)
    if server is None:
        msg = "no PostgreSQL: install one, or name one in CQRS_DDD_TEST_POSTGRES_URL"
        raise RuntimeError(msg)
    server.start()
    try:
        yield server.url
    finally:
        server.close()


@asynccontextmanager
async def opened(concurrency: int) -> AsyncIterator[Bench]:
    """Yield a raw pool with asyncpg's defaults and an engine of the same size."""
    pool = await asyncpg.create_pool(_database, min_size=concurrency, max_size=concurrency)
    engine = create_async_engine(_engine_url(), pool_size=concurrency, max_overflow=0)
    try:
        yield Bench(pool, engine, SQLAlchemyEventStore(engine))
    finally:
        await engine.dispose()
        await pool.close()


async def fill(bench: Bench, count: int, *, customers: int = 2_000) -> None:
    """Store orders of many customers until there are so many events."""
    stored: int = await bench.pool.fetchval("SELECT count(*) FROM cqrs_events")
    while stored < count:
        numbers = range(stored, min(stored + 1000, count))
        orders = [OrderPlaced(customer_id=f"c{number % customers}") for number in numbers]
        await bench.store.append(new_stream(), [serialize_event(order) for order in orders])
        stored += len(orders)
    await settle(bench)


async def settle(bench: Bench) -> None:
    """Do what the server would begin to do beside the measurement, now that much was stored.

    Without statistics the planner may choose a plan that no grown table would get.
    """
    await bench.pool.execute("VACUUM ANALYZE")
    await bench.pool.execute("CHECKPOINT")


def new_stream() -> StreamId:
    """Return a stream that does not exist yet."""
    return StreamId("Order", str(uuid4()))


def new_event() -> NewEvent:
    """Return an event that was never stored."""
    return serialize_event(OrderPlaced())


def _engine_url() -> str:
    return _database.replace("postgresql://", "postgresql+asyncpg://", 1)


def row_of(event: NewEvent) -> tuple[Any, ...]:
    """Return an event's columns in the order of the raw statements."""
    return (
        event.event_id,
        event.event_type,
        event.schema_version,
        event.payload,
        event.correlation_id,
        event.causation_id,
        event.occurred_at,
    )
