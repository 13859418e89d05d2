"""The partitions a worker owns in one store, for one tenant."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from time import monotonic
from typing import TYPE_CHECKING, Final

from cqrs_ddd_advanced_core.projections._partition import ProjectionPartition
from cqrs_ddd_advanced_core.projections._placement import serves
from cqrs_ddd_advanced_core.projections.reaction import EventReaction, ReactionPartition
from cqrs_ddd_core.primitives.exceptions import InfrastructureError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from cqrs_ddd_advanced_core.ports.checkpoint_store import CheckpointKey, CheckpointLease
    from cqrs_ddd_advanced_core.ports.projection_store import IProjectionStore
    from cqrs_ddd_advanced_core.projections._partition import PartitionSettings
    from cqrs_ddd_advanced_core.projections._projection import Projection

__all__ = ["LeasedPartitions"]

_logger = logging.getLogger(__name__)

#: Share of a lease after which it is renewed, and shared with others again.
_RENEWED_AFTER: Final = 1 / 3


class LeasedPartitions:
    """Leases partitions, shares them with other workers, and keeps them while work is under way.

    A lease that is lost nevertheless does no harm: the checkpoint cannot be moved then, and the
    batch is rolled back with it.

    Args:
        store: Has the checkpoints.
        tenant_id: Whose events; every call has to be in its context.
        projections: Those of this store.
        owner: Name in the leases.
        seconds: How long a lease lasts.
        settings: Those of the worker.
        carries_on: Whether a projection is to be carried on here; asked anew with every lease.
    """

    def __init__(
        self,
        store: IProjectionStore,
        tenant_id: str,
        projections: Sequence[Projection],
        *,
        owner: str,
        seconds: float,
        settings: PartitionSettings,
        carries_on: Callable[[Projection], Awaitable[bool]] = serves,
    ) -> None:
        self.tenant_id: str = tenant_id
        self._store = store
        self._unprepared = {one.name: one for one in projections}
        self._projections: dict[str, Projection] = {}
        self._owner = owner
        self._seconds = seconds
        self._settings = settings
        self._carries_on = carries_on
        self._partitions: dict[CheckpointKey, ProjectionPartition] = {}
        self._leased_at = 0.0

    @property
    def partitions(self) -> Sequence[ProjectionPartition]:
        """The partitions it has, as far as it knows."""
        return [one for one in self._partitions.values() if not one.is_over]

    @property
    def is_due(self) -> bool:
        """Whether it is time to share with others again."""
        is_old = monotonic() - self._leased_at >= self._seconds * _RENEWED_AFTER
        return is_old or not self.partitions

    async def prepare(self) -> None:
        """Make tables and checkpoints that are not there yet, of what is carried on.

        Raises:
            ProjectionSchemaMismatchError: A table is there and looks different.
            ProjectionDefinitionError: A projection has run with another number of partitions.
        """
        for name, projection in list(self._unprepared.items()):
            if await self._carries_on(projection):
                await projection.prepare(self._settings.event_store)
                self._projections[name] = self._unprepared.pop(name)

    async def take(self) -> Sequence[ProjectionPartition]:
        """Return the partitions, shared anew when it is time; while nothing is under way."""
        waiting = len(self._unprepared)
        await self.prepare()
        is_more = len(self._unprepared) < waiting
        if is_more or self.is_due or any(one.is_over for one in self._partitions.values()):
            # Before the question: the lease begins at the earliest then.
            asked_at = monotonic()
            keys = [key for one in await self._carried_on() for key in one.keys]
            checkpoints = self._store.checkpoints
            leases = await checkpoints.lease(self._owner, keys, seconds=self._seconds)
            # Asked again: from here on a swap of versions fences these leases.
            names = {one.name for one in await self._carried_on()}
            self._partitions = {
                lease.key: await self._adopt(lease)
                for lease in leases
                if lease.key.projection in names
            }
            self._leased_at = asked_at
        return self.partitions

    async def _carried_on(self) -> list[Projection]:
        return [one for one in self._projections.values() if await self._carries_on(one)]

    async def _adopt(self, lease: CheckpointLease) -> ProjectionPartition:
        known = self._partitions.get(lease.key)
        if known is not None and not known.is_over and known.lease == lease:
            return known
        held = await self._store.parked_events.held_streams(lease.key)
        projection = self._projections[lease.key.projection]
        is_reaction = isinstance(projection.projector, EventReaction)
        partition = ReactionPartition if is_reaction else ProjectionPartition
        return partition(projection, lease, self._settings, held)

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Renew the leases while the block runs."""
        heartbeat = asyncio.create_task(self._renew(), name="projections heartbeat")
        try:
            yield
        finally:
            heartbeat.cancel()

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(self._seconds * _RENEWED_AFTER)
            partitions = self.partitions
            leases = [one.lease for one in partitions]
            try:
                kept = await self._store.checkpoints.renew(leases, seconds=self._seconds)
            except InfrastructureError as error:
                _logger.warning("projection worker %s cannot renew leases: %r", self._owner, error)
                continue
            epochs = {(lease.key, lease.epoch) for lease in kept}
            for one in partitions:
                if (one.lease.key, one.lease.epoch) not in epochs:
                    one.is_over = True

    async def release(self) -> None:
        """Give all partitions back."""
        self._partitions = {}
        await self._store.checkpoints.release(self._owner)
