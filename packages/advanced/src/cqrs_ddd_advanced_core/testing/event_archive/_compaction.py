"""One event in place of many."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from cqrs_ddd_advanced_core.domain.exceptions import SummaryMismatchError
from cqrs_ddd_advanced_core.domain.lifecycle import COMPACTED_VERSION
from cqrs_ddd_advanced_core.event_sourcing import EventSourcedLoader, StreamCompactor
from cqrs_ddd_advanced_core.testing.event_archive._suite import (
    ArchiveSuite,
    EventArchiveSubject,
    open_account,
    state_at,
)
from cqrs_ddd_advanced_core.testing.samples import SampleAccount
from cqrs_ddd_core.cqrs.event_serializer import serialize_event
from cqrs_ddd_core.domain.events import DomainEvent
from cqrs_ddd_core.ports.event_store import IEventStore
from cqrs_ddd_core.primitives.exceptions import EntityNotFoundError, OptimisticConcurrencyError
from cqrs_ddd_core.testing.conformance import rolled_back

__all__ = ["CompactionTests"]


class AccountSummarised(DomainEvent):
    owner: str
    balance: Decimal


class _Account(SampleAccount):
    aggregate_type = "SampleAccount"

    def apply_account_summarised(self, event: AccountSummarised) -> None:
        self.owner = event.owner
        self.balance = event.balance


def _summary(account: _Account) -> AccountSummarised:
    return AccountSummarised(owner=account.owner, balance=account.balance, metadata={"by": "me"})


class CompactionTests(ArchiveSuite):
    """One event in place of many."""

    async def test_a_summary_takes_the_place_of_the_events(
        self, subject: EventArchiveSubject, live: IEventStore
    ) -> None:
        stream = await open_account(live, 9)
        compactor = StreamCompactor(live, subject.unit_of_work)
        assert await compactor.compact(_Account, stream.aggregate_id, _summary) == 11
        [stored] = await live.get_events(stream)
        assert (stored.version, stored.event_type) == (11, "AccountSummarised")
        assert stored.metadata == {"by": "me", COMPACTED_VERSION: 10}
        account = await EventSourcedLoader(_Account, live).load(stream.aggregate_id)
        assert account is not None
        assert (account.version, account.balance, account.owner) == (11, Decimal(9), "Ada")

    async def test_compacting_again_does_something_when_there_is_something_new(
        self, subject: EventArchiveSubject, live: IEventStore
    ) -> None:
        stream = await open_account(live, 2)
        compactor = StreamCompactor(live, subject.unit_of_work)
        for _ in range(2):
            assert await compactor.compact(_Account, stream.aggregate_id, _summary) == 4
        await live.append(stream, [_deposit()], expected_version=4)
        assert await compactor.compact(_Account, stream.aggregate_id, _summary) == 6
        assert (await state_at(live, stream, 6, _Account)).balance == 3

    async def test_what_was_compacted_can_stay_in_an_archive(
        self, subject: EventArchiveSubject, live: IEventStore, whole: IEventStore
    ) -> None:
        stream = await open_account(live, 4)
        history = await live.get_events(stream)
        compactor = StreamCompactor(whole, subject.unit_of_work, archiver=subject.archiver())
        assert await compactor.compact(_Account, stream.aggregate_id, _summary) == 6
        assert (await whole.get_events(stream))[:5] == history
        assert len(await live.get_events(stream)) == 1
        for store in (live, whole):
            assert (await state_at(store, stream, 6, _Account)).balance == 4
        assert (await state_at(whole, stream, 3, _Account)).balance == 2

    async def test_a_summary_that_forgets_something_changes_nothing(
        self, subject: EventArchiveSubject, live: IEventStore
    ) -> None:
        stream = await open_account(live, 4)
        before = await live.get_events(stream)
        compactor = StreamCompactor(live, subject.unit_of_work)
        with pytest.raises(SummaryMismatchError, match="balance") as refused:
            await compactor.compact(
                _Account,
                stream.aggregate_id,
                lambda account: AccountSummarised(owner=account.owner, balance=Decimal(0)),
            )
        assert refused.value.fields == ("balance",)
        assert await live.get_events(stream) == before

    async def test_a_rollback_leaves_the_stream_as_it_was(
        self, subject: EventArchiveSubject, live: IEventStore
    ) -> None:
        """G1."""
        stream = await open_account(live, 4)
        before = await live.get_events(stream)
        compactor = StreamCompactor(live, subject.unit_of_work, archiver=subject.archiver())
        async with rolled_back(subject.unit_of_work):
            await compactor.compact(_Account, stream.aggregate_id, _summary)
        assert await live.get_events(stream) == before
        assert await subject.archive.get_events(stream) == []

    async def test_nobody_compacts_what_is_not_there(
        self, subject: EventArchiveSubject, live: IEventStore
    ) -> None:
        with pytest.raises(EntityNotFoundError):
            await StreamCompactor(live, subject.unit_of_work).compact(_Account, "x", _summary)

    async def test_no_append_is_lost_to_a_compaction(
        self, subject: EventArchiveSubject, live: IEventStore
    ) -> None:
        """G2."""
        stream = await open_account(live, 10)
        compactor = StreamCompactor(live, subject.unit_of_work)

        async def write() -> None:
            for _ in range(10):
                await live.append(stream, [_deposit()])

        async def compact() -> None:
            for _ in range(5):
                try:
                    await compactor.compact(_Account, stream.aggregate_id, _summary)
                except OptimisticConcurrencyError:
                    continue

        async with asyncio.timeout(60):
            await asyncio.gather(write(), compact(), compact())
        account = await EventSourcedLoader(_Account, live).load(stream.aggregate_id)
        assert account is not None
        assert account.balance == 20


def _deposit() -> Any:
    account = SampleAccount.open("any")
    account.deposit(1)
    return serialize_event(account.get_uncommitted_events()[-1])
