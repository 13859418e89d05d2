"""What every outbox storage must do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from cqrs_ddd_core.ports.outbox import (
    IOutboxStorage,
    MessageKind,
    OutboxMessage,
    OutboxPartition,
    OutboxStatus,
    PendingMessage,
    partition_of,
)
from cqrs_ddd_core.ports.unit_of_work_scope import UnitOfWorkFactory
from cqrs_ddd_core.primitives.clock import utc_now
from cqrs_ddd_core.testing.conformance import Conformance, elsewhere, rolled_back
from cqrs_ddd_core.testing.samples import AWKWARD_TEXT, new_message

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from uuid import UUID

__all__ = ["OutboxConformance", "OutboxSubject"]


@dataclass(frozen=True)
class OutboxSubject:
    """An empty outbox with at least four partitions, and the units of work of its database.

    Attributes:
        pass_time: Lets so many seconds pass on the storage's clock; it really waits unless given.
    """

    storage: IOutboxStorage
    unit_of_work: UnitOfWorkFactory
    pass_time: Callable[[float], Awaitable[None]] = asyncio.sleep


class OutboxConformance(Conformance):
    """Saving, leasing, claiming, order, failures, parking and cleaning up."""

    @pytest.fixture
    def subject(self) -> OutboxSubject:
        raise NotImplementedError("yield an OutboxSubject with an empty outbox")

    @pytest.fixture
    def storage(self, subject: OutboxSubject) -> IOutboxStorage:
        return subject.storage

    # -- saving -------------------------------------------------------------------------------

    async def test_a_message_comes_back_exactly_as_it_was_saved(
        self, storage: IOutboxStorage
    ) -> None:
        """S-6, C-9: with its type, times and headers."""
        messages = [
            new_message("Order-1"),
            new_message(
                AWKWARD_TEXT,
                kind=MessageKind.COMMAND,
                message_type=AWKWARD_TEXT,
                payload=b'{"b": 1,  "a": 1.10}',
                tenant_id="tenant",
                correlation_id=None,
                causation_id=None,
                headers={},
            ),
        ]
        await storage.save_messages(messages)
        claimed = await _claim_all(storage)
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
        assert _ids(await _claim_all(storage)) == [message.message_id, other.message_id]
        assert await storage.count_pending() == 2

    async def test_a_published_message_saved_again_is_not_published_again(
        self, storage: IOutboxStorage
    ) -> None:
        message = new_message()
        await storage.save_messages([message])
        await _publish_all(storage)
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
        assert _ids(await _claim_all(subject.storage)) == [kept.message_id]

    @pytest.mark.needs("concurrent_transactions")
    async def test_messages_are_handed_out_after_their_commit(self, subject: OutboxSubject) -> None:
        async with subject.unit_of_work():
            await subject.storage.save_messages([new_message()])
            assert await elsewhere(subject.storage.count_pending()) == 0
        assert len(await _claim_all(subject.storage)) == 1

    async def test_many_messages_are_saved_at_once(self, storage: IOutboxStorage) -> None:
        messages = [new_message(f"Order-{number % 7}") for number in range(1000)]
        await storage.save_messages(messages)
        claimed = await _claim_all(storage, limit=2000)
        assert len(claimed) == await storage.count_pending() == 1000
        assert _by_stream(claimed) == _saved_by_stream(messages)

    # -- leases -------------------------------------------------------------------------------

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
        assert set(_ids(claimed)) == {message.message_id for message in expected}
        assert await storage.claim_pending([]) == []

    # -- claiming and order -------------------------------------------------------------------

    async def test_messages_of_a_stream_are_handed_out_in_order(
        self, storage: IOutboxStorage
    ) -> None:
        messages = [new_message(f"Order-{number % 3}") for number in range(30)]
        for start in range(0, 30, 5):
            await storage.save_messages(messages[start : start + 5])
        claimed = await _claim_all(storage)
        assert _by_stream(claimed) == _saved_by_stream(messages)

    async def test_a_claim_hands_out_a_prefix_of_each_stream(self, storage: IOutboxStorage) -> None:
        messages = [new_message(f"Order-{number % 2}") for number in range(20)]
        await storage.save_messages(messages)
        published: list[PendingMessage] = []
        leases = await storage.lease_partitions("one", seconds=60)
        while claimed := await storage.claim_pending(leases, limit=3):
            assert len(claimed) <= 3
            published += claimed
            await storage.mark_published(leases, [item.sequence for item in claimed])
        assert _by_stream(published) == _saved_by_stream(messages)

    async def test_each_claim_counts_an_attempt(self, storage: IOutboxStorage) -> None:
        await storage.save_messages([new_message()])
        leases = await storage.lease_partitions("one", seconds=60)
        attempts = [(await storage.claim_pending(leases))[0].attempts for _ in range(3)]
        assert attempts == [1, 2, 3]

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
        assert _ids(await storage.claim_pending(leases)) == _ids(claimed[1:])

    # -- failures -----------------------------------------------------------------------------

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
        sequence = _sequence(claimed, first)
        await storage.mark_failed(leases, sequence, error="refused", retry_in=60)
        assert _ids(await storage.claim_pending(leases)) == [other.message_id]

    async def test_a_failed_message_is_tried_again_alone(self, subject: OutboxSubject) -> None:
        """Otherwise those behind it would use up their attempts without being sent."""
        storage, messages = subject.storage, [new_message("a") for _ in range(3)]
        await storage.save_messages(messages)
        leases = await storage.lease_partitions("one", seconds=60)
        first = (await storage.claim_pending(leases))[0]
        await storage.mark_failed(leases, first.sequence, error="refused", retry_in=0.05)
        await subject.pass_time(0.1)
        assert _ids(await storage.claim_pending(leases)) == _ids_of(messages[:1])
        await storage.mark_published(leases, [first.sequence])
        rest = await storage.claim_pending(leases)
        assert _ids(rest) == _ids_of(messages[1:])
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
        handed_out = _ids(await storage.claim_pending(leases, limit=3))
        assert handed_out == [good.message_id]

    async def test_streams_of_two_tenants_do_not_hold_each_other_back(
        self, storage: IOutboxStorage
    ) -> None:
        one, two = new_message("a", tenant_id="one"), new_message("a", tenant_id="two")
        await storage.save_messages([one, two])
        leases = await storage.lease_partitions("one", seconds=60)
        claimed = await storage.claim_pending(leases)
        await storage.mark_failed(leases, _sequence(claimed, one), error="refused", retry_in=60)
        assert _ids(await storage.claim_pending(leases)) == [two.message_id]

    async def test_a_parked_message_holds_back_its_stream_until_it_is_replayed(
        self, storage: IOutboxStorage
    ) -> None:
        """G9."""
        first, second, other = new_message("a"), new_message("a"), new_message("b")
        leases = await _park_first(storage, [first, second, other])
        [parked] = await storage.list_parked()
        assert (parked.message, parked.status) == (first, OutboxStatus.PARKED)
        assert (parked.error, parked.attempts) == ("refused", 1)
        assert await storage.count_pending() == 2
        assert _ids(await storage.claim_pending(leases)) == [other.message_id]
        assert await storage.replay_parked([parked.sequence]) == 1
        assert await storage.list_parked() == []
        again = [item for item in await storage.claim_pending(leases) if item.message != other]
        assert _ids(again) == _ids_of([first, second])
        assert again[0].attempts == 1

    async def test_a_discarded_message_lets_its_stream_go_on(self, storage: IOutboxStorage) -> None:
        first, second = new_message("a"), new_message("a")
        leases = await _park_first(storage, [first, second])
        [parked] = await storage.list_parked()
        assert await storage.discard_parked([parked.sequence]) == 1
        assert await storage.discard_parked([parked.sequence]) == 0
        assert await storage.list_parked() == []
        assert _ids(await storage.claim_pending(leases)) == [second.message_id]

    async def test_only_parked_messages_are_replayed_or_discarded(
        self, storage: IOutboxStorage
    ) -> None:
        await storage.save_messages([new_message()])
        [item] = await _claim_all(storage)
        assert await storage.replay_parked([item.sequence, 999_999]) == 0
        assert await storage.discard_parked([item.sequence, 999_999]) == 0
        assert await storage.count_pending() == 1

    async def test_parked_messages_are_listed_oldest_first(self, storage: IOutboxStorage) -> None:
        messages = [new_message(f"Order-{number}") for number in range(5)]
        await storage.save_messages(messages)
        leases = await storage.lease_partitions("one", seconds=60)
        for item in await storage.claim_pending(leases):
            await storage.mark_failed(leases, item.sequence, error="refused", retry_in=None)
        assert _ids(await storage.list_parked()) == _ids_of(messages)
        assert _ids(await storage.list_parked(limit=2)) == _ids_of(messages[:2])
        assert await storage.count_pending() == 0

    # -- cleaning up --------------------------------------------------------------------------

    async def test_published_messages_are_purged_and_others_stay(
        self, storage: IOutboxStorage
    ) -> None:
        published = [new_message(f"Order-{number}") for number in range(3)]
        await storage.save_messages(published)
        await _publish_all(storage)
        parked, pending = new_message("parked"), new_message("pending")
        leases = await _park_first(storage, [parked, pending])
        assert await storage.purge_published(utc_now() - timedelta(days=3650)) == 0
        future = utc_now() + timedelta(days=3650)
        assert await storage.purge_published(future, limit=2) == 2
        assert await storage.purge_published(future) == 1
        assert await storage.purge_published(future) == 0
        assert _ids(await storage.list_parked()) == [parked.message_id]
        assert _ids(await storage.claim_pending(leases)) == [pending.message_id]


async def _claim_all(storage: IOutboxStorage, *, limit: int = 100) -> list[PendingMessage]:
    leases = await storage.lease_partitions("suite", seconds=60)
    return await storage.claim_pending(leases, limit=limit)


async def _publish_all(storage: IOutboxStorage) -> None:
    leases = await storage.lease_partitions("suite", seconds=60)
    claimed = await storage.claim_pending(leases)
    await storage.mark_published(leases, [item.sequence for item in claimed])
    await storage.release_partitions("suite")


async def _park_first(
    storage: IOutboxStorage, messages: Sequence[OutboxMessage]
) -> list[OutboxPartition]:
    await storage.save_messages(messages)
    leases = await storage.lease_partitions("one", seconds=60)
    claimed = await storage.claim_pending(leases)
    sequence = _sequence(claimed, messages[0])
    assert await storage.mark_failed(leases, sequence, error="refused", retry_in=None)
    return leases


def _sequence(claimed: Sequence[PendingMessage], message: OutboxMessage) -> int:
    return next(item.sequence for item in claimed if item.message == message)


def _ids(items: Sequence[PendingMessage]) -> list[UUID]:
    return [item.message.message_id for item in items]


def _ids_of(messages: Sequence[OutboxMessage]) -> list[UUID]:
    return [message.message_id for message in messages]


def _epochs(leases: Collection[OutboxPartition]) -> dict[int, int]:
    return dict(leases)


def _by_stream(items: Sequence[PendingMessage]) -> dict[str, list[UUID]]:
    return _saved_by_stream([item.message for item in items])


def _saved_by_stream(messages: Sequence[OutboxMessage]) -> dict[str, list[UUID]]:
    streams: dict[str, list[UUID]] = {}
    for message in messages:
        streams.setdefault(message.stream, []).append(message.message_id)
    return streams
