"""One owner at a time, and fair shares."""

from __future__ import annotations

import asyncio

import pytest

from cqrs_ddd_advanced_core.domain.projection_exceptions import CheckpointLostError
from cqrs_ddd_advanced_core.ports.checkpoint_store import (
    CheckpointKey,
    CheckpointLease,
    ICheckpointStore,
)
from cqrs_ddd_advanced_core.testing.checkpoint_store._suite import (
    KEY,
    KEYS,
    LONG,
    SHORT,
    CheckpointStoreSuite,
    checkpoint_of,
    leased,
)

__all__ = ["LeaseTests"]


class LeaseTests(CheckpointStoreSuite):
    """One owner at a time, and fair shares."""

    async def test_a_free_checkpoint_isleased(self, store: ICheckpointStore) -> None:
        lease = await leased(store, KEY)
        assert (lease.key, lease.position) == (KEY, 0)
        assert (await checkpoint_of(store)).owner == "a"

    async def test_what_was_never_ensured_is_notleased(self, store: ICheckpointStore) -> None:
        assert await store.lease("a", [KEY], seconds=LONG) == []
        assert await store.lease("a", [], seconds=LONG) == []

    async def test_leasing_again_keeps_the_epoch_and_tells_the_position(
        self, store: ICheckpointStore
    ) -> None:
        lease = await leased(store, KEY)
        moved = await store.advance(lease, 5)
        assert await store.lease("a", [KEY], seconds=LONG) == [moved]
        assert moved == lease._replace(position=5)

    async def test_a_leased_checkpoint_is_not_taken(self, store: ICheckpointStore) -> None:
        lease = await leased(store, KEY)
        assert await store.lease("b", [KEY], seconds=LONG) == []
        assert await store.renew([lease], seconds=LONG) == [lease]

    async def test_a_lease_that_ended_is_taken_with_a_higher_epoch(
        self, store: ICheckpointStore
    ) -> None:
        lease = await leased(store, KEY, seconds=SHORT)
        await asyncio.sleep(2 * SHORT)
        assert (await checkpoint_of(store)).owner is None
        [taken] = await store.lease("b", [KEY], seconds=LONG)
        assert taken.epoch > lease.epoch
        assert (await checkpoint_of(store)).owner == "b"
        assert await store.renew([lease], seconds=LONG) == []
        with pytest.raises(CheckpointLostError):
            await store.advance(lease, 1)

    async def test_a_renewed_lease_lasts(self, store: ICheckpointStore) -> None:
        lease = await leased(store, KEY, seconds=SHORT)
        assert await store.renew([lease], seconds=LONG) == [lease]
        await asyncio.sleep(2 * SHORT)
        assert await store.lease("b", [KEY], seconds=LONG) == []

    async def test_renewing_takes_nothing(self, store: ICheckpointStore) -> None:
        await store.ensure([KEY])
        assert await store.renew([CheckpointLease(KEY, 1, 0)], seconds=LONG) == []
        assert await store.renew([], seconds=LONG) == []
        assert (await checkpoint_of(store)).owner is None

    async def test_released_checkpoints_are_free_at_once(self, store: ICheckpointStore) -> None:
        lease = await leased(store, KEY)
        await store.release("a")
        [taken] = await store.lease("b", [KEY], seconds=LONG)
        assert taken.epoch > lease.epoch
        with pytest.raises(CheckpointLostError):
            await store.advance(lease, 1)

    async def test_releasing_leaves_those_of_others(self, store: ICheckpointStore) -> None:
        lease = await leased(store, KEY)
        await store.release("b")
        assert await store.renew([lease], seconds=LONG) == [lease]

    async def test_of_many_owners_each_checkpoint_has_one(self, store: ICheckpointStore) -> None:
        await store.ensure(KEYS)
        taken = await asyncio.gather(
            *(store.lease(f"owner-{number}", KEYS, seconds=LONG) for number in range(8))
        )
        keys = [lease.key for leases in taken for lease in leases]
        assert len(set(keys)) == len(keys)

    async def test_owners_share_fairly(self, store: ICheckpointStore) -> None:
        await store.ensure(KEYS)
        assert len(await store.lease("a", KEYS, seconds=LONG)) == 4
        assert await store.lease("b", KEYS, seconds=LONG) == []
        kept = await store.lease("a", KEYS, seconds=LONG)
        taken = await store.lease("b", KEYS, seconds=LONG)
        assert (len(kept), len(taken)) == (2, 2)
        assert sorted(lease.key for lease in [*kept, *taken]) == KEYS
        # And so it stays.
        assert await store.lease("a", KEYS, seconds=LONG) == kept
        assert await store.lease("b", KEYS, seconds=LONG) == taken

    async def test_what_an_owner_gave_up_it_can_no_longer_move(
        self, store: ICheckpointStore
    ) -> None:
        await store.ensure(KEYS)
        had = await store.lease("a", KEYS, seconds=LONG)
        await store.lease("b", KEYS, seconds=LONG)
        kept = {lease.key for lease in await store.lease("a", KEYS, seconds=LONG)}
        for lease in had:
            if lease.key not in kept:
                with pytest.raises(CheckpointLostError):
                    await store.advance(lease, 1)

    async def test_owners_that_are_gone_have_no_share(self, store: ICheckpointStore) -> None:
        await store.ensure(KEYS)
        await store.lease("b", KEYS[:2], seconds=SHORT)
        await store.lease("c", KEYS, seconds=LONG)
        await store.release("c")
        await asyncio.sleep(2 * SHORT)
        assert len(await store.lease("a", KEYS, seconds=LONG)) == 4

    async def test_owners_of_different_projections_leave_nothing_idle(
        self, store: ICheckpointStore
    ) -> None:
        mine, common, other = (CheckpointKey(name) for name in ("mine", "common", "other"))
        await store.ensure([mine, common, other])
        for _ in range(3):
            await store.lease("a", [mine, common], seconds=LONG)
            await store.lease("b", [common, other], seconds=LONG)
        first = await store.lease("a", [mine, common], seconds=LONG)
        second = await store.lease("b", [common, other], seconds=LONG)
        keys = sorted(lease.key for lease in [*first, *second])
        assert keys == [common, mine, other]
