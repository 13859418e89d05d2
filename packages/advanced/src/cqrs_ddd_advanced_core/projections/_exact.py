"""Bring a build that stands still exactly to given positions, beside its workers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeAlias

from cqrs_ddd_advanced_core.domain.projection_exceptions import ProjectorError, RebuildError
from cqrs_ddd_advanced_core.ports.checkpoint_store import CheckpointKey, CheckpointState
from cqrs_ddd_core.correlation import get_context
from cqrs_ddd_core.ports.outbox import partition_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cqrs_ddd_advanced_core.ports.checkpoint_store import Checkpoint
    from cqrs_ddd_advanced_core.projections._projection import Projection
    from cqrs_ddd_core.ports.event_store import IEventStore, StoredEvent

__all__ = [
    "MovedMeanwhileError",
    "Positions",
    "advance_to",
    "complete",
    "positions_of",
    "reachable",
]

#: How far each partition has come.
Positions: TypeAlias = Mapping[int, int]


class MovedMeanwhileError(RebuildError):
    """Somebody else moved a checkpoint, so that what was read about it no longer holds."""


def positions_of(checkpoints: Iterable[Checkpoint]) -> dict[int, int]:
    """Return the positions of checkpoints by partition."""
    return {one.key.partition: one.position for one in checkpoints}


def reachable(serving: Positions, new: Positions) -> dict[int, int] | None:
    """Return where the new build has to be to hold what the serving one does.

    ``None`` when there is no such place: it is ahead already, or the streams are divided
    differently while the partitions of the serving one have not come equally far.
    """
    if serving.keys() == new.keys():
        target = dict(serving)
    elif len(set(serving.values())) == 1:
        target = dict.fromkeys(new, next(iter(serving.values())))
    else:
        return None
    return target if all(target[number] >= new[number] for number in new) else None


async def advance_to(
    projection: Projection, event_store: IEventStore, target: Positions, *, batch_size: int
) -> None:
    """Bring partitions of a paused build to positions, batch after batch.

    Args:
        projection: Placed where its rows are.
        event_store: Has the events.
        target: At or behind where the partitions are.
        batch_size: How many events one transaction applies at most.

    Raises:
        MovedMeanwhileError: Somebody else moved it or let it go on.
        RebuildError: An event cannot be applied.
    """
    store = projection.store
    for checkpoint in await store.checkpoints.get(projection.name, projection.version):
        key, position = checkpoint.key, checkpoint.position
        while position < target[key.partition]:
            events, until = await _read(
                projection, event_store, position, target[key.partition], batch_size
            )
            async with store.unit_of_work():
                locked = await store.checkpoints.lock(key)
                _check_still(locked, position)
                await _apply(projection, key, events)
                await store.checkpoints.set_position(*key[:2], until, partition=key.partition)
            position = until


async def complete(
    projection: Projection,
    event_store: IEventStore,
    checkpoints: Iterable[Checkpoint],
    target: Positions,
    *,
    batch_size: int,
) -> dict[int, int]:
    """Apply in the current unit of work what a build lacks of positions; return where it is then.

    Only a little may be missing, for others wait meanwhile. The checkpoints are not moved.

    Raises:
        MovedMeanwhileError: It lacks more than one batch.
        RebuildError: An event cannot be applied.
    """
    reached = {}
    for checkpoint in checkpoints:
        key, position = checkpoint.key, checkpoint.position
        goal = max(target[key.partition], position)
        if position < goal:
            events, until = await _read(projection, event_store, position, goal, batch_size)
            if until < goal:
                raise MovedMeanwhileError(f"{projection.name} has gone on meanwhile")
            await _apply(projection, key, events)
        reached[key.partition] = goal
    return reached


async def _read(
    projection: Projection, event_store: IEventStore, after: int, until: int, limit: int
) -> tuple[Sequence[StoredEvent], int]:
    """Return events up to a position, and how far that is."""
    page = await event_store.read_page(after, limit=limit, event_filter=projection.event_filter)
    if page.position <= after:
        msg = f"events of {projection.name} up to position {until} cannot be read yet"
        raise MovedMeanwhileError(msg)
    events = [event for event in page.events if event.position <= until]
    return events, min(page.position, until)


async def _apply(projection: Projection, key: CheckpointKey, events: Sequence[StoredEvent]) -> None:
    """Apply those events of a page that belong to a partition, in the current unit of work."""
    partitions, tenant_id = projection.projector.partitions, get_context().tenant_id
    parked_events = projection.store.parked_events
    held = await parked_events.held_streams(key)
    free = []
    for event in events:
        if partition_of(f"{tenant_id}/{event.stream}", partitions) != key.partition:
            continue
        if event.stream in held:
            await parked_events.park(key, event, None)
        else:
            free.append(event)
    try:
        refused = await projection.apply(free, guarded=partitions == 1)
    except ProjectorError as error:
        raise RebuildError(f"{error}; build it again, so that its policy applies") from error
    if refused:
        msg = f"rows of {projection.name} version {projection.version} are ahead of its checkpoint"
        raise RebuildError(msg)


def _check_still(locked: Checkpoint | None, position: int) -> None:
    if locked is None or locked.position != position or locked.state is not CheckpointState.PAUSED:
        raise MovedMeanwhileError("the build was moved by somebody else meanwhile")
