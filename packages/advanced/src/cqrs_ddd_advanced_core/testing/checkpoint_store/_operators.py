"""Halting, pausing, resuming, moving and forgetting."""

from __future__ import annotations

import pytest

from cqrs_ddd_advanced_core.domain.projection_exceptions import CheckpointLostError
from cqrs_ddd_advanced_core.ports.checkpoint_store import (
    CheckpointKey,
    CheckpointState,
    ICheckpointStore,
)
from cqrs_ddd_advanced_core.testing.checkpoint_store._suite import (
    KEY,
    KEYS,
    LONG,
    CheckpointStoreSubject,
    CheckpointStoreSuite,
    checkpoint_of,
    leased,
)
from cqrs_ddd_core.correlation import message_context
from cqrs_ddd_core.testing.conformance import rolled_back
from cqrs_ddd_core.testing.samples import AWKWARD_TEXT

__all__ = ["OperatorTests"]


class OperatorTests(CheckpointStoreSuite):
    """Halting, pausing, resuming, moving and forgetting."""

    async def test_a_halted_checkpoint_says_why_and_is_notleased(
        self, store: ICheckpointStore
    ) -> None:
        lease = await store.advance(await leased(store, KEY), 5)
        await store.halt(lease, AWKWARD_TEXT)
        found = await checkpoint_of(store)
        assert (found.state, found.error) == (CheckpointState.HALTED, AWKWARD_TEXT)
        assert (found.position, found.owner) == (5, None)
        assert await store.lease("a", [KEY], seconds=LONG) == []
        with pytest.raises(CheckpointLostError):
            await store.advance(lease, 6)

    async def test_only_the_owner_can_halt(self, store: ICheckpointStore) -> None:
        lease = await leased(store, KEY)
        await store.release("a")
        with pytest.raises(CheckpointLostError):
            await store.halt(lease, "because")
        assert (await checkpoint_of(store)).state is CheckpointState.RUNNING

    async def test_a_paused_checkpoint_cannot_be_moved(self, store: ICheckpointStore) -> None:
        await store.ensure(KEYS)
        await store.ensure([CheckpointKey("orders", 2)])
        leases = await store.lease("a", KEYS, seconds=LONG)
        assert await store.pause("orders", 1) == 4
        assert await store.pause("orders", 1) == 0
        states = [one.state for one in await store.get("orders")]
        assert states == [CheckpointState.PAUSED] * 4 + [CheckpointState.RUNNING]
        for lease in leases:
            with pytest.raises(CheckpointLostError):
                await store.advance(lease, 1)
        assert await store.renew(leases, seconds=LONG) == []
        assert await store.lease("b", KEYS, seconds=LONG) == []

    async def test_what_was_stopped_is_resumed(self, store: ICheckpointStore) -> None:
        await store.ensure(KEYS)
        halted, *_ = await store.lease("a", KEYS, seconds=LONG)
        await store.halt(halted, "because")
        assert await store.resume("orders", 1) == 1
        assert await store.resume("orders", 1) == 0
        assert [one.error for one in await store.get("orders")] == [None] * 4
        await store.pause("orders", 1)
        assert await store.resume("orders", 1) == 4
        leases = await store.lease("a", KEYS, seconds=LONG)
        assert [lease.key for lease in leases] == KEYS
        assert leases[0].epoch > halted.epoch

    async def test_a_position_is_set_for_all_partitions(self, store: ICheckpointStore) -> None:
        await store.ensure(KEYS)
        leases = await store.lease("a", KEYS, seconds=LONG)
        await store.advance(leases[0], 9)
        await store.set_position("orders", 1, 3)
        assert [one.position for one in await store.get("orders")] == [3] * 4
        with pytest.raises(CheckpointLostError):
            await store.advance(leases[1], 10)
        again = await store.lease("b", KEYS, seconds=LONG)
        assert {lease.position for lease in again} <= {3}

    async def test_a_position_is_set_for_one_partition(self, store: ICheckpointStore) -> None:
        await store.ensure(KEYS)
        leases = await store.lease("a", KEYS, seconds=LONG)
        await store.set_position("orders", 1, 3, partition=1)
        assert [one.position for one in await store.get("orders")] == [0, 3, 0, 0]
        assert await store.renew(leases, seconds=LONG) == [leases[0], *leases[2:]]

    async def test_a_state_is_set_with_the_position(self, store: ICheckpointStore) -> None:
        await store.ensure([KEY])
        for state in (CheckpointState.SWITCHING, CheckpointState.INLINE):
            await store.set_position("orders", 1, 3, state=state)
            assert (await checkpoint_of(store)).state is state
            assert await store.lease("a", [KEY], seconds=LONG) == []
            assert await store.resume("orders", 1) == 0
            assert await store.pause("orders", 1) == 0
        await store.set_position("orders", 1, 4)
        assert (await checkpoint_of(store)).state is CheckpointState.INLINE

    async def test_a_position_that_was_set_vanishes_with_its_unit_of_work(
        self, subject: CheckpointStoreSubject
    ) -> None:
        store = subject.checkpoints
        lease = await leased(store, KEY)
        async with rolled_back(subject.unit_of_work):
            await store.set_position("orders", 1, 3)
        async with rolled_back(subject.unit_of_work):
            await store.delete("orders", 1)
        assert (await store.advance(lease, 1)).position == 1

    async def test_a_deleted_version_is_forgotten(self, store: ICheckpointStore) -> None:
        other = CheckpointKey("orders", 2)
        await store.ensure([KEY, other])
        [lease] = await store.lease("a", [KEY], seconds=LONG)
        await store.delete("orders", 1)
        assert [one.key for one in await store.list_all()] == [other]
        await store.ensure([KEY])
        with pytest.raises(CheckpointLostError):
            await store.advance(lease, 1)
        again = await leased(store, KEY)
        with pytest.raises(CheckpointLostError):
            await store.advance(lease, 1)
        assert again.position == 0

    async def test_the_serving_version_is_what_was_set_last(
        self, subject: CheckpointStoreSubject
    ) -> None:
        store = subject.checkpoints
        assert await store.serving_version("orders") is None
        await store.serve("orders", 1)
        async with rolled_back(subject.unit_of_work):
            await store.serve("orders", 3)
        await store.serve("orders", 2)
        await store.serve("other", 7)
        assert await store.serving_version("orders") == 2

    async def test_all_tenants_are_served_from_one_version(self, store: ICheckpointStore) -> None:
        """They share the tables."""
        with message_context(tenant_id="a"):
            await store.serve("orders", 2)
        assert await store.serving_version("orders") == 2

    async def test_a_serving_version_that_is_set_may_stay(self, store: ICheckpointStore) -> None:
        await store.serve("orders", 1, unless_set=True)
        await store.serve("orders", 2, unless_set=True)
        assert await store.serving_version("orders") == 1
