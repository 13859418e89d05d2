"""Failed messages wait, come again, and are parked."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from cqrs_ddd_core.ports.outbox import IOutboxStorage, OutboxMessage, OutboxStatus
from cqrs_ddd_core.testing.outbox._suite import (
    OutboxSubject,
    OutboxSuite,
    claim_all,
    ids_of,
    park_first,
    sequence_of,
)
from cqrs_ddd_core.testing.samples import AWKWARD_TEXT, new_message

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

__all__ = ["FailureTests"]


class FailureTests(OutboxSuite):
    async def test_a_failed_message_comes_again_when_its_time_has_come(
        self, subject: OutboxSubject
    ) -> None:
        """S-8: a transient failure loses nothing."""
        storage, message = subject.storage, new_message()
        await storage.save_messages([message])
        leases = await storage.lease_partitions("one", seconds=60)
        [item] = await storage.claim_pending(leases)
        assert await storage.mark_failed(leases, item.sequence, error=AWKWARD_TEXT, retry_in=0.05)
        assert await storage.count_pending() == 1
        await subject.pass_time(0.1)
        [again] = await storage.claim_pending(leases)
        assert again.message == message
        assert (again.attempts, again.error) == (2, AWKWARD_TEXT)

    async def test_a_waiting_message_holds_back_its_stream_only(
        self, storage: IOutboxStorage
    ) -> None:
        """C-8."""
        first, second, other = new_message("a"), new_message("a"), new_message("b")
        await storage.save_messages([first, second, other])
        leases = await storage.lease_partitions("one", seconds=60)
        claimed = await storage.claim_pending(leases)
        sequence = sequence_of(claimed, first)
        await storage.mark_failed(leases, sequence, error="refused", retry_in=60)
        assert ids_of(await storage.claim_pending(leases)) == [other.message_id]

    async def test_a_failed_message_is_tried_again_alone(self, subject: OutboxSubject) -> None:
        """Otherwise those behind it would use up their attempts without being sent."""
        storage, messages = subject.storage, [new_message("a") for _ in range(3)]
        await storage.save_messages(messages)
        leases = await storage.lease_partitions("one", seconds=60)
        first = (await storage.claim_pending(leases))[0]
        await storage.mark_failed(leases, first.sequence, error="refused", retry_in=0.05)
        await subject.pass_time(0.1)
        assert ids_of(await storage.claim_pending(leases)) == _ids_of(messages[:1])
        await storage.mark_published(leases, [first.sequence])
        rest = await storage.claim_pending(leases)
        assert ids_of(rest) == _ids_of(messages[1:])
        assert [item.attempts for item in rest] == [2, 2]

    async def test_many_held_back_messages_do_not_hide_others(
        self, storage: IOutboxStorage
    ) -> None:
        """C-8: a batch full of poison does not block what is behind it."""
        poison = [new_message(f"poison-{number % 3}") for number in range(30)]
        good = new_message("good")
        await storage.save_messages([*poison, good])
        leases = await storage.lease_partitions("one", seconds=60)
        for item in await storage.claim_pending(leases, limit=3):
            await storage.mark_failed(leases, item.sequence, error="refused", retry_in=60)
        handed_out = ids_of(await storage.claim_pending(leases, limit=3))
        assert handed_out == [good.message_id]

    async def test_streams_of_two_tenants_do_not_hold_each_other_back(
        self, storage: IOutboxStorage
    ) -> None:
        one, two = new_message("a", tenant_id="one"), new_message("a", tenant_id="two")
        await storage.save_messages([one, two])
        leases = await storage.lease_partitions("one", seconds=60)
        claimed = await storage.claim_pending(leases)
        await storage.mark_failed(leases, sequence_of(claimed, one), error="refused", retry_in=60)
        assert ids_of(await storage.claim_pending(leases)) == [two.message_id]

    async def test_a_parked_message_holds_back_its_stream_until_it_is_replayed(
        self, storage: IOutboxStorage
    ) -> None:
        """G9."""
        first, second, other = new_message("a"), new_message("a"), new_message("b")
        leases = await park_first(storage, [first, second, other])
        [parked] = await storage.list_parked()
        assert (parked.message, parked.status) == (first, OutboxStatus.PARKED)
        assert (parked.error, parked.attempts) == ("refused", 1)
        assert await storage.count_pending() == 2
        assert ids_of(await storage.claim_pending(leases)) == [other.message_id]
        assert await storage.replay_parked([parked.sequence]) == 1
        assert await storage.list_parked() == []
        again = [item for item in await storage.claim_pending(leases) if item.message != other]
        assert ids_of(again) == _ids_of([first, second])
        assert again[0].attempts == 1

    async def test_a_discarded_message_lets_its_stream_go_on(self, storage: IOutboxStorage) -> None:
        first, second = new_message("a"), new_message("a")
        leases = await park_first(storage, [first, second])
        [parked] = await storage.list_parked()
        assert await storage.discard_parked([parked.sequence]) == 1
        assert await storage.discard_parked([parked.sequence]) == 0
        assert await storage.list_parked() == []
        assert ids_of(await storage.claim_pending(leases)) == [second.message_id]

    async def test_a_parked_message_is_edited_and_replayed(self, storage: IOutboxStorage) -> None:
        first, second = new_message("a"), new_message("a")
        leases = await park_first(storage, [first, second])
        [parked] = await storage.list_parked()
        assert await storage.edit_parked(parked.sequence, b'{"total": 7}')
        [edited] = await storage.list_parked()
        assert edited.message == replace(first, payload=b'{"total": 7}')
        await storage.replay_parked([parked.sequence])
        assert not await storage.edit_parked(parked.sequence, b"{}")
        claimed = await storage.claim_pending(leases)
        assert [item.message for item in claimed] == [edited.message, second]

    async def test_only_parked_messages_are_replayed_or_discarded(
        self, storage: IOutboxStorage
    ) -> None:
        await storage.save_messages([new_message()])
        [item] = await claim_all(storage)
        assert await storage.replay_parked([item.sequence, 999_999]) == 0
        assert await storage.discard_parked([item.sequence, 999_999]) == 0
        assert await storage.count_pending() == 1

    async def test_parked_messages_are_listed_oldest_first(self, storage: IOutboxStorage) -> None:
        messages = [new_message(f"Order-{number}") for number in range(5)]
        await storage.save_messages(messages)
        leases = await storage.lease_partitions("one", seconds=60)
        for item in await storage.claim_pending(leases):
            await storage.mark_failed(leases, item.sequence, error="refused", retry_in=None)
        assert ids_of(await storage.list_parked()) == _ids_of(messages)
        first_page = await storage.list_parked(limit=2)
        assert ids_of(first_page) == _ids_of(messages[:2])
        rest = await storage.list_parked(after=first_page[-1].sequence)
        assert ids_of(rest) == _ids_of(messages[2:])
        assert await storage.count_pending() == 0


def _ids_of(messages: Sequence[OutboxMessage]) -> list[UUID]:
    return [message.message_id for message in messages]
