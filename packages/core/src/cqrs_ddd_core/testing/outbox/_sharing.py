"""Several owners share the partitions."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from cqrs_ddd_core.testing.outbox._suite import OutboxSubject, OutboxSuite
from cqrs_ddd_core.testing.samples import new_message

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cqrs_ddd_core.ports.outbox import IOutboxStorage, OutboxPartition

__all__ = ["SharingTests"]


class SharingTests(OutboxSuite):
    async def test_a_second_owner_gets_its_share(self, storage: IOutboxStorage) -> None:
        """S-10: it asks, the first gives up at its next turn, the second takes."""
        await storage.lease_partitions("one", seconds=60)
        assert await storage.lease_partitions("two", seconds=60) == []
        one = await storage.lease_partitions("one", seconds=60)
        two = await storage.lease_partitions("two", seconds=60)
        assert len(two) == storage.partitions // 2
        assert len(one) + len(two) == storage.partitions
        assert await storage.lease_partitions("one", seconds=60) == one

    async def test_any_number_of_owners_come_to_equal_shares(self, storage: IOutboxStorage) -> None:
        names = [f"owner {number}" for number in range(3)]
        shares = Counter[str]()
        for _ in range(4):
            shares = Counter(
                {name: len(await storage.lease_partitions(name, seconds=60)) for name in names}
            )
        assert shares.total() == storage.partitions
        assert max(shares.values()) - min(shares.values()) <= 1

    async def test_an_owner_that_wants_little_leaves_the_rest_to_others(
        self, storage: IOutboxStorage
    ) -> None:
        await storage.lease_partitions("modest", seconds=60, limit=1)
        for _ in range(2):
            rest = await storage.lease_partitions("one", seconds=60)
            assert len(rest) == storage.partitions - 1

    async def test_the_share_of_one_that_left_goes_to_the_others(
        self, storage: IOutboxStorage
    ) -> None:
        for name in ("one", "two", "one", "two"):
            await storage.lease_partitions(name, seconds=60)
        await storage.release_partitions("two")
        assert len(await storage.lease_partitions("one", seconds=60)) == storage.partitions

    async def test_the_share_of_one_that_died_goes_to_the_others(
        self, subject: OutboxSubject
    ) -> None:
        storage = subject.storage
        await storage.lease_partitions("dead", seconds=0.05)
        await storage.lease_partitions("one", seconds=60)
        await subject.pass_time(0.1)
        assert len(await storage.lease_partitions("one", seconds=60)) == storage.partitions

    async def test_a_given_up_partition_is_fenced_from_its_former_owner(
        self, storage: IOutboxStorage
    ) -> None:
        """G4: rebalancing loses neither messages nor order."""
        messages = [new_message(f"Order-{number}") for number in range(40)]
        await storage.save_messages(messages)
        before = await storage.lease_partitions("one", seconds=60)
        claimed = await storage.claim_pending(before)
        await storage.lease_partitions("two", seconds=60)
        kept = await storage.lease_partitions("one", seconds=60)
        lost = [item.sequence for item in claimed if item.partition not in _numbers(kept)]
        assert await storage.mark_published(before, [item.sequence for item in claimed]) == (
            len(claimed) - len(lost)
        )
        two = await storage.lease_partitions("two", seconds=60)
        assert [item.sequence for item in await storage.claim_pending(two)] == lost

    async def test_a_renewed_lease_lasts_longer_and_takes_nothing(
        self, subject: OutboxSubject
    ) -> None:
        storage = subject.storage
        leases = await storage.lease_partitions("one", seconds=0.2, limit=2)
        assert sorted(await storage.renew_partitions(leases, seconds=60)) == sorted(leases)
        await subject.pass_time(0.3)
        others = await storage.lease_partitions("two", seconds=60)
        assert not _numbers(others) & _numbers(leases)

    async def test_a_lost_lease_cannot_be_renewed(self, subject: OutboxSubject) -> None:
        storage = subject.storage
        leases = await storage.lease_partitions("one", seconds=0.05)
        await subject.pass_time(0.1)
        await storage.lease_partitions("two", seconds=60, limit=1)
        assert len(await storage.renew_partitions(leases, seconds=60)) == storage.partitions - 1
        await storage.release_partitions("one")
        assert await storage.renew_partitions(leases, seconds=60) == []


def _numbers(leases: Sequence[OutboxPartition]) -> set[int]:
    return {lease.number for lease in leases}
