"""Several locks at once, without deadlock and without leftovers."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Self

from cqrs_ddd_core.ports.locking import LockMode
from cqrs_ddd_core.primitives.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cqrs_ddd_core.ports.locking import ILockStrategy, ResourceIdentifier

__all__ = ["CriticalSection"]

_logger = logging.getLogger(__name__)


class CriticalSection:
    """Holds locks for one task; leaving an ``async with`` block gives them back, last first.

    Resources are locked in one order, the same for everybody, each once: asked for in both
    modes, writing wins. Either all are locked or none.

    Args:
        strategy: Locks and unlocks.
        resources: What entering the block locks.
        timeout: Seconds to wait for all of them together.
        ttl: Seconds after which a lock ends by itself.
    """

    def __init__(
        self,
        strategy: ILockStrategy,
        resources: Iterable[ResourceIdentifier] = (),
        *,
        timeout: float = 10.0,
        ttl: float = 30.0,
    ) -> None:
        self.strategy = strategy
        self.owner: asyncio.Task[Any] | None = asyncio.current_task()
        self._resources = tuple(resources)
        self._timeout = timeout
        self._ttl = ttl
        self._held: dict[str, tuple[ResourceIdentifier, str]] = {}

    async def __aenter__(self) -> Self:
        await self.acquire(self._resources)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.release()

    async def acquire(self, resources: Iterable[ResourceIdentifier]) -> None:
        """Lock what is not held yet; after a failure only what was held before is.

        Raises:
            LockAcquisitionError: Some resource was not free in time.
            ConfigurationError: A resource held for reading is asked for writing.
        """
        missing = self._missing(resources)
        deadline = asyncio.get_running_loop().time() + self._timeout
        try:
            for resource in missing:
                left = deadline - asyncio.get_running_loop().time()
                token = await self.strategy.acquire(resource, timeout=max(left, 0), ttl=self._ttl)
                self._held[resource.key] = resource, token
        except BaseException:
            await self._release([one.key for one in missing if one.key in self._held])
            raise

    async def release(self) -> None:
        """Give all locks back, the last one taken first, even when the task is cancelled."""
        await self._release(list(self._held))

    def _missing(self, resources: Iterable[ResourceIdentifier]) -> list[ResourceIdentifier]:
        wanted: dict[str, ResourceIdentifier] = {}
        for resource in resources:
            if resource.key not in wanted or resource.lock_mode is LockMode.WRITE:
                wanted[resource.key] = resource
        return [wanted[key] for key in sorted(wanted) if not self._holds(wanted[key])]

    def _holds(self, resource: ResourceIdentifier) -> bool:
        if resource.key not in self._held:
            return False
        held = self._held[resource.key][0]
        if held.lock_mode is LockMode.READ and resource.lock_mode is LockMode.WRITE:
            # Waiting for the write lock would be waiting for our own read lock.
            msg = f"{resource.key} is locked for reading already: lock it for writing at the start"
            raise ConfigurationError(msg)
        return True

    async def _release(self, keys: Sequence[str]) -> None:
        if not keys:
            return
        held = [self._held.pop(key) for key in reversed(keys)]
        releasing = asyncio.ensure_future(self._give_back(held))
        try:
            await asyncio.shield(releasing)
        except asyncio.CancelledError:
            await releasing
            raise

    async def _give_back(self, held: Sequence[tuple[ResourceIdentifier, str]]) -> None:
        for resource, token in held:
            try:
                if not await self.strategy.release(resource, token):
                    _logger.warning(
                        "the lock on %s ended before it was released: a ttl of %g s is too short",
                        resource,
                        self._ttl,
                    )
            except Exception:
                # What it guarded may be committed by now; the lock ends with its ttl.
                _logger.exception("could not release the lock on %s", resource)
