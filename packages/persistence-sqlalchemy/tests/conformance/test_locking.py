"""Locks on SQLite and PostgreSQL keep the promises of their port."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import cycle
from typing import TYPE_CHECKING, ClassVar

import pytest

from cqrs_ddd_core.ports.locking import ActiveLock, ILockStrategy, ResourceIdentifier
from cqrs_ddd_core.testing import LockingConformance
from cqrs_ddd_persistence_sqlalchemy.locking import PostgresLock, TableLock

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    AnyLock = PostgresLock | TableLock


class Alternating(ILockStrategy):
    """Asks each of several strategies in turn, as if each belonged to a process of its own."""

    def __init__(self, *strategies: ILockStrategy) -> None:
        self._strategies = strategies
        self._next = cycle(strategies)
        self._owners: dict[str, ILockStrategy] = {}

    async def acquire(
        self, resource: ResourceIdentifier, *, timeout: float = 10.0, ttl: float = 30.0
    ) -> str:
        strategy = next(self._next)
        token = await strategy.acquire(resource, timeout=timeout, ttl=ttl)
        self._owners[token] = strategy
        return token

    async def extend(self, resource: ResourceIdentifier, token: str, ttl: float) -> bool:
        owner = self._owners.get(token, self._strategies[0])
        return await owner.extend(resource, token, ttl)

    async def release(self, resource: ResourceIdentifier, token: str) -> bool:
        owner = self._owners.get(token, self._strategies[0])
        return await owner.release(resource, token)

    async def get_active_locks(self) -> list[ActiveLock]:
        found = [await strategy.get_active_locks() for strategy in self._strategies]
        return [lock for locks in found for lock in locks]


@asynccontextmanager
async def _two(make: Callable[[], AnyLock]) -> AsyncIterator[ILockStrategy]:
    async with AsyncExitStack() as stack:
        locks = make(), make()
        for lock in locks:
            stack.push_async_callback(lock.close)
        yield Alternating(*locks)


class TestPostgresLock(LockingConformance):
    @pytest.fixture
    async def subject(self, postgres_engine: AsyncEngine) -> AsyncIterator[ILockStrategy]:
        async with PostgresLock(postgres_engine) as lock:
            yield lock


class TestPostgresLockOfTwoProcesses(LockingConformance):
    lacks: ClassVar[Mapping[str, str]] = {
        "fairness": "processes stand in the server's queue once they have connected"
    }

    @pytest.fixture
    async def subject(self, postgres_engine: AsyncEngine) -> AsyncIterator[ILockStrategy]:
        async with _two(lambda: PostgresLock(postgres_engine)) as lock:
            yield lock


class TestSQLiteTableLock(LockingConformance):
    @pytest.fixture
    async def subject(self, sqlite_engine: AsyncEngine) -> AsyncIterator[ILockStrategy]:
        lock = TableLock(sqlite_engine)
        yield lock
        await lock.close()


class TestSQLiteMemoryTableLock(LockingConformance):
    @pytest.fixture
    async def subject(self, sqlite_memory_engine: AsyncEngine) -> AsyncIterator[ILockStrategy]:
        lock = TableLock(sqlite_memory_engine)
        yield lock
        await lock.close()


class TestPostgresTableLock(LockingConformance):
    @pytest.fixture
    async def subject(self, postgres_engine: AsyncEngine) -> AsyncIterator[ILockStrategy]:
        lock = TableLock(postgres_engine)
        yield lock
        await lock.close()


class TestTableLockOfTwoProcesses(LockingConformance):
    lacks: ClassVar[Mapping[str, str]] = {"fairness": "processes look again at random intervals"}

    @pytest.fixture
    async def subject(self, engine: AsyncEngine) -> AsyncIterator[ILockStrategy]:
        async with _two(lambda: TableLock(engine)) as lock:
            yield lock
