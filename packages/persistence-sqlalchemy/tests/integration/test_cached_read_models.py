"""Read models on a database, answered from Redis in several processes, while a worker writes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from cqrs_ddd_advanced_core.ports import ProjectionSchema
from cqrs_ddd_advanced_core.projections import MappedProjector, ProjectionWorker, ProjectorRegistry
from cqrs_ddd_advanced_core.queries import CachedProjectionStore, QueryRepository
from cqrs_ddd_core import DomainEvent, StreamId, field
from cqrs_ddd_core.adapters.memory import InMemoryCache
from cqrs_ddd_core.adapters.redis import LayeredCache, RedisCache
from cqrs_ddd_core.cqrs.event_serializer import serialize_event
from cqrs_ddd_persistence_sqlalchemy import SQLAlchemyEventStore, SQLAlchemyProjectionStore

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine


class OrderPlaced(DomainEvent):
    customer: str
    amount: Decimal


@dataclass(frozen=True)
class Spending:
    customer: str
    orders: int = 0
    total: Decimal = Decimal(0)


TABLE = ProjectionSchema.of(Spending, key="customer", name="spending")
PROJECTOR = MappedProjector("spending", TABLE).on(
    OrderPlaced, key="customer", adds={"orders": 1, "total": "amount"}
)


class Forgetful(RedisCache):
    """That of a process which dies between each commit and what should follow it."""

    async def delete(self, *keys: str) -> None:
        """Forget nothing."""


@pytest.fixture
def prefix() -> str:
    return f"test-{uuid4().hex}"


@pytest.fixture
async def shared(redis_url: str, prefix: str) -> AsyncIterator[RedisCache]:
    async with RedisCache(redis_url, prefix=prefix, timeout=5) as cache:
        yield cache
        await cache.clear()


class Shop:
    """A worker and those who read, each with a cache of its own in front of the same rows."""

    def __init__(self, engine: AsyncEngine, cache: RedisCache) -> None:
        self.engine = engine
        self.events = SQLAlchemyEventStore(engine)
        store = self.store(cache)
        self.worker = ProjectionWorker(ProjectorRegistry([PROJECTOR], store=store), self.events)

    def store(self, cache: RedisCache | LayeredCache) -> CachedProjectionStore:
        rows = SQLAlchemyProjectionStore(self.engine)
        return CachedProjectionStore(rows, cache, ttl=60, projections={"spending": "spending"})

    def reader(self, cache: RedisCache | LayeredCache) -> QueryRepository[Spending]:
        async def caught_up(position: int, *, timeout: float) -> None:
            """The worker runs in between."""

        return QueryRepository(self.store(cache), TABLE, Spending, catch_up=caught_up)

    async def place(self, customer: str, amount: int) -> int:
        event = serialize_event(OrderPlaced(customer=customer, amount=Decimal(amount)))
        appended = await self.events.append(StreamId("Order", str(event.event_id)), [event])
        async with asyncio.timeout(60):
            while await self.worker.run_once():
                pass
        return appended.position


async def answers(reader: QueryRepository[Spending], after: int | None = None) -> tuple[int, int]:
    row = await reader.get("alice", after=after)
    large = await reader.query(field("total") >= Decimal(5), after=after)
    return (row.orders if row else 0), len(large)


async def test_a_reader_sees_the_rows_as_soon_as_their_commit_is_done(
    engine: AsyncEngine, shared: RedisCache, redis_url: str, prefix: str
) -> None:
    shop = Shop(engine, shared)
    await shop.place("alice", 1)
    async with (
        RedisCache(redis_url, prefix=prefix, timeout=5) as remote,
        LayeredCache(InMemoryCache(), remote, max_staleness=5) as layered,
    ):
        near, far = shop.reader(layered), shop.reader(remote)
        for number in range(2, 10):
            expected = (number, int(number >= 5))
            position = await shop.place("alice", 1)
            assert await answers(far) == expected
            async with asyncio.timeout(20):
                while await answers(near) != expected:  # noqa: ASYNC110 - nobody tells
                    await asyncio.sleep(0.001)
            assert await answers(near, after=position) == expected
    await shop.worker.stop()


async def test_who_waits_for_an_event_sees_it_although_nothing_was_forgotten(
    engine: AsyncEngine, shared: RedisCache, redis_url: str, prefix: str
) -> None:
    async with Forgetful(redis_url, prefix=prefix, timeout=5) as forgetful:
        shop = Shop(engine, forgetful)
        reader = shop.reader(shared)
        await shop.place("alice", 2)
        assert await answers(reader) == (1, 0)
        position = await shop.place("alice", 3)
        assert await answers(reader) == (1, 0)
        assert await answers(reader, after=position) == (2, 1)
        assert await answers(reader) == (2, 1)
        await shop.worker.stop()
