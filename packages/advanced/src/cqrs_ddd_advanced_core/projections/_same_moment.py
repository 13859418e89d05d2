"""Two builds as the same events have left them, while events keep arriving."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

from cqrs_ddd_advanced_core.domain.projection_exceptions import RebuildError
from cqrs_ddd_advanced_core.projections._exact import (
    MovedMeanwhileError,
    advance_to,
    positions_of,
    reachable,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from cqrs_ddd_advanced_core.ports.projection_store import IProjectionStore
    from cqrs_ddd_advanced_core.projections._projection import Projection
    from cqrs_ddd_core.ports.event_store import IEventStore

__all__ = ["SameMoment", "same_moment"]


class SameMoment(NamedTuple):
    """Where to read both builds after the same events.

    Attributes:
        serving: Reads the serving one.
        new: Reads the new one.
        position: Of the last event of both.
    """

    serving: IProjectionStore
    new: IProjectionStore
    position: int


@asynccontextmanager
async def same_moment(
    build: Projection,
    serving: int,
    event_store: IEventStore,
    *,
    batch_size: int,
    poll_interval: float,
    timeout: float,
) -> AsyncIterator[SameMoment]:
    """Read both builds after the same events, for as long as the block lasts.

    The serving one goes on: it is read as it is at one moment. Only the new one stands still
    until it has come exactly there, and is then read as of that moment too.

    Args:
        build: The new one, placed where its rows are.
        serving: The version that serves.
        event_store: Has the events.
        batch_size: How many events one transaction applies at most.
        poll_interval: Seconds to wait for the serving one where that is behind.
        timeout: Seconds to try.

    Raises:
        RebuildError: They could not be brought to the same position in time.
    """
    deadline = monotonic() + timeout
    checkpoints = build.store.checkpoints
    async with AsyncExitStack() as stack:
        found = None
        try:
            while found is None:
                await checkpoints.pause(build.name, build.version)
                found = await _try(build, serving, event_store, batch_size, stack)
                if found is None:
                    _refuse_after(deadline, build, serving)
                    await asyncio.sleep(poll_interval)
        finally:
            await checkpoints.resume(build.name, build.version)
        yield found


async def _try(
    build: Projection,
    serving: int,
    event_store: IEventStore,
    batch_size: int,
    stack: AsyncExitStack,
) -> SameMoment | None:
    """Take one moment of each build; ``None`` when they do not meet."""
    store = build.store
    async with AsyncExitStack() as opened:
        before = await opened.enter_async_context(store.snapshot())
        there = positions_of(await before.checkpoints.get(build.name, serving))
        here = positions_of(await store.checkpoints.get(build.name, build.version))
        target = reachable(there, here)
        if target is None:
            return None
        try:
            await advance_to(build, event_store, target, batch_size=batch_size)
        except MovedMeanwhileError:
            return None
        after = await opened.enter_async_context(store.snapshot())
        reached = await after.checkpoints.get(build.name, build.version)
        if positions_of(reached) != target:
            return None
        stack.push_async_exit(opened.pop_all())
        return SameMoment(before, after, max(target.values(), default=0))


def _refuse_after(deadline: float, build: Projection, serving: int) -> None:
    if monotonic() >= deadline:
        msg = (
            f"{build.name}: versions {serving} and {build.version} did not meet at one position. "
            f"Version {serving} has to be carried on by a worker, and where it has several "
            "partitions and the other one has another number of them, by one that is idle at times"
        )
        raise RebuildError(msg)
