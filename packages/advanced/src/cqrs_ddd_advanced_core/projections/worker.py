"""The worker that lets read models follow the events."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cqrs_ddd_advanced_core.projections._leases import LeasedPartitions
from cqrs_ddd_advanced_core.projections._partition import PartitionSettings
from cqrs_ddd_advanced_core.projections.policy import ErrorPolicy
from cqrs_ddd_advanced_core.projections.topics import projection_topic
from cqrs_ddd_core.background.polling import PollingLoop, WorkerStatus
from cqrs_ddd_core.correlation import get_context, message_context
from cqrs_ddd_core.ports.wake_up import EVENTS_TOPIC
from cqrs_ddd_core.primitives.exceptions import ConfigurationError, TransientPersistenceError
from cqrs_ddd_core.primitives.id_generator import new_id
from cqrs_ddd_core.primitives.retry import ExponentialBackoff

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Coroutine, Sequence

    from cqrs_ddd_advanced_core.ports.checkpoint_store import CheckpointKey
    from cqrs_ddd_advanced_core.ports.projection_store import IProjectionStore
    from cqrs_ddd_advanced_core.projections._partition import ProjectionPartition
    from cqrs_ddd_advanced_core.projections._projection import Projection
    from cqrs_ddd_advanced_core.projections.registry import ProjectorRegistry
    from cqrs_ddd_core.ports.event_store import IEventStore
    from cqrs_ddd_core.ports.wake_up import IWakeUp
    from cqrs_ddd_core.primitives.clock import IClock

__all__ = ["PartitionHealth", "ProjectionWorker", "WorkerHealth"]


@dataclass(frozen=True, slots=True)
class PartitionHealth:
    """How a partition that a worker carries on is.

    Attributes:
        key: Which one.
        tenant_id: Whose events.
        position: Of the last event that was looked at.
        failures: How many batches failed since the worker owns it.
        skipped: How many events were left out for good.
        last_error: Why the last one failed.
    """

    key: CheckpointKey
    tenant_id: str
    position: int
    failures: int
    skipped: int
    last_error: str | None


@dataclass(frozen=True, slots=True)
class WorkerHealth:
    """How a worker is, and what it carries on.

    Attributes:
        status: Of the loop.
        partitions: Those it owns.
    """

    status: WorkerStatus
    partitions: Sequence[PartitionHealth]


class ProjectionWorker(PollingLoop):
    """Lets read models follow the events, batch after batch, as long as it runs.

    Guarantee (G6): rows, checkpoint and parked events of a batch are written in one transaction,
    fenced against other workers; so every event has its effect once, whatever crashes, is
    cancelled or runs twice. Any number of workers share the partitions of all projections; one
    that dies is replaced when its leases have ended. Events of a stream are applied in order;
    those of different streams too, unless the projection has several partitions. Projections do
    not wait for each other.

    Memory does not grow with the backlog: of each partition two batches are held (G11), one that
    is written and the next.

    Args:
        projector_registry: The projections, and where they keep their rows.
        event_store: Has the events.
        batch_size: How many events one transaction applies at most.
        owner: Name in the leases, unique among all; made up when not given.
        poll_interval: Seconds until it looks again when nobody wakes it.
        lease_seconds: How long a partition stays with a worker that has died.
        wake_up: Tells that events were appended, and is told when projections have moved on.
        error_policy: What becomes of an event that cannot be applied, where its projector does
            not say.
        attempts: How often an event is tried alone before it is given up. Errors that say nothing
            about it, such as a database that is down, are not counted and tried without end.
        backoff: How long to wait after failures, in seconds.
        tenants: Whose events, each with checkpoints and rows of its own; those of the tenant in
            whose context the worker is made, when not given.
        max_concurrency: How many partitions are worked on at once at most.
        stop_timeout: Seconds the batches under way may take to finish after ``stop``.
        clock: Tells when a run ended.

    Raises:
        ConfigurationError: A number makes no sense.
    """

    def __init__(
        self,
        projector_registry: ProjectorRegistry,
        event_store: IEventStore,
        *,
        batch_size: int = 500,
        owner: str | None = None,
        poll_interval: float = 1.0,
        lease_seconds: float = 30.0,
        wake_up: IWakeUp | None = None,
        error_policy: ErrorPolicy = ErrorPolicy.HALT,
        attempts: int = 3,
        backoff: ExponentialBackoff | None = None,
        tenants: Collection[str] | None = None,
        max_concurrency: int = 8,
        stop_timeout: float = 30.0,
        clock: IClock | None = None,
    ) -> None:
        if min(batch_size, attempts, max_concurrency) < 1 or lease_seconds <= 0:
            msg = (
                "a projection worker needs batch_size, attempts and max_concurrency of at least 1 "
                "and lease_seconds above 0"
            )
            raise ConfigurationError(msg)
        super().__init__(
            self._work_off,
            name="projections",
            poll_interval=poll_interval,
            backoff=backoff,
            stop_timeout=stop_timeout,
            clock=clock,
        )
        self._settings = PartitionSettings(
            event_store,
            batch_size,
            error_policy,
            attempts,
            backoff or ExponentialBackoff(),
            self.trigger,
            wake_up,
        )
        self._owner = owner or str(new_id())
        self._lease_seconds = lease_seconds
        self._wake_up_port = wake_up
        self._topics = _topics(projector_registry.projections())
        self._stop_listening: list[Callable[[], None]] = []
        self._turns = asyncio.Semaphore(max_concurrency)
        tenant_ids = (get_context().tenant_id,) if tenants is None else tenants
        self._leased = [
            self._leases_of(store, tenant_id, projections)
            for tenant_id in tenant_ids
            for store, projections in _by_store(projector_registry.projections())
        ]

    def _leases_of(
        self, store: IProjectionStore, tenant_id: str, projections: Sequence[Projection]
    ) -> LeasedPartitions:
        return LeasedPartitions(
            store,
            tenant_id,
            projections,
            owner=self._owner,
            seconds=self._lease_seconds,
            settings=self._settings,
        )

    @property
    def health(self) -> WorkerHealth:
        """How it is at this moment, for health checks and metrics."""
        partitions = [
            PartitionHealth(
                one.lease.key,
                leased.tenant_id,
                one.lease.position,
                one.failures,
                one.skipped,
                one.last_error,
            )
            for leased in self._leased
            for one in leased.partitions
        ]
        return WorkerHealth(self.status, partitions)

    async def start(self) -> None:
        """Begin to work; calling it twice changes nothing.

        Raises:
            ProjectionSchemaMismatchError: A table is there and looks different.
            ProjectionDefinitionError: A projection has run with another number of partitions.
        """
        # A database that is down is waited for; a definition that cannot work is not.
        with suppress(TransientPersistenceError):
            for leased in self._leased:
                with message_context(tenant_id=leased.tenant_id):
                    await leased.prepare()
        if self._wake_up_port is not None and not self._stop_listening:
            listen = self._wake_up_port.listen
            self._stop_listening = [listen(topic, self.trigger) for topic in self._topics]
        await super().start()

    async def stop(self) -> None:
        """Finish the batches under way and let other workers have the partitions."""
        while self._stop_listening:
            self._stop_listening.pop()()
        await super().stop()
        for leased in self._leased:
            with message_context(tenant_id=leased.tenant_id):
                await leased.release()

    async def _work_off(self) -> int:
        results = await _all_of([self._drain(leased) for leased in self._leased])
        return sum(results)

    async def _drain(self, leased: LeasedPartitions) -> int:
        with message_context(tenant_id=leased.tenant_id):
            partitions = await leased.take()
            if not partitions:
                return 0
            async with leased.kept():
                work = [self._drain_partition(leased, one) for one in partitions]
                return sum(await _all_of(work))

    async def _drain_partition(
        self, leased: LeasedPartitions, partition: ProjectionPartition
    ) -> int:
        def may_go_on() -> bool:
            return not (self._stopping.is_set() or leased.is_due)

        async with self._turns:
            return await partition.drain(may_go_on)


def _topics(projections: Sequence[Projection]) -> list[str]:
    upstreams = {upstream.name for one in projections for upstream in one.upstreams}
    return [EVENTS_TOPIC, *map(projection_topic, sorted(upstreams))]


def _by_store(
    projections: Sequence[Projection],
) -> list[tuple[IProjectionStore, list[Projection]]]:
    stores = {id(one.store): one.store for one in projections}
    return [
        (store, [one for one in projections if one.store is store]) for store in stores.values()
    ]


async def _all_of(works: Sequence[Coroutine[Any, Any, int]]) -> list[int]:
    """Do all of it at once, and return the results when everything has ended.

    Raises:
        Exception: The first error, once everything has ended.
    """
    if len(works) == 1:
        return [await works[0]]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_outcome(work)) for work in works]
    outcomes = [task.result() for task in tasks]
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            raise outcome
    return [outcome for outcome in outcomes if isinstance(outcome, int)]


async def _outcome(work: Coroutine[Any, Any, int]) -> int | Exception:
    try:
        return await work
    except Exception as error:  # noqa: BLE001 - raised when the others have ended
        return error
