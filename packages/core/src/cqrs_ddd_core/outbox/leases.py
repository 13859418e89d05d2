"""The partitions a service may publish, and for how long."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from time import monotonic
from typing import TYPE_CHECKING, Final

from cqrs_ddd_core.primitives.exceptions import InfrastructureError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from cqrs_ddd_core.ports.outbox import IOutboxStorage, OutboxPartition

__all__ = ["PartitionLeases"]

_logger = logging.getLogger(__name__)

#: Shares of a lease: when it is renewed, and until when its owner trusts it. The rest is for
#: clocks that run differently and for messages on their way to the broker.
_RENEWED_AFTER: Final = 1 / 3
_TRUSTED_FOR: Final = 0.8


class PartitionLeases:
    """Leases partitions, shares them with other owners, and keeps them while work is under way.

    Args:
        storage: The outbox.
        owner: Name in the leases.
        seconds: How long a lease lasts.
        limit: How many partitions it wants at most; all when not given.
    """

    def __init__(
        self, storage: IOutboxStorage, owner: str, *, seconds: float, limit: int | None = None
    ) -> None:
        self._storage = storage
        self._owner = owner
        self._seconds = seconds
        self._limit = limit
        self._owned: Sequence[OutboxPartition] = ()
        self._leased_at = 0.0

    @property
    def owned(self) -> Sequence[OutboxPartition]:
        """The partitions it has, as far as it knows."""
        return self._owned

    @property
    def is_due(self) -> bool:
        """Whether it is time to share with others again."""
        return not self._owned or self._age >= self._seconds * _RENEWED_AFTER

    @property
    def _age(self) -> float:
        return monotonic() - self._leased_at

    async def take(self) -> Sequence[OutboxPartition]:
        """Return the partitions, shared anew when it is time; while nothing is under way."""
        if self.is_due:
            # Before the question: the lease begins at the earliest then.
            asked_at = monotonic()
            self._owned = await self._storage.lease_partitions(
                self._owner, seconds=self._seconds, limit=self._limit
            )
            self._leased_at = asked_at
        return self._owned

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Renew the leases while the block runs, and end the block when they cannot be kept.

        Raises:
            TimeoutError: The leases are lost, or nearly: the block was cancelled.
        """
        async with asyncio.timeout(self._trusted_seconds) as limit:
            # As they are now: what is forgotten meanwhile was lost, and must show as lost.
            renewing = self._renew(self._owned, limit)
            heartbeat = asyncio.create_task(renewing, name="outbox heartbeat")
            try:
                yield
            finally:
                heartbeat.cancel()

    async def release(self) -> None:
        """Give all partitions back."""
        self._owned = ()
        await self._storage.release_partitions(self._owner)

    def forget(self) -> None:
        """Ask for partitions anew next time, because some were lost."""
        self._owned = ()

    @property
    def _trusted_seconds(self) -> float:
        return max(self._seconds * _TRUSTED_FOR - self._age, 0.0)

    async def _renew(self, owned: Sequence[OutboxPartition], limit: asyncio.Timeout) -> None:
        while True:
            await asyncio.sleep(self._seconds * _RENEWED_AFTER)
            asked_at = monotonic()
            try:
                kept = await self._storage.renew_partitions(owned, seconds=self._seconds)
            except InfrastructureError as error:
                _logger.warning("outbox owner %s cannot renew its leases: %r", self._owner, error)
                continue
            if len(kept) < len(owned):
                _logger.warning("outbox owner %s lost leases", self._owner)
                self.forget()
                limit.reschedule(asyncio.get_running_loop().time())
                return
            self._leased_at = asked_at
            limit.reschedule(asyncio.get_running_loop().time() + self._trusted_seconds)
