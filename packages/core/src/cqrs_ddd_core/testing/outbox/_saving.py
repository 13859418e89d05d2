"""Messages are saved once, with their unit of work."""

from __future__ import annotations

from datetime import timedelta

from cqrs_ddd_core.ports.outbox import IOutboxStorage, OutboxStatus, partition_of
from cqrs_ddd_core.testing.conformance import elsewhere, needs, rolled_back
from cqrs_ddd_core.testing.outbox._suite import (
    OutboxSubject,
    OutboxSuite,
    by_stream,
    claim_all,
    ids_of,
    publish_all,
    saved_by_stream,
)
from cqrs_ddd_core.testing.samples import awkward_message, new_message

__all__ = ["SavingTests"]


class SavingTests(OutboxSuite):
    async def test_a_message_comes_back_exactly_as_it_was_saved(
        self, storage: IOutboxStorage
    ) -> None:
        """S-6, C-9: with its type, times and headers."""
        messages = [new_message(), awkward_message()]
        await storage.save_messages(messages)
        claimed = await claim_all(storage)
        assert [item.message for item in claimed] == messages
        assert [item.status for item in claimed] == [OutboxStatus.PENDING] * 2
        assert [item.error for item in claimed] == [None] * 2
        expected = [partition_of(message.stream, storage.partitions) for message in messages]
        assert [item.partition for item in claimed] == expected
        assert claimed[0].message.occurred_at.utcoffset() == timedelta(0)

    async def test_nothing_to_save_is_fine(self, storage: IOutboxStorage) -> None:
        """M-13."""
        await storage.save_messages([])
        assert await storage.count_pending() == 0

    async def test_a_message_is_saved_once(self, storage: IOutboxStorage) -> None:
        message, other = new_message("a"), new_message("a")
        await storage.save_messages([message, message])
        await storage.save_messages([message, other])
        assert ids_of(await claim_all(storage)) == [message.message_id, other.message_id]
        assert await storage.count_pending() == 2

    async def test_a_published_message_saved_again_is_not_published_again(
        self, storage: IOutboxStorage
    ) -> None:
        message = new_message()
        await storage.save_messages([message])
        await publish_all(storage)
        await storage.save_messages([message])
        assert await storage.count_pending() == 0

    async def test_messages_vanish_with_their_unit_of_work(self, subject: OutboxSubject) -> None:
        """S-9."""
        gone, kept = new_message(), new_message()
        async with rolled_back(subject.unit_of_work):
            await subject.storage.save_messages([gone])
        assert await subject.storage.count_pending() == 0
        async with subject.unit_of_work():
            await subject.storage.save_messages([kept])
        assert ids_of(await claim_all(subject.storage)) == [kept.message_id]

    @needs("concurrent_transactions")
    async def test_messages_are_handed_out_after_their_commit(self, subject: OutboxSubject) -> None:
        async with subject.unit_of_work():
            await subject.storage.save_messages([new_message()])
            assert await elsewhere(subject.storage.count_pending()) == 0
        assert len(await claim_all(subject.storage)) == 1

    async def test_many_messages_are_saved_at_once(self, storage: IOutboxStorage) -> None:
        messages = [new_message(f"Order-{number % 7}") for number in range(1000)]
        await storage.save_messages(messages)
        claimed = await claim_all(storage, limit=2000)
        assert len(claimed) == await storage.count_pending() == 1000
        assert by_stream(claimed) == saved_by_stream(messages)
