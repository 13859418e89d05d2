"""Several workers on the checkpoints and parked events of SQLite and PostgreSQL."""

from __future__ import annotations

import asyncio
from contextvars import Context
from itertools import chain
from typing import TYPE_CHECKING

import pytest

from cqrs_ddd_advanced_core.domain.projection_exceptions import CheckpointLostError
from cqrs_ddd_advanced_core.ports.checkpoint_store import CheckpointKey, CheckpointState
from cqrs_ddd_core.testing.conformance import rolled_back
from cqrs_ddd_core.testing.samples import new_event, new_stream
from cqrs_ddd_persistence_sqlalchemy import (
    SQLAlchemyCheckpointStore,
    SQLAlchemyEventStore,
    SQLAlchemyParkedEvents,
    SQLAlchemyUnitOfWork,
)

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from cqrs_ddd_advanced_core.ports.checkpoint_store import CheckpointLease

KEYS = [CheckpointKey("sales", 1, partition) for partition in range(4)]


@pytest.fixture
async def checkpoints(engine: AsyncEngine) -> SQLAlchemyCheckpointStore:
    store = SQLAlchemyCheckpointStore(engine)
    await store.ensure(KEYS)
    return store


async def _positions(store: SQLAlchemyCheckpointStore) -> list[int]:
    return [one.position for one in await store.get("sales")]


async def test_many_processes_may_ensure_the_same_checkpoints(engine: AsyncEngine) -> None:
    """S-20: in opposite orders, too."""
    stores = [SQLAlchemyCheckpointStore(engine) for _ in range(6)]
    keys = [CheckpointKey("sales", version, part) for version in (1, 2) for part in range(10)]
    await asyncio.gather(
        *(store.ensure(keys[:: 1 if place % 2 else -1]) for place, store in enumerate(stores))
    )
    assert [one.key for one in await stores[0].list_all()] == keys


async def test_workers_that_race_never_own_one_checkpoint_twice(
    checkpoints: SQLAlchemyCheckpointStore,
) -> None:
    """F34: and after a second call each has its share."""
    owners = ["a", "b", "c", "d"]

    async def lease() -> list[list[CheckpointLease]]:
        calls = (checkpoints.lease(owner, KEYS, seconds=60) for owner in owners)
        return list(await asyncio.gather(*calls))

    for _ in range(3):
        current = {lease.key: lease.epoch for lease in chain(*await lease())}
        owned = {one.key for one in await checkpoints.get("sales") if one.owner is not None}
        assert owned == current.keys()
    shares = [await checkpoints.lease(owner, KEYS, seconds=60) for owner in owners]
    assert [len(share) for share in shares] == [1, 1, 1, 1]


async def test_of_racing_moves_of_one_checkpoint_one_wins(
    engine: AsyncEngine, checkpoints: SQLAlchemyCheckpointStore
) -> None:
    """S-21: a position never moves back, nor twice from the same place."""
    [lease] = await checkpoints.lease("a", KEYS[:1], seconds=60)

    async def move(position: int) -> bool:
        try:
            async with SQLAlchemyUnitOfWork(engine):
                await checkpoints.advance(lease, position)
        except CheckpointLostError:
            return False
        return True

    moved = await asyncio.gather(*(move(position) for position in range(1, 9)))
    assert sum(moved) == 1
    assert await _positions(checkpoints) == [moved.index(True) + 1, 0, 0, 0]


async def test_a_move_vanishes_with_its_unit_of_work(
    engine: AsyncEngine, checkpoints: SQLAlchemyCheckpointStore
) -> None:
    """S-18, F35."""
    [lease] = await checkpoints.lease("a", KEYS[:1], seconds=60)
    async with rolled_back(lambda: SQLAlchemyUnitOfWork(engine)):
        await checkpoints.advance(lease, 7)
    assert await _positions(checkpoints) == [0, 0, 0, 0]
    assert (await checkpoints.advance(lease, 9)).position == 9


async def test_a_checkpoint_made_again_does_not_know_its_former_owner(
    checkpoints: SQLAlchemyCheckpointStore,
) -> None:
    [former] = await checkpoints.lease("a", KEYS[:1], seconds=60)
    await checkpoints.delete("sales", 1)
    await checkpoints.ensure(KEYS)
    [current] = await checkpoints.lease("a", KEYS[:1], seconds=60)
    with pytest.raises(CheckpointLostError):
        await checkpoints.advance(former, 5)
    assert (await checkpoints.advance(current, 5)).position == 5


async def test_nobody_waits_for_a_checkpoint_at_work(postgres_engine: AsyncEngine) -> None:
    store = SQLAlchemyCheckpointStore(postgres_engine)
    await store.ensure(KEYS)
    [lease] = await store.lease("a", KEYS[:1], seconds=0)
    async with SQLAlchemyUnitOfWork(postgres_engine):
        await store.advance(lease, 3)
        lease_outside = store.lease("b", KEYS, seconds=60)
        taken = await asyncio.create_task(lease_outside, context=Context())
        assert [one.key for one in taken] == KEYS[1:]
    assert len(await store.lease("b", KEYS, seconds=60)) == 4


async def test_any_error_text_can_be_noted(
    engine: AsyncEngine, checkpoints: SQLAlchemyCheckpointStore
) -> None:
    error, noted = "NUL \0 and half a character \udc80", "NUL \ufffd and half a character ?"
    parked, events, stream = (
        SQLAlchemyParkedEvents(engine),
        SQLAlchemyEventStore(engine),
        new_stream(),
    )
    await events.append(stream, [new_event()])
    [event] = await events.get_events(stream)
    await parked.park(KEYS[0], event, error)
    assert [one.error for one in await parked.list_parked("sales")] == [noted]
    [lease] = await checkpoints.lease("a", KEYS[:1], seconds=60)
    await checkpoints.halt(lease, error)
    first, *others = await checkpoints.get("sales")
    assert (first.state, first.error, first.owner) == (CheckpointState.HALTED, noted, None)
    assert {one.state for one in others} == {CheckpointState.RUNNING}
