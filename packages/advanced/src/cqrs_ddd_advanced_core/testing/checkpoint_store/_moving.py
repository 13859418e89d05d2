"""Forward only, by the owner, in the transaction of the rows."""

from __future__ import annotations

import asyncio

import pytest

from cqrs_ddd_advanced_core.domain.projection_exceptions import CheckpointLostError
from cqrs_ddd_advanced_core.ports.checkpoint_store import (
    ICheckpointStore,
)
from cqrs_ddd_advanced_core.testing.checkpoint_store._suite import (
    KEY,
    KEYS,
    LONG,
    SHORT,
    CheckpointStoreSubject,
    CheckpointStoreSuite,
    checkpoint_of,
    leased,
)
from cqrs_ddd_core.primitives.exceptions import PersistenceError, UnitOfWorkError
from cqrs_ddd_core.testing.conformance import elsewhere, needs, rolled_back

__all__ = ["MoveTests"]


class MoveTests(CheckpointStoreSuite):
    """Forward only, by the owner, in the transaction of the rows."""

    async def test_a_checkpoint_moves_forward(self, store: ICheckpointStore) -> None:
        lease = await leased(store, KEY)
        lease = await store.advance(lease, 3)
        lease = await store.advance(lease, 3)
        lease = await store.advance(lease, 2**62)
        assert lease.position == (await checkpoint_of(store)).position == 2**62

    async def test_a_checkpoint_never_moves_back(self, store: ICheckpointStore) -> None:
        lease = await store.advance(await leased(store, KEY), 3)
        with pytest.raises(PersistenceError):
            await store.advance(lease, 2)
        assert (await checkpoint_of(store)).position == 3

    async def test_a_lease_from_before_a_move_is_refused(self, store: ICheckpointStore) -> None:
        """A batch that was committed although its worker saw an error is not applied again."""
        lease = await leased(store, KEY)
        await store.advance(lease, 3)
        with pytest.raises(CheckpointLostError):
            await store.advance(lease, 5)
        assert (await checkpoint_of(store)).position == 3

    async def test_a_lease_that_ended_is_good_until_somebody_takes_it(
        self, store: ICheckpointStore
    ) -> None:
        lease = await leased(store, KEY, seconds=SHORT)
        await asyncio.sleep(2 * SHORT)
        assert (await store.advance(lease, 3)).position == 3

    async def test_a_move_commits_with_its_unit_of_work(
        self, subject: CheckpointStoreSubject
    ) -> None:
        """G6."""
        store = subject.checkpoints
        lease = await leased(store, KEY)
        async with subject.unit_of_work():
            moved = await store.advance(lease, 4)
            moved = await store.advance(moved, 5)
        assert (await checkpoint_of(store)).position == 5
        assert await store.lease("a", [KEY], seconds=LONG) == [moved]

    async def test_a_move_vanishes_with_its_unit_of_work(
        self, subject: CheckpointStoreSubject
    ) -> None:
        """G6."""
        store = subject.checkpoints
        lease = await leased(store, KEY)
        async with rolled_back(subject.unit_of_work):
            await store.advance(lease, 5)
        assert (await checkpoint_of(store)).position == 0
        assert (await store.advance(lease, 6)).position == 6

    @needs("concurrent_transactions")
    async def test_others_see_no_move_before_the_commit(
        self, subject: CheckpointStoreSubject
    ) -> None:
        store = subject.checkpoints
        lease = await leased(store, KEY)
        async with subject.unit_of_work():
            await store.advance(lease, 5)
            assert (await elsewhere(checkpoint_of(store))).position == 0

    async def test_of_two_moves_of_one_lease_one_is_done(
        self, subject: CheckpointStoreSubject
    ) -> None:
        """F34: two workers that both believe they own it."""
        lease = await leased(subject.checkpoints, KEY)

        async def move() -> None:
            async with subject.unit_of_work():
                await subject.checkpoints.advance(lease, 5)
                await asyncio.sleep(0)

        outcomes = await asyncio.gather(*(move() for _ in range(8)), return_exceptions=True)
        refused = [one for one in outcomes if isinstance(one, CheckpointLostError)]
        assert (outcomes.count(None), len(refused)) == (1, 7)

    async def test_a_lock_needs_a_unit_of_work(self, store: ICheckpointStore) -> None:
        await store.ensure([KEY])
        for shared in (False, True):
            with pytest.raises(UnitOfWorkError):
                await store.lock(KEY, shared=shared)

    async def test_a_lock_tells_what_is_there(self, subject: CheckpointStoreSubject) -> None:
        await subject.checkpoints.advance(await leased(subject.checkpoints, KEY), 5)
        for shared in (False, True):
            async with subject.unit_of_work():
                found = await subject.checkpoints.lock(KEY, shared=shared)
                nothing = await subject.checkpoints.lock(KEYS[1], shared=shared)
            assert (found and found.position, nothing) == (5, None)

    async def test_who_waited_for_a_lock_sees_all_before(
        self, subject: CheckpointStoreSubject
    ) -> None:
        store, seen = subject.checkpoints, []
        await store.ensure([KEY])

        async def move() -> None:
            async with subject.unit_of_work():
                found = await store.lock(KEY)
                assert found is not None
                seen.append(found.position)
                await asyncio.sleep(0)
                await store.set_position("orders", 1, found.position + 1)

        await asyncio.gather(*(move() for _ in range(8)))
        assert seen == list(range(8))
