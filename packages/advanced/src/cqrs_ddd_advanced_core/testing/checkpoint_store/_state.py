"""What is there, and whose it is."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from cqrs_ddd_advanced_core.ports.checkpoint_store import (
    CheckpointKey,
    CheckpointState,
    ICheckpointStore,
)
from cqrs_ddd_advanced_core.testing.checkpoint_store._suite import (
    KEY,
    KEYS,
    LONG,
    CheckpointStoreSuite,
    checkpoint_of,
    leased,
)
from cqrs_ddd_core.correlation import message_context
from cqrs_ddd_core.testing.samples import AWKWARD_TEXT

__all__ = ["StateTests"]


class StateTests(CheckpointStoreSuite):
    """What is there, and whose it is."""

    async def test_a_new_checkpoint_is_at_the_beginning(self, store: ICheckpointStore) -> None:
        await store.ensure([KEY])
        [found] = await store.get("orders")
        assert (found.key, found.position, found.state) == (KEY, 0, CheckpointState.RUNNING)
        assert (found.error, found.owner) == (None, None)
        assert found.updated_at.utcoffset() == timedelta(0)

    async def test_ensuring_again_changes_nothing(self, store: ICheckpointStore) -> None:
        lease = await leased(store, KEY)
        await store.advance(lease, 7)
        await store.ensure([KEY, CheckpointKey("orders", 1, 1)])
        assert [one.position for one in await store.get("orders")] == [7, 0]
        assert await store.renew([lease], seconds=LONG) == [lease]

    async def test_many_may_ensure_at_once(self, store: ICheckpointStore) -> None:
        await asyncio.gather(*(store.ensure(KEYS) for _ in range(8)))
        assert [one.key for one in await store.get("orders")] == KEYS

    async def test_checkpoints_are_listed_by_name_version_and_partition(
        self, store: ICheckpointStore
    ) -> None:
        keys = [
            CheckpointKey("a", 2, 0),
            CheckpointKey("a", 2, 1),
            CheckpointKey("a", 10, 0),
            CheckpointKey("b", 1, 2),
        ]
        await store.ensure(keys[::-1])
        assert [one.key for one in await store.list_all()] == keys
        assert [one.key for one in await store.get("a")] == keys[:3]
        assert [one.key for one in await store.get("a", 2)] == keys[:2]
        assert list(await store.get("unknown")) == []
        assert list(await store.get("a", 3)) == []

    async def test_tenants_do_not_see_each_other(self, store: ICheckpointStore) -> None:
        leases = {}
        for tenant in ("", "a", AWKWARD_TEXT):
            with message_context(tenant_id=tenant):
                leases[tenant] = await leased(store, KEY)
        with message_context(tenant_id="a"):
            await store.advance(leases["a"], 5)
            await store.pause("orders", 1)
            await store.release("a")
            await store.delete("orders", 1)
            assert list(await store.list_all()) == []
        for tenant in ("", AWKWARD_TEXT):
            with message_context(tenant_id=tenant):
                assert (await checkpoint_of(store)).position == 0
                assert await store.renew([leases[tenant]], seconds=LONG) == [leases[tenant]]
        assert list(await store.tenants("orders", 1)) == sorted(["", AWKWARD_TEXT])
        assert list(await store.tenants("orders", 2)) == []

    async def test_names_are_kept_as_they_are(self, store: ICheckpointStore) -> None:
        key = CheckpointKey(AWKWARD_TEXT, 3, 2)
        await store.ensure([key])
        [lease] = await store.lease(AWKWARD_TEXT, [key], seconds=LONG)
        assert lease.key == key
        [found] = await store.get(AWKWARD_TEXT)
        assert (found.key, found.owner) == (key, AWKWARD_TEXT)
