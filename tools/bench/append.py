"""Appending events: one at a time, in a unit of work, in batches."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from cqrs_ddd_core.ports.event_store import NO_STREAM
from cqrs_ddd_persistence_sqlalchemy import SQLAlchemyUnitOfWork
from tools.bench.harness import Comparison, Operation
from tools.bench.postgres import new_event, new_stream, opened, row_of

__all__ = ["COMPARISONS"]

# What a careful engineer would write by hand: the version is checked and the position returned.
_INSERT = """
INSERT INTO cqrs_events (aggregate_type, aggregate_id, version, event_id, event_type,
    schema_version, payload, correlation_id, causation_id, occurred_at, recorded_at, tenant_id)
SELECT $1, $2, 1, $3, $4, $5, $6, $7, $8, $9, clock_timestamp(), ''
WHERE NOT EXISTS (
    SELECT FROM cqrs_events WHERE tenant_id = '' AND aggregate_type = $1 AND aggregate_id = $2)
RETURNING position
"""

_INSERT_MANY = """
INSERT INTO cqrs_events (aggregate_type, aggregate_id, version, event_id, event_type,
    schema_version, payload, correlation_id, causation_id, occurred_at, recorded_at, tenant_id)
SELECT $1, $2, e.n, e.event_id, e.event_type, e.schema_version, e.payload, e.correlation_id,
    e.causation_id, e.occurred_at, clock_timestamp(), ''
FROM unnest($3::uuid[], $4::text[], $5::int[], $6::bytea[], $7::text[], $8::text[],
    $9::timestamptz[]) WITH ORDINALITY
    AS e(event_id, event_type, schema_version, payload, correlation_id, causation_id,
         occurred_at, n)
WHERE NOT EXISTS (
    SELECT FROM cqrs_events WHERE tenant_id = '' AND aggregate_type = $1 AND aggregate_id = $2)
ORDER BY e.n
RETURNING position
"""


@asynccontextmanager
async def _single(concurrency: int) -> AsyncIterator[tuple[Operation, Operation]]:
    async with opened(concurrency) as bench:

        async def raw() -> int:
            async with bench.pool.acquire() as connection:
                await connection.fetchval(_INSERT, *new_stream(), *row_of(new_event()))
            return 1

        async def ours() -> int:
            await bench.store.append(new_stream(), [new_event()], expected_version=NO_STREAM)
            return 1

        yield raw, ours


@asynccontextmanager
async def _in_transaction(concurrency: int) -> AsyncIterator[tuple[Operation, Operation]]:
    async with opened(concurrency) as bench:

        async def raw() -> int:
            async with bench.pool.acquire() as connection, connection.transaction():
                await connection.fetchval(_INSERT, *new_stream(), *row_of(new_event()))
            return 1

        async def ours() -> int:
            async with SQLAlchemyUnitOfWork(bench.engine):
                await bench.store.append(new_stream(), [new_event()], expected_version=NO_STREAM)
            return 1

        yield raw, ours


@asynccontextmanager
async def _batch(size: int) -> AsyncIterator[tuple[Operation, Operation]]:
    async with opened(1) as bench:

        async def raw() -> int:
            columns = zip(*(row_of(new_event()) for _ in range(size)), strict=True)
            async with bench.pool.acquire() as connection:
                await connection.fetch(_INSERT_MANY, *new_stream(), *map(list, columns))
            return size

        async def ours() -> int:
            events = [new_event() for _ in range(size)]
            await bench.store.append(new_stream(), events, expected_version=NO_STREAM)
            return size

        yield raw, ours


COMPARISONS = [
    *(
        Comparison(
            f"append-{tasks}-tasks",
            "events",
            "asyncpg, checked insert, autocommit",
            partial(_single, tasks),
            concurrency=tasks,
            aim=0.75 if tasks == 32 else None,
        )
        for tasks in (1, 8, 32)
    ),
    *(
        Comparison(
            f"unit-of-work-{tasks}-tasks",
            "events",
            "asyncpg, BEGIN, checked insert, COMMIT",
            partial(_in_transaction, tasks),
            concurrency=tasks,
            aim=0.8 if tasks == 32 else None,
        )
        for tasks in (1, 8, 32)
    ),
    Comparison("batch-10", "events", "asyncpg, unnest", partial(_batch, 10)),
    Comparison("batch-100", "events", "asyncpg, unnest", partial(_batch, 100), aim=0.8),
]
