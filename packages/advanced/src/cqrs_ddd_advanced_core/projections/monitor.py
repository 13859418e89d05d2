"""Tells from any process how projections are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

from cqrs_ddd_advanced_core.ports.checkpoint_store import CheckpointState
from cqrs_ddd_advanced_core.projections._lag import lag_seconds
from cqrs_ddd_advanced_core.projections.progress import RateMeter
from cqrs_ddd_advanced_core.projections.status import ProjectionStatus
from cqrs_ddd_core.correlation import get_context
from cqrs_ddd_core.primitives.clock import IClock, SystemClock

if TYPE_CHECKING:
    from cqrs_ddd_advanced_core.ports.checkpoint_store import Checkpoint
    from cqrs_ddd_advanced_core.projections._projection import Projection
    from cqrs_ddd_advanced_core.projections.registry import ProjectorRegistry
    from cqrs_ddd_advanced_core.projections.worker import ProjectionWorker
    from cqrs_ddd_core.instrumentation import HookRegistry
    from cqrs_ddd_core.ports.event_store import IEventStore

__all__ = ["ProjectionHealth", "ProjectionMonitor"]

#: What is worse stands first.
_BY_GRAVITY: Final = (
    CheckpointState.HALTED,
    CheckpointState.SWITCHING,
    CheckpointState.PAUSED,
    CheckpointState.RUNNING,
)


@dataclass(frozen=True, slots=True)
class ProjectionHealth:
    """Whether projections are well.

    Attributes:
        statuses: Of all of them, by name.
        problems: What is wrong, in words; none when all is well.
    """

    statuses: Sequence[ProjectionStatus]
    problems: Sequence[str]

    @property
    def is_healthy(self) -> bool:
        """Whether nothing is halted, or behind by more than is allowed."""
        return not self.problems


class ProjectionMonitor:
    """Says how far projections have come, from their checkpoints and the event store.

    Any process can ask, whether it carries them on or not. Each answer costs a few statements by
    index, however much there is. All calls concern the tenant of the current context, and the
    version that serves queries.

    Args:
        registry: Has the projections.
        event_store: Has the events.
        workers: Those of this process, whose failures are counted.
        clock: Tells how old events are; best one that agrees with the database's.
    """

    def __init__(
        self,
        registry: ProjectorRegistry,
        event_store: IEventStore,
        *,
        workers: Sequence[ProjectionWorker] = (),
        clock: IClock | None = None,
    ) -> None:
        self._registry = registry
        self._event_store = event_store
        self._workers = workers
        self._now = (clock or SystemClock()).now
        self._rates: defaultdict[tuple[str, str, int], RateMeter] = defaultdict(RateMeter)

    async def status(self, name: str) -> ProjectionStatus:
        """Return how a projection is.

        Raises:
            UnknownProjectionError: Nothing is registered under the name.
        """
        return await self._status(self._registry.get(name))

    async def statuses(self) -> list[ProjectionStatus]:
        """Return how all registered projections are, by name."""
        return [await self._status(one) for one in self._registry.projections()]

    async def check(
        self, *, max_lag_seconds: float = 60.0, max_parked: int = 0
    ) -> ProjectionHealth:
        """Return whether all projections are well; for health checks and alarms.

        Args:
            max_lag_seconds: How long an event may wait.
            max_parked: How many events may be parked of one projection.

        Raises:
            PersistenceError: The database does not answer; nobody knows how they are.
        """
        statuses = await self.statuses()
        problems = [
            problem
            for status in statuses
            for problem in _problems(status, max_lag_seconds, max_parked)
        ]
        return ProjectionHealth(statuses, problems)

    async def report(self, hooks: HookRegistry) -> None:
        """Tell hooks how each projection is, as ``projection:status``; for gauges of metrics.

        The details are the fields of ``ProjectionStatus``, ``lag`` and ``tenant_id``.
        """
        for status in await self.statuses():
            details = {**asdict(status), "lag": status.lag, "tenant_id": get_context().tenant_id}
            await hooks.notify("projection:status", details)

    async def _status(self, projection: Projection) -> ProjectionStatus:
        name, store = projection.name, projection.store
        version = await store.checkpoints.serving_version(name) or projection.version
        checkpoints = await store.checkpoints.get(name, version)
        # After the checkpoints: the head may move on, and a position is never ahead of it.
        head = await self._event_store.get_head_position()
        state = _state(checkpoints)
        position = head if state is CheckpointState.INLINE else _position(checkpoints)
        return ProjectionStatus(
            name,
            version,
            state,
            position=position,
            head=max(head, position),
            lag_seconds=await self._lag_seconds(projection, position, head),
            rate=self._rates[get_context().tenant_id, name, version].note(position),
            failures=self._failures(name),
            parked=await store.parked_events.count(name, version),
            partitions=max(len(checkpoints), 1),
            owners=sorted({one.owner for one in checkpoints if one.owner is not None}),
            error=next((one.error for one in checkpoints if one.error is not None), None),
        )

    async def _lag_seconds(self, projection: Projection, position: int, head: int) -> float:
        if position >= head:
            return 0.0
        return await lag_seconds(self._event_store, position, projection.event_filter, self._now())

    def _failures(self, name: str) -> int:
        tenant_id = get_context().tenant_id
        return sum(
            partition.failures
            for worker in self._workers
            for partition in worker.health.partitions
            if partition.key.projection == name and partition.tenant_id == tenant_id
        )


def _state(checkpoints: Sequence[Checkpoint]) -> CheckpointState:
    states = {one.state for one in checkpoints} or {CheckpointState.RUNNING}
    return next((state for state in _BY_GRAVITY if state in states), min(states))


def _position(checkpoints: Sequence[Checkpoint]) -> int:
    return min((one.position for one in checkpoints), default=0)


def _problems(status: ProjectionStatus, max_lag_seconds: float, max_parked: int) -> list[str]:
    problems = []
    if status.state is CheckpointState.HALTED:
        problems.append(f"{status.name} is halted at {status.position}: {status.error}")
    if status.lag_seconds > max_lag_seconds:
        problems.append(
            f"{status.name} is {status.lag_seconds:.0f} s and {status.lag} positions behind"
        )
    if status.parked > max_parked:
        problems.append(f"{status.name} has {status.parked} parked events")
    return problems
