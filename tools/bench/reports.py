"""What is no comparison: how late read models are, and what a long feed leaves in memory."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter

from cqrs_ddd_advanced_core.ports import ProjectionColumn, ProjectionSchema
from cqrs_ddd_advanced_core.projections import (
    EVENT_TYPE,
    MappedProjector,
    ProjectionWorker,
    ProjectorRegistry,
)
from cqrs_ddd_persistence_sqlalchemy import (
    PostgresWakeUp,
    SQLAlchemyEventStore,
    SQLAlchemyProjectionStore,
    SQLAlchemyUnitOfWork,
)
from tools.bench.postgres import Bench, OrderPlaced, fill, new_event, new_stream, opened

__all__ = ["REPORTS", "Report"]

_COMMITS = 500
_EVENTS = 1_000_000


@dataclass(frozen=True)
class Report:
    """Something that is measured by itself.

    Attributes:
        name: What is measured, unique.
        about: The same in words.
        run: Returns figures with their units, by what they are of.
    """

    name: str
    about: str
    run: Callable[[], Awaitable[Mapping[str, str]]]


async def _lag() -> Mapping[str, str]:
    """Commit one event after the other, and wait until its read model is visible to others."""
    seen = ProjectionSchema(
        "bench_seen",
        {"event_type": ProjectionColumn(str), "events": ProjectionColumn(int, default=0)},
        key=("event_type",),
    )
    projector = MappedProjector("bench_seen", seen).on(
        OrderPlaced, key=EVENT_TYPE, adds={"events": 1}
    )
    async with opened(4) as bench, opened(4) as worker_bench:
        # Two processes would have one each, and hear of each other through the database.
        writers, workers = PostgresWakeUp(bench.engine), PostgresWakeUp(worker_bench.engine)
        registry = ProjectorRegistry(
            [projector], store=SQLAlchemyProjectionStore(worker_bench.engine)
        )
        worker = ProjectionWorker(registry, worker_bench.store, wake_up=workers)
        await writers.start()
        await workers.start()
        await worker.start()
        try:
            seconds = await _times(bench, SQLAlchemyEventStore(bench.engine, wake_up=writers))
        finally:
            await worker.stop()
            await workers.stop()
            await writers.stop()
    return {
        "commits": f"{len(seconds):,}",
        "median": f"{median(seconds) * 1000:.1f} ms",
        "p99": f"{quantiles(seconds, n=100)[98] * 1000:.1f} ms",
    }


async def _times(bench: Bench, store: SQLAlchemyEventStore) -> list[float]:
    await _committed(bench, store)
    await _visible(bench, 1)
    before = await bench.pool.fetchval("SELECT events FROM bench_seen")
    seconds = []
    for number in range(1, _COMMITS + 1):
        await _committed(bench, store)
        started = perf_counter()
        await _visible(bench, before + number)
        seconds.append(perf_counter() - started)
        # Not in step with anything.
        await asyncio.sleep(number % 7 / 1000)
    return seconds


async def _committed(bench: Bench, store: SQLAlchemyEventStore) -> None:
    async with SQLAlchemyUnitOfWork(bench.engine):
        await store.append(new_stream(), [new_event()])


async def _visible(bench: Bench, events: int) -> None:
    async with asyncio.timeout(60):
        while (await bench.pool.fetchval(_SEEN)) < events:
            pass


_SEEN = "SELECT COALESCE(max(events), 0) FROM bench_seen"


async def _memory() -> Mapping[str, str]:
    """Read everything once, and look at the memory early and at the end."""
    async with opened(1) as bench:
        await fill(bench, _EVENTS)
        gc.collect()
        start, early, count = _resident(), 0, 0
        async for _ in bench.store.read_all(batch_size=500):
            count += 1
            if count == _EVENTS // 10:
                early = _resident()
        end = _resident()
    return {
        "events": f"{count:,}",
        "before": _megabytes(start),
        f"after {_EVENTS // 10:,}": _megabytes(early),
        "at the end": _megabytes(end),
    }


def _resident() -> int:
    """Return the memory of this process in bytes, as Linux counts it."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


def _megabytes(size: int) -> str:
    return f"{size / 1_000_000:.0f} MB"


REPORTS = [
    Report("lag", "from the commit of an event to its read model, with wake-ups", _lag),
    Report("memory", "reading the feed of everything", _memory),
]
