"""Locks in memory, for the tasks of one event loop."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from datetime import timedelta

from cqrs_ddd_core.ports.locking import ActiveLock, ILockStrategy, LockMode, ResourceIdentifier
from cqrs_ddd_core.primitives.clock import utc_now
from cqrs_ddd_core.primitives.exceptions import LockAcquisitionError
from cqrs_ddd_core.primitives.id_generator import new_id

__all__ = ["InMemoryLockStrategy"]


@dataclass(frozen=True, slots=True, eq=False)
class _Waiter:
    resource: ResourceIdentifier
    ttl: float
    token: asyncio.Future[str]


@dataclass(frozen=True, slots=True)
class _Hold:
    resource: ResourceIdentifier
    end: asyncio.TimerHandle


@dataclass(frozen=True, slots=True)
class _Lock:
    holds: dict[str, _Hold] = field(default_factory=dict)
    waiters: deque[_Waiter] = field(default_factory=deque)

    def can_grant(self, mode: LockMode) -> bool:
        return not self.holds or (
            mode is LockMode.READ
            and all(hold.resource.lock_mode is LockMode.READ for hold in self.holds.values())
        )


class InMemoryLockStrategy(ILockStrategy):
    """Excludes the tasks of one event loop from each other.

    It is fair: locks are granted in the order they were asked for, so that a writer is not kept
    waiting by readers who came later.
    """

    def __init__(self) -> None:
        self._locks: dict[str, _Lock] = {}

    async def acquire(
        self, resource: ResourceIdentifier, *, timeout: float = 10.0, ttl: float = 30.0
    ) -> str:
        waiter = _Waiter(resource, ttl, asyncio.get_running_loop().create_future())
        self._locks.setdefault(resource.key, _Lock()).waiters.append(waiter)
        self._grant(resource.key)
        try:
            async with asyncio.timeout(timeout):
                return await waiter.token
        except TimeoutError:
            self._withdraw(waiter)
            raise LockAcquisitionError(resource, timeout) from None
        except BaseException:
            self._withdraw(waiter)
            raise

    async def extend(self, resource: ResourceIdentifier, token: str, ttl: float) -> bool:
        if not self._end(resource.key, token):
            return False
        self._hold(resource, token, ttl)
        return True

    async def release(self, resource: ResourceIdentifier, token: str) -> bool:
        was_held = self._end(resource.key, token)
        self._grant(resource.key)
        return was_held

    async def get_active_locks(self) -> list[ActiveLock]:
        now, loop_now = utc_now(), asyncio.get_running_loop().time()
        return [
            ActiveLock(hold.resource, token, now + timedelta(seconds=hold.end.when() - loop_now))
            for lock in self._locks.values()
            for token, hold in lock.holds.items()
        ]

    def _grant(self, key: str) -> None:
        lock = self._locks.get(key)
        if lock is None:
            return
        while lock.waiters and lock.can_grant(lock.waiters[0].resource.lock_mode):
            waiter = lock.waiters.popleft()
            if waiter.token.cancelled():
                # It has given up already, but its task has not run since.
                continue
            token = str(new_id())
            self._hold(waiter.resource, token, waiter.ttl)
            waiter.token.set_result(token)
        if not lock.holds:
            # Nobody holds it, so nobody waits for it either.
            del self._locks[key]

    def _hold(self, resource: ResourceIdentifier, token: str, ttl: float) -> None:
        end = asyncio.get_running_loop().call_later(ttl, self._expire, resource.key, token)
        self._locks[resource.key].holds[token] = _Hold(resource, end)

    def _expire(self, key: str, token: str) -> None:
        self._end(key, token)
        self._grant(key)

    def _end(self, key: str, token: str) -> bool:
        lock = self._locks.get(key)
        hold = None if lock is None else lock.holds.pop(token, None)
        if hold is None:
            return False
        hold.end.cancel()
        return True

    def _withdraw(self, waiter: _Waiter) -> None:
        """Take back a wait, or the lock when it was granted at the very moment of giving up."""
        key = waiter.resource.key
        lock = self._locks.get(key)
        if waiter.token.done() and not waiter.token.cancelled():
            self._end(key, waiter.token.result())
        elif lock is not None and waiter in lock.waiters:
            lock.waiters.remove(waiter)
        self._grant(key)
