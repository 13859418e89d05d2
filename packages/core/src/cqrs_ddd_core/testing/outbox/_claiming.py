"""Messages are handed out in order, and cleaned up."""

from __future__ import annotations

from datetime import timedelta

import pytest

from cqrs_ddd_core.ports.outbox import IOutboxStorage, PendingMessage
from cqrs_ddd_core.primitives.clock import utc_now
from cqrs_ddd_core.testing.outbox._suite import (
    OutboxSubject,
    OutboxSuite,
    by_stream,
    claim_all,
    ids_of,
    park_first,
    publish_all,
    saved_by_stream,
    sequences_of,
)
from cqrs_ddd_core.testing.samples import new_message

__all__ = ["ClaimingTests"]


class ClaimingTests(OutboxSuite):
    async def test_messages_of_a_stream_are_handed_out_in_order(
        self, storage: IOutboxStorage
    ) -> None:
        messages = [new_message(f"Order-{number % 3}") for number in range(30)]
        for start in range(0, 30, 5):
            await storage.save_messages(messages[start : start + 5])
        claimed = await claim_all(storage)
        assert by_stream(claimed) == saved_by_stream(messages)

    async def test_a_claim_hands_out_a_prefix_of_each_stream(self, storage: IOutboxStorage) -> None:
        messages = [new_message(f"Order-{number % 2}") for number in range(20)]
        await storage.save_messages(messages)
        published: list[PendingMessage] = []
        leases = await storage.lease_partitions("one", seconds=60)
        while claimed := await storage.claim_pending(leases, limit=3):
            assert len(claimed) <= 3
            published += claimed
            await storage.mark_published(leases, [item.sequence for item in claimed])
        assert by_stream(published) == saved_by_stream(messages)

    async def test_each_claim_counts_an_attempt(self, storage: IOutboxStorage) -> None:
        await storage.save_messages([new_message()])
        leases = await storage.lease_partitions("one", seconds=60)
        attempts = [(await storage.claim_pending(leases))[0].attempts for _ in range(3)]
        assert attempts == [1, 2, 3]

    async def test_a_claim_leaves_out_what_is_under_way(self, storage: IOutboxStorage) -> None:
        messages = [new_message(f"Order-{number % 2}") for number in range(6)]
        await storage.save_messages(messages)
        leases = await storage.lease_partitions("one", seconds=60)
        first = await storage.claim_pending(leases, limit=4)
        second = await storage.claim_pending(leases, limit=4, excluding=sequences_of(first))
        assert [item.message for item in [*first, *second]] == messages
        assert [item.attempts for item in second] == [1, 1]

    @pytest.mark.parametrize("crowded", [0, 40], ids=["spread", "crowded"])
    async def test_the_oldest_messages_go_first(
        self, storage: IOutboxStorage, crowded: int
    ) -> None:
        """Whether all partitions have some, or one has most of them."""
        streams = [*["crowd"] * crowded, *(f"Order-{number % 17}" for number in range(60))]
        messages = [new_message(stream) for stream in streams]
        await storage.save_messages(messages)
        leases = await storage.lease_partitions("one", seconds=60)
        claimed: list[PendingMessage] = []
        while more := await storage.claim_pending(
            leases, limit=20, excluding=sequences_of(claimed)
        ):
            claimed += more
        assert [item.message for item in claimed] == messages

    async def test_what_failed_meanwhile_holds_back_its_stream_for_the_next_claim(
        self, storage: IOutboxStorage
    ) -> None:
        messages = [new_message("a"), new_message("a"), new_message("b")]
        await storage.save_messages(messages)
        leases = await storage.lease_partitions("one", seconds=60)
        [first] = await storage.claim_pending(leases, limit=1)
        await storage.mark_failed(leases, first.sequence, error="refused", retry_in=0)
        behind = await storage.claim_pending(leases, excluding=[first.sequence])
        assert ids_of(behind) == [messages[2].message_id]

    async def test_a_stream_that_was_held_back_goes_on_at_its_beginning(
        self, storage: IOutboxStorage
    ) -> None:
        """C-8: whatever of other streams was handed out meanwhile."""
        held = [new_message("a") for _ in range(3)]
        other = [new_message("b") for _ in range(3)]
        leases = await park_first(storage, [*held, *other])
        under_way = await storage.claim_pending(leases, limit=2)
        [parked] = await storage.list_parked()
        await storage.discard_parked([parked.sequence])
        behind = await storage.claim_pending(leases, limit=2, excluding=sequences_of(under_way))
        assert [item.message for item in behind] == held[1:]

    async def test_a_returned_message_has_its_attempt_back(self, subject: OutboxSubject) -> None:
        storage = subject.storage
        await storage.save_messages([new_message(), new_message("Order-2")])
        leases = await storage.lease_partitions("one", seconds=60)
        first, second = await storage.claim_pending(leases)
        assert await storage.return_claimed(leases, [first.sequence]) == 1
        assert await storage.return_claimed(leases, []) == 0
        assert [item.attempts for item in await storage.claim_pending(leases)] == [1, 2]
        await storage.release_partitions("one")
        assert await storage.return_claimed(leases, [second.sequence]) == 0

    async def test_the_backlog_says_how_much_waits_and_since_when(
        self, storage: IOutboxStorage
    ) -> None:
        assert await storage.backlog() == (0, 0, None)
        now = utc_now()
        messages = [
            new_message(f"Order-{number}", occurred_at=now + timedelta(seconds=number))
            for number in range(4)
        ]
        leases = await park_first(storage, messages)
        await storage.mark_published(
            leases, [(await storage.claim_pending(leases, limit=1))[0].sequence]
        )
        assert await storage.backlog() == (2, 1, messages[2].occurred_at)

    async def test_a_published_message_is_done(self, storage: IOutboxStorage) -> None:
        """S-8."""
        messages = [new_message(), new_message("Order-2")]
        await storage.save_messages(messages)
        leases = await storage.lease_partitions("one", seconds=60)
        claimed = await storage.claim_pending(leases)
        assert await storage.mark_published(leases, [claimed[0].sequence]) == 1
        assert await storage.mark_published(leases, [claimed[0].sequence]) == 0
        assert await storage.mark_published(leases, []) == 0
        assert await storage.count_pending() == 1
        assert ids_of(await storage.claim_pending(leases)) == ids_of(claimed[1:])

    async def test_published_messages_are_purged_and_others_stay(
        self, storage: IOutboxStorage
    ) -> None:
        published = [new_message(f"Order-{number}") for number in range(3)]
        await storage.save_messages(published)
        await publish_all(storage)
        parked, pending = new_message("parked"), new_message("pending")
        leases = await park_first(storage, [parked, pending])
        assert await storage.purge_published(utc_now() - timedelta(days=3650)) == 0
        future = utc_now() + timedelta(days=3650)
        assert await storage.purge_published(future, limit=2) == 2
        assert await storage.purge_published(future) == 1
        assert await storage.purge_published(future) == 0
        assert ids_of(await storage.list_parked()) == [parked.message_id]
        assert ids_of(await storage.claim_pending(leases)) == [pending.message_id]
