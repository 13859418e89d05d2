"""Reading: one long stream into domain events, and the feed of everything."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from cqrs_ddd_core.cqrs.event_serializer import EventSerializer
from cqrs_ddd_core.domain.event_registry import EventTypeRegistry
from cqrs_ddd_core.ports.event_store import StreamId
from tools.bench.harness import Comparison, Operation
from tools.bench.postgres import Bench, OrderPlaced, fill, new_event, new_stream, opened

__all__ = ["COMPARISONS", "SELECT_STREAM"]

_STREAM_EVENTS = 10_000
_FEED_EVENTS = 200_000
_PAGE = 500

_COLUMNS = """position, aggregate_type, aggregate_id, version, event_id, event_type,
    schema_version, payload, metadata, correlation_id, causation_id, occurred_at, recorded_at"""

SELECT_STREAM = f"""
SELECT {_COLUMNS} FROM cqrs_events
WHERE tenant_id = '' AND aggregate_type = $1 AND aggregate_id = $2 ORDER BY version
"""  # noqa: S608 - the columns are a constant

_SELECT_PAGE = f"""
SELECT {_COLUMNS} FROM cqrs_events
WHERE tenant_id = '' AND position > $1 ORDER BY position LIMIT {_PAGE}
"""  # noqa: S608 - the columns are a constant


async def _fill(bench: Bench, stream: StreamId, count: int) -> None:
    for _ in range(0, count, 1000):
        await bench.store.append(stream, [new_event() for _ in range(1000)])
    # Without statistics the planner may choose a plan that no grown table would get.
    await bench.pool.execute("ANALYZE cqrs_events")


@asynccontextmanager
async def _stream() -> AsyncIterator[tuple[Operation, Operation]]:
    serializer = EventSerializer(EventTypeRegistry([OrderPlaced]))
    classes = {"OrderPlaced": OrderPlaced}
    async with opened(1) as bench:
        stream = new_stream()
        await _fill(bench, stream, _STREAM_EVENTS)

        async def raw() -> int:
            async with bench.pool.acquire() as connection:
                rows = await connection.fetch(SELECT_STREAM, *stream)
            events = [classes[r["event_type"]].model_validate_json(r["payload"]) for r in rows]
            return len(events)

        async def ours() -> int:
            return len(serializer.deserialize_all(await bench.store.get_events(stream)))

        yield raw, ours


@asynccontextmanager
async def _feed() -> AsyncIterator[tuple[Operation, Operation]]:
    async with opened(1) as bench:
        await fill(bench, _FEED_EVENTS)

        async def raw() -> int:
            position, count = 0, 0
            async with bench.pool.acquire() as connection:
                while rows := await connection.fetch(_SELECT_PAGE, position):
                    position, count = rows[-1]["position"], count + len(rows)
            return count

        async def ours() -> int:
            count = 0
            async for _ in bench.store.read_all(batch_size=_PAGE):
                count += 1
            return count

        yield raw, ours


COMPARISONS = [
    Comparison(
        f"load-stream-{_STREAM_EVENTS}",
        "events",
        "asyncpg, fetch and model_validate_json in a loop",
        _stream,
        aim=0.8,
    ),
    Comparison(f"read-feed-{_FEED_EVENTS}", "events", "asyncpg, keyset pages of 500", _feed),
]
