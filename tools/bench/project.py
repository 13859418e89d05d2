"""Projections: catching up with a feed of many events, against the same statements by hand."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any

import asyncpg
from pydantic_core import from_json

from cqrs_ddd_advanced_core.ports import CheckpointKey, ProjectionColumn, ProjectionSchema
from cqrs_ddd_advanced_core.projections import (
    EVENT_TYPE,
    OCCURRED_AT,
    MappedProjector,
    ProjectionWorker,
    ProjectorRegistry,
)
from cqrs_ddd_persistence_sqlalchemy import SQLAlchemyProjectionStore
from tools.bench.harness import Comparison, Operation
from tools.bench.postgres import Bench, OrderPlaced, empty_database, fill, opened

__all__ = ["COMPARISONS"]

_EVENTS = 200_000
_BATCH = 1_000

_COUNTS = ProjectionSchema(
    "bench_counts",
    {"event_type": ProjectionColumn(str), "events": ProjectionColumn(int, default=0)},
    key=("event_type",),
)
_VALUES = ProjectionSchema(
    "bench_customers",
    {
        "customer_id": ProjectionColumn(str),
        "orders": ProjectionColumn(int, default=0),
        "total": ProjectionColumn(Decimal, default=Decimal(0)),
        "last_order_at": ProjectionColumn(datetime, nullable=True),
    },
    key=("customer_id",),
)

_counting = MappedProjector("bench_counts", _COUNTS).on(
    OrderPlaced, key=EVENT_TYPE, adds={"events": 1}
)
_per_customer = MappedProjector("bench_customers", _VALUES).on(
    OrderPlaced,
    key="customer_id",
    sets={"last_order_at": OCCURRED_AT},
    adds={"orders": 1, "total": "total"},
)

# What a careful engineer would write by hand, with a table and a checkpoint of its own.
_TABLES = """
CREATE TABLE IF NOT EXISTS raw_counts (event_type text PRIMARY KEY, events bigint NOT NULL);
CREATE TABLE IF NOT EXISTS raw_customers (
    customer_id text PRIMARY KEY, orders bigint NOT NULL, total numeric NOT NULL,
    last_order_at timestamptz NOT NULL);
CREATE TABLE IF NOT EXISTS raw_checkpoints (name text PRIMARY KEY, position bigint NOT NULL);
"""
# The statement of our event store.
_SELECT = """
SELECT position, aggregate_type, aggregate_id, version, event_id, event_type, schema_version,
    payload, metadata, correlation_id, causation_id, occurred_at, recorded_at
FROM cqrs_events
WHERE tenant_id = '' AND position > $1 AND event_type = ANY ($2) ORDER BY position LIMIT $3
"""
_COUNT = """
INSERT INTO raw_counts AS r SELECT * FROM unnest($1::text[], $2::bigint[])
ON CONFLICT (event_type) DO UPDATE SET events = r.events + excluded.events
"""
_SUM_UP = """
INSERT INTO raw_customers AS r
SELECT * FROM unnest($1::text[], $2::bigint[], $3::numeric[], $4::timestamptz[])
ON CONFLICT (customer_id) DO UPDATE SET orders = r.orders + excluded.orders,
    total = r.total + excluded.total, last_order_at = excluded.last_order_at
"""
_BEGIN_ANEW = """
INSERT INTO raw_checkpoints VALUES ($1, 0) ON CONFLICT (name) DO UPDATE SET position = 0
"""
_ADVANCE = "UPDATE raw_checkpoints SET position = $2 WHERE name = $1 AND position = $3"

_Write = Callable[[asyncpg.Connection, list[asyncpg.Record]], Awaitable[Any]]


async def _count(connection: asyncpg.Connection, rows: list[asyncpg.Record]) -> None:
    counts: dict[str, int] = {}
    for row in rows:
        event_type = row["event_type"]
        counts[event_type] = counts.get(event_type, 0) + 1
    await connection.execute(_COUNT, list(counts), list(counts.values()))


async def _sum_up(connection: asyncpg.Connection, rows: list[asyncpg.Record]) -> None:
    customers: dict[str, tuple[int, Decimal, datetime]] = {}
    for row in rows:
        order = from_json(row["payload"])
        orders, total, _ = customers.get(order["customer_id"], (0, Decimal(0), None))
        total += Decimal(order["total"])
        customers[order["customer_id"]] = orders + 1, total, row["occurred_at"]
    columns = zip(*customers.values(), strict=True)
    await connection.execute(_SUM_UP, list(customers), *map(list, columns))


class _ByHand:
    """A loop that reads a page and writes what it comes to with the checkpoint, in one go."""

    def __init__(self, bench: Bench, name: str, table: str, write: _Write) -> None:
        self._bench = bench
        self._name = name
        self._table = table
        self._write = write

    async def catch_up(self) -> int:
        """Begin anew and apply everything."""
        position, done = 0, 0
        async with self._bench.pool.acquire() as connection:
            await self._begin_anew(connection)
            while rows := await connection.fetch(_SELECT, position, ["OrderPlaced"], _BATCH):
                last = rows[-1][0]
                async with connection.transaction():
                    await connection.execute(_ADVANCE, self._name, last, position)
                    await self._write(connection, rows)
                position, done = last, done + len(rows)
        return done

    async def _begin_anew(self, connection: asyncpg.Connection) -> None:
        await connection.execute(_TABLES)
        await connection.execute(f"DELETE FROM {self._table}")  # noqa: S608 - one of two constants
        await connection.execute(
            _BEGIN_ANEW,
            self._name,
        )


class _WithWorker:
    """A worker that begins anew."""

    def __init__(self, bench: Bench, projector: MappedProjector) -> None:
        self._bench = bench
        self._projector = projector
        self._store = SQLAlchemyProjectionStore(bench.engine)
        self._registry = ProjectorRegistry([projector], store=self._store)

    async def catch_up(self) -> int:
        """Begin anew and apply everything."""
        await self._begin_anew()
        worker = ProjectionWorker(self._registry, self._bench.store, batch_size=_BATCH)
        done = 0
        while count := await worker.run_once():
            done += count
        await worker.stop()
        return done

    async def _begin_anew(self) -> None:
        name, [table] = self._projector.name, self._projector.tables
        await self._store.ensure(table)
        await self._store.checkpoints.ensure([CheckpointKey(name)])
        async with self._store.unit_of_work():
            await self._store.clear(table)
            await self._store.checkpoints.set_position(name, 1, 0)


@asynccontextmanager
async def _catching_up(
    projector: MappedProjector, table: str, write: _Write
) -> AsyncIterator[tuple[Operation, Operation]]:
    # A worker's batch holds one connection, and its heartbeat may need another.
    async with empty_database(), opened(2) as bench:
        await fill(bench, _EVENTS)
        ours = _WithWorker(bench, projector)
        raw = _ByHand(bench, projector.name, table, write)
        yield raw.catch_up, ours.catch_up


COMPARISONS = [
    Comparison(
        f"project-counts-{_EVENTS}",
        "events",
        "asyncpg, the same page, upsert and checkpoint",
        partial(_catching_up, _counting, "raw_counts", _count),
        aim=0.7,
    ),
    Comparison(
        f"project-customers-{_EVENTS}",
        "events",
        "asyncpg, the same page, from_json, upsert, checkpoint",
        partial(_catching_up, _per_customer, "raw_customers", _sum_up),
        aim=0.7,
    ),
]
