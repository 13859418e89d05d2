"""What locks in a database have in common: a queue in the process, and an end in time."""

from __future__ import annotations

import asyncio
import logging
from abc import abstractmethod
from collections.abc import Coroutine
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Generic, TypeVar

from cqrs_ddd_core.adapters.memory.locking import InMemoryLockStrategy
from cqrs_ddd_core.ports.locking import ActiveLock, ILockStrategy, ResourceIdentifier
from cqrs_ddd_core.primitives.clock import utc_now
from cqrs_ddd_core.primitives.exceptions import InfrastructureError

__all__ = ["Deadline", "QueuedLock"]

logger = logging.getLogger(__name__)

C = TypeVar("C")
R = TypeVar("R")

#: The queue's holds end when this process says so, not by themselves.
_FOREVER: Final = 10 * 365 * 86_400.0


class Deadline:
    """When a waiter gives up.

    Args:
        timeout: In so many seconds from now.
    """

    def __init__(self, timeout: float) -> None:
        self.timeout = timeout
        self._at = asyncio.get_running_loop().time() + timeout

    @property
    def remaining(self) -> float:
        """Seconds left, not below 0."""
        return max(self._at - asyncio.get_running_loop().time(), 0.0)


@dataclass(frozen=True, slots=True)
class _Hold(Generic[C]):
    resource: ResourceIdentifier
    claim: C
    end: asyncio.TimerHandle


class QueuedLock(ILockStrategy, Generic[C]):
    """Takes a place in the process's own queue first, then the lock in the database.

    Of the tasks of one process that want one lock, one at a time (or several readers) turn to the
    database, in the order they asked. ``C`` is what proves the hold there.
    """

    def __init__(self) -> None:
        self._queue = InMemoryLockStrategy()
        self._holds: dict[str, _Hold[C]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()

    @abstractmethod
    async def _take(
        self, resource: ResourceIdentifier, token: str, deadline: Deadline, ttl: float
    ) -> C:
        """Take the lock in the database; an exception or cancellation leaves nothing behind."""

    @abstractmethod
    async def _keep(self, resource: ResourceIdentifier, token: str, claim: C, ttl: float) -> bool:
        """Hold it for longer; ``False`` when it is lost."""

    @abstractmethod
    async def _give_back(self, resource: ResourceIdentifier, token: str, claim: C) -> bool:
        """Give it back; ``False`` when it was lost."""

    async def acquire(
        self, resource: ResourceIdentifier, *, timeout: float = 10.0, ttl: float = 30.0
    ) -> str:
        deadline = Deadline(timeout)
        token = await self._queue.acquire(resource, timeout=timeout, ttl=_FOREVER)
        try:
            claim = await self._take(resource, token, deadline, ttl)
        except BaseException:
            await self._queue.release(resource, token)
            raise
        self._hold(resource, token, claim, ttl)
        return token

    async def extend(self, resource: ResourceIdentifier, token: str, ttl: float) -> bool:
        hold = self._holds.get(token)
        if hold is None or hold.resource.key != resource.key:
            return False
        is_kept = await self._keep(hold.resource, token, hold.claim, ttl)
        # It may have ended while the database was asked.
        if self._holds.get(token) is not hold:
            return False
        hold.end.cancel()
        if is_kept:
            self._hold(hold.resource, token, hold.claim, ttl)
        else:
            self._expire(token)
        return is_kept

    async def release(self, resource: ResourceIdentifier, token: str) -> bool:
        hold = self._holds.get(token)
        if hold is None or hold.resource.key != resource.key:
            return False
        del self._holds[token]
        hold.end.cancel()
        # Goes on when its caller is cancelled.
        return await asyncio.shield(self._spawn(self._end(token, hold)))

    async def get_active_locks(self) -> list[ActiveLock]:
        now, loop_now = utc_now(), asyncio.get_running_loop().time()
        return [
            ActiveLock(hold.resource, token, now + timedelta(seconds=hold.end.when() - loop_now))
            for token, hold in self._holds.items()
        ]

    async def close(self) -> None:
        """Give all locks and connections back; for the end of the process."""
        for token in list(self._holds):
            self._expire(token)
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _hold(self, resource: ResourceIdentifier, token: str, claim: C, ttl: float) -> None:
        end = asyncio.get_running_loop().call_later(ttl, self._expire, token)
        self._holds[token] = _Hold(resource, claim, end)

    def _expire(self, token: str) -> None:
        hold = self._holds.pop(token, None)
        if hold is not None:
            hold.end.cancel()
            self._spawn(self._end(token, hold))

    async def _end(self, token: str, hold: _Hold[C]) -> bool:
        try:
            return await self._give_back(hold.resource, token, hold.claim)
        except InfrastructureError:
            # The database ends it by itself: with the connection, or at its time.
            logger.warning("%s could not be given back", hold.resource, exc_info=True)
            return False
        finally:
            await self._queue.release(hold.resource, token)

    def _spawn(self, work: Coroutine[Any, Any, R]) -> asyncio.Task[R]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
