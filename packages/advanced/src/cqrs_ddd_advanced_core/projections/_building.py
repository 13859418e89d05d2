"""Bring one build of a projection to the head of the feed, together with others who do."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING

from cqrs_ddd_advanced_core.domain.projection_exceptions import RebuildError
from cqrs_ddd_advanced_core.ports.checkpoint_store import CheckpointState
from cqrs_ddd_advanced_core.projections._leases import LeasedPartitions
from cqrs_ddd_advanced_core.projections._partition import PartitionSettings
from cqrs_ddd_advanced_core.projections._placement import is_beside, serves
from cqrs_ddd_advanced_core.projections.progress import RateMeter, RebuildProgress
from cqrs_ddd_core.correlation import get_context, message_context
from cqrs_ddd_core.primitives.id_generator import new_id
from cqrs_ddd_core.primitives.retry import ExponentialBackoff

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from cqrs_ddd_advanced_core.ports.checkpoint_store import Checkpoint
    from cqrs_ddd_advanced_core.projections._projection import Projection
    from cqrs_ddd_advanced_core.projections.policy import ErrorPolicy
    from cqrs_ddd_advanced_core.projections.progress import OnProgress, Throttle
    from cqrs_ddd_core.ports.event_store import IEventStore

__all__ = ["Builder"]


class Builder:
    """Applies events in large batches until a build has come to the head of the feed.

    It leases partitions as workers do, so any number of builders share them, one that dies is
    replaced, and every event has its effect once.

    Args:
        event_store: Has the events.
        batch_size: How many events one transaction applies at most.
        error_policy: What becomes of an event that cannot be applied, where its projector does
            not say.
        throttle: How much it may take from others.
        on_progress: Is told how far it has come.
        lease_seconds: How long a partition stays with a builder that has died.
        poll_interval: Seconds until it looks again at what others have leased.
    """

    def __init__(
        self,
        event_store: IEventStore,
        *,
        batch_size: int,
        error_policy: ErrorPolicy,
        throttle: Throttle,
        on_progress: OnProgress,
        lease_seconds: float,
        poll_interval: float,
    ) -> None:
        self._event_store = event_store
        self._settings = PartitionSettings(
            event_store, batch_size, error_policy, 3, ExponentialBackoff(), _wake_nobody, None
        )
        self._throttle = throttle
        self._on_progress = on_progress
        self._lease_seconds = lease_seconds
        self._poll_interval = poll_interval

    async def catch_up(self, projection: Projection, serving: int, tenant_id: str) -> None:
        """Apply the events of a tenant until none is left that was there when it looked last.

        It returns before that when somebody else makes another version serve.

        Args:
            projection: Placed where its rows are to be.
            serving: The version that serves, which it lets go first.
            tenant_id: Whose.

        Raises:
            RebuildError: An event cannot be applied, or somebody deleted the build.
        """
        is_ours = serves if serving == projection.version else is_beside
        with message_context(tenant_id=tenant_id):
            leased = LeasedPartitions(
                projection.store,
                tenant_id,
                [projection],
                owner=f"rebuild {new_id()}",
                seconds=self._lease_seconds,
                settings=self._settings,
                carries_on=is_ours,
            )
            try:
                await self._catch_up(projection, serving, leased, is_ours)
            finally:
                await leased.release()

    async def _catch_up(
        self,
        projection: Projection,
        serving: int,
        leased: LeasedPartitions,
        is_ours: Callable[[Projection], Awaitable[bool]],
    ) -> None:
        meter = RateMeter()
        is_done = False
        # Somebody else may swap it in or out: its rows are elsewhere then, and with the workers.
        while not is_done and await is_ours(projection):
            await self._let_go_first(projection, serving)
            head = await self._event_store.get_latest_position()
            started = monotonic()
            count = await self._apply_pages(leased)
            checkpoints = await projection.store.checkpoints.get(
                projection.name, projection.version
            )
            refuse_stopped(projection, checkpoints)
            is_done = min(one.position for one in checkpoints) >= head
            self._report(projection, checkpoints, head, meter)
            await self._wait(count, monotonic() - started, is_done=is_done)

    async def _apply_pages(self, leased: LeasedPartitions) -> int:
        """Apply one page of each partition that nobody else has; return how many events."""
        partitions = await leased.take()
        if not partitions:
            return 0
        async with leased.kept():
            return sum(await asyncio.gather(*(one.drain(_one_page) for one in partitions)))

    async def _let_go_first(self, projection: Projection, serving: int) -> None:
        """Stand still while the version that serves is too far behind."""
        max_lag = self._throttle.max_lag
        while max_lag is not None and serving != projection.version:
            checkpoints = await projection.store.checkpoints.get(projection.name, serving)
            running = [one for one in checkpoints if one.state is CheckpointState.RUNNING]
            head = await self._event_store.get_latest_position()
            if not running or head - min(one.position for one in running) <= max_lag:
                return
            await asyncio.sleep(self._poll_interval)

    def _report(
        self,
        projection: Projection,
        checkpoints: Sequence[Checkpoint],
        head: int,
        meter: RateMeter,
    ) -> None:
        done = sum(one.position for one in checkpoints) // len(checkpoints)
        tenant_id = get_context().tenant_id
        progress = RebuildProgress(
            projection.name, projection.version, done, max(head, done), meter.note(done), tenant_id
        )
        self._on_progress(progress)

    async def _wait(self, events: int, seconds: float, *, is_done: bool) -> None:
        if is_done:
            return
        # Others have the partitions, or the database is away.
        pause = self._throttle.pause(events, seconds) if events else self._poll_interval
        await asyncio.sleep(pause)


def refuse_stopped(projection: Projection, checkpoints: Sequence[Checkpoint]) -> None:
    """Refuse to go on with a build that is gone, halted or none any more.

    Raises:
        RebuildError: It is.
    """
    if not checkpoints:
        msg = f"{projection.name} version {projection.version} was dropped while it was built"
        raise RebuildError(msg)
    for one in checkpoints:
        if one.state is CheckpointState.KEPT:
            msg = (
                f"{projection.name} version {projection.version} is kept as it was when another "
                "one took its place: call build() to go on with it"
            )
            raise RebuildError(msg)
        if one.state is CheckpointState.HALTED:
            msg = (
                f"{projection.name} version {projection.version} cannot be built beyond position "
                f"{one.position}: {one.error}. Mend the projector or the event and go on"
            )
            raise RebuildError(msg)


def _one_page() -> bool:
    return False


def _wake_nobody() -> None:
    """Do nothing: a builder looks by itself."""
