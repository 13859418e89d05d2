"""Read your writes: wait until a projection shows an event."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from cqrs_ddd_advanced_core.domain.projection_exceptions import (
    ProjectionHaltedError,
    ProjectionLagError,
)
from cqrs_ddd_advanced_core.ports.checkpoint_store import CheckpointState
from cqrs_ddd_advanced_core.projections._lag import lag_seconds
from cqrs_ddd_advanced_core.projections.status import Staleness
from cqrs_ddd_advanced_core.projections.topics import projection_topic
from cqrs_ddd_core.correlation import get_context
from cqrs_ddd_core.ports.unit_of_work_scope import current_scope
from cqrs_ddd_core.primitives.clock import IClock, SystemClock
from cqrs_ddd_core.primitives.exceptions import UnitOfWorkError
from cqrs_ddd_core.primitives.retry import ExponentialBackoff

if TYPE_CHECKING:
    from cqrs_ddd_advanced_core.projections._projection import Projection
    from cqrs_ddd_advanced_core.projections.registry import ProjectorRegistry
    from cqrs_ddd_advanced_core.queries import CatchUp
    from cqrs_ddd_core.ports.event_store import IEventStore
    from cqrs_ddd_core.ports.wake_up import IWakeUp

__all__ = ["ProjectionWaiter"]

#: How long to wait between two looks when nobody wakes it, in seconds.
_BETWEEN_LOOKS: Final = ExponentialBackoff(initial=0.005, factor=1.6, maximum=0.25, jitter=0.3)


class ProjectionWaiter:
    """Waits until projections show an event, whichever process carries them on.

    It looks at checkpoints, at once when the worker announces that it moved on and else in
    growing intervals; all who wait for a projection share one look. An inline projection shows
    every committed event. All calls concern the tenant of the current context.

    Args:
        registry: Has the projections.
        event_store: Has the events.
        wake_up: The one the workers have, or one like it in another process; it has to be started.
        clock: Tells how old events are.
    """

    def __init__(
        self,
        registry: ProjectorRegistry,
        event_store: IEventStore,
        *,
        wake_up: IWakeUp | None = None,
        clock: IClock | None = None,
    ) -> None:
        self._registry = registry
        self._event_store = event_store
        self._wake_up = wake_up
        self._now = (clock or SystemClock()).now
        self._looks: defaultdict[tuple[str, str], _Look] = defaultdict(_Look)

    async def wait_for(self, name: str, position: int, *, timeout: float = 5.0) -> None:
        """Return once a projection shows the event at a position.

        Args:
            name: Of the projection.
            position: Of a committed event, such as ``CommandResponse.position``.
            timeout: Seconds to wait at most.

        Raises:
            UnknownProjectionError: Nothing is registered under the name.
            ProjectionLagError: It did not come as far in time; the error tells how far it came.
            ProjectionHaltedError: It was halted on the way, so there is nothing to wait for.
            UnitOfWorkError: The current unit of work has stored events: they show when it has
                committed, and the projection may be waiting for it.
        """
        projection = self._registry.get(name)
        seen = await self._seen(projection)
        if not seen.shows(position):
            _refuse_to_wait_for_oneself()
            await self._wait(projection, position, seen, timeout)

    async def wait_up_to(self, name: str, position: int, *, timeout: float = 5.0) -> Staleness:
        """Wait like ``wait_for``, but not longer than that, and return how old answers are then.

        Raises:
            UnknownProjectionError: Nothing is registered under the name.
            UnitOfWorkError: As above.
        """
        with suppress(ProjectionLagError):
            await self.wait_for(name, position, timeout=timeout)
        return await self.staleness(name)

    async def staleness(self, name: str) -> Staleness:
        """Return how old answers from a projection are at this moment.

        Raises:
            UnknownProjectionError: Nothing is registered under the name.
        """
        projection = self._registry.get(name)
        position = (await self._seen(projection)).reached
        head = await self._event_store.get_head_position()
        if position is None or position >= head:
            return Staleness(max(head, position or 0), max(head, position or 0), 0.0)
        waiting = await lag_seconds(
            self._event_store, position, projection.event_filter, self._now()
        )
        return Staleness(position, head, waiting)

    def catch_up(self, name: str) -> CatchUp:
        """Return what a query repository waits with before it answers: its ``catch_up=``.

        Raises:
            UnknownProjectionError: Nothing is registered under the name.
        """
        self._registry.get(name)

        async def wait(position: int, *, timeout: float) -> None:
            await self.wait_for(name, position, timeout=timeout)

        return wait

    async def _wait(
        self, projection: Projection, position: int, seen: _Seen, timeout: float
    ) -> None:
        looks = 0
        try:
            async with asyncio.timeout(timeout), self._woken(projection.name) as woken:
                while not seen.shows(position):
                    if seen.halted is not None and seen.halted[0] < position:
                        raise ProjectionHaltedError(projection.name, position, *seen.halted)
                    looks += 1
                    await _wait_for(woken, _BETWEEN_LOOKS.delay(looks))
                    woken.clear()
                    seen = await self._seen(projection)
        except TimeoutError:
            reached = seen.reached or 0
            raise ProjectionLagError(projection.name, position, reached, timeout) from None

    @asynccontextmanager
    async def _woken(self, name: str) -> AsyncIterator[asyncio.Event]:
        woken = asyncio.Event()
        stop: Callable[[], None] | None = None
        if self._wake_up is not None:
            stop = self._wake_up.listen(projection_topic(name), woken.set)
        try:
            yield woken
        finally:
            if stop is not None:
                stop()

    async def _seen(self, projection: Projection) -> _Seen:
        look = self._looks[get_context().tenant_id, projection.name]
        asked_at = look.number
        async with look.lock:
            # Whoever asked before the last look began shares its answer.
            if look.number == asked_at:
                look.number += 1
                look.seen = await _look_at(projection)
            return look.seen


class _Seen(NamedTuple):
    """What checkpoints say.

    Attributes:
        reached: Up to where everything shows; ``None`` if that is whatever is committed.
        halted: Where the partition stands that was halted, and why.
    """

    reached: int | None = 0
    halted: tuple[int, str] | None = None

    def shows(self, position: int) -> bool:
        return self.reached is None or self.reached >= position


@dataclass(slots=True)
class _Look:
    """The last look at a checkpoint."""

    number: int = 0
    seen: _Seen = field(default_factory=_Seen)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


async def _look_at(projection: Projection) -> _Seen:
    checkpoints = projection.store.checkpoints
    version = await checkpoints.serving_version(projection.name)
    found = await checkpoints.get(projection.name, version or projection.version)
    if found and all(one.state is CheckpointState.INLINE for one in found):
        return _Seen(None)
    halted = [
        (one.position, one.error or "no reason is given")
        for one in found
        if one.state is CheckpointState.HALTED
    ]
    return _Seen(min((one.position for one in found), default=0), min(halted, default=None))


def _refuse_to_wait_for_oneself() -> None:
    scope = current_scope()
    if scope is not None and scope.uow is not None and scope.uow.position is not None:
        msg = (
            "this unit of work has stored events, and no projection shows them before it commits: "
            "wait after it, or make the projection inline"
        )
        raise UnitOfWorkError(msg)


async def _wait_for(woken: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await woken.wait()
