"""Each partition has one owner, for a time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from cqrs_ddd_core.ports.outbox import IOutboxStorage, OutboxPartition, partition_of
from cqrs_ddd_core.testing.outbox._suite import OutboxSubject, OutboxSuite, ids_of
from cqrs_ddd_core.testing.samples import new_message

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["LeaseTests"]


class LeaseTests(OutboxSuite):
    async def test_all_free_partitions_are_leased(self, storage: IOutboxStorage) -> None:
        leases = await storage.lease_partitions("one", seconds=60)
        assert sorted(lease.number for lease in leases) == list(range(storage.partitions))
        assert await storage.lease_partitions("two", seconds=60) == []

    async def test_a_limit_leaves_partitions_for_others(self, storage: IOutboxStorage) -> None:
        one = await storage.lease_partitions("one", seconds=60, limit=2)
        two = await storage.lease_partitions("two", seconds=60)
        assert len(one) == 2
        assert len(two) == storage.partitions - 2
        assert not {lease.number for lease in one} & {lease.number for lease in two}

    async def test_a_renewed_lease_keeps_its_epoch(self, storage: IOutboxStorage) -> None:
        first = await storage.lease_partitions("one", seconds=60, limit=2)
        assert sorted(await storage.lease_partitions("one", seconds=60, limit=2)) == sorted(first)

    async def test_a_renewed_lease_lasts_longer(self, subject: OutboxSubject) -> None:
        await subject.storage.lease_partitions("one", seconds=0.2)
        await subject.storage.lease_partitions("one", seconds=60)
        await subject.pass_time(0.3)
        assert await subject.storage.lease_partitions("two", seconds=60) == []

    async def test_released_partitions_can_be_leased_at_once(self, storage: IOutboxStorage) -> None:
        one = await storage.lease_partitions("one", seconds=60)
        await storage.release_partitions("two")
        assert await storage.lease_partitions("two", seconds=60) == []
        await storage.release_partitions("one")
        two = await storage.lease_partitions("two", seconds=60)
        assert _epochs(two).keys() == _epochs(one).keys()
        assert all(epoch > _epochs(one)[number] for number, epoch in two)

    async def test_a_lease_that_ended_is_taken_by_another_owner(
        self, subject: OutboxSubject
    ) -> None:
        one = await subject.storage.lease_partitions("one", seconds=0.05)
        await subject.pass_time(0.1)
        two = await subject.storage.lease_partitions("two", seconds=60)
        assert len(two) == subject.storage.partitions
        assert all(epoch > _epochs(one)[number] for number, epoch in two)

    async def test_a_former_owner_can_do_nothing(self, subject: OutboxSubject) -> None:
        """G4: the epoch fences it."""
        storage = subject.storage
        await storage.save_messages([new_message()])
        old = await storage.lease_partitions("one", seconds=0.05)
        [item] = await storage.claim_pending(old)
        await subject.pass_time(0.1)
        new = await storage.lease_partitions("two", seconds=60)
        assert await storage.claim_pending(old) == []
        assert await storage.mark_published(old, [item.sequence]) == 0
        assert not await storage.mark_failed(old, item.sequence, error="late", retry_in=None)
        [again] = await storage.claim_pending(new)
        assert (again.sequence, again.attempts, again.error) == (item.sequence, 2, None)
        assert await storage.mark_published(new, [again.sequence]) == 1

    async def test_concurrent_owners_share_no_partition(self, storage: IOutboxStorage) -> None:
        taken = await asyncio.gather(
            *(storage.lease_partitions(f"owner-{number}", seconds=60) for number in range(8))
        )
        numbers = [lease.number for leases in taken for lease in leases]
        assert sorted(numbers) == list(range(storage.partitions))

    async def test_messages_of_partitions_not_leased_stay(self, storage: IOutboxStorage) -> None:
        messages = [new_message(f"Order-{number}") for number in range(40)]
        await storage.save_messages(messages)
        leases = await storage.lease_partitions("one", seconds=60, limit=2)
        claimed = await storage.claim_pending(leases)
        numbers = {lease.number for lease in leases}
        expected = [m for m in messages if partition_of(m.stream, storage.partitions) in numbers]
        assert set(ids_of(claimed)) == {message.message_id for message in expected}
        assert await storage.claim_pending([]) == []


def _epochs(leases: Collection[OutboxPartition]) -> dict[int, int]:
    return dict(leases)
