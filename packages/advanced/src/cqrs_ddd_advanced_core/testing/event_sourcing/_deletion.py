"""Tombstones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cqrs_ddd_advanced_core.testing.event_sourcing._suite import (
    EventSourcingSubject,
    EventSourcingSuite,
    stored,
)
from cqrs_ddd_advanced_core.testing.samples import SampleAccount
from cqrs_ddd_core.primitives.exceptions import (
    EntityNotFoundError,
    OptimisticConcurrencyError,
    UnitOfWorkError,
)
from cqrs_ddd_core.testing.conformance import rolled_back

if TYPE_CHECKING:
    from cqrs_ddd_advanced_core.event_sourcing import EventSourcedRepository

    Accounts = EventSourcedRepository[SampleAccount]

__all__ = ["DeletionTests"]


class DeletionTests(EventSourcingSuite):
    """Deleted is not found, and says so in the stream."""

    @pytest.fixture
    async def account(self, accounts: Accounts) -> SampleAccount:
        account = SampleAccount.open("a")
        account.deposit(10)
        await accounts.save(account)
        return account

    async def test_a_deleted_aggregate_is_not_found_any_more(
        self, subject: EventSourcingSubject, accounts: Accounts, account: SampleAccount
    ) -> None:
        await accounts.delete(account, reason="asked for")
        assert await accounts.get_by_id("a") is None
        assert not await accounts.exists("a")
        events = await stored(subject, "a")
        assert [event.event_type for event in events][-1] == "AggregateDeleted"
        assert events[-1].payload == {"hard": False, "reason": "asked for"}
        assert len(events) == 3

    async def test_its_id_stays_taken(self, accounts: Accounts, account: SampleAccount) -> None:
        await accounts.delete(account)
        with pytest.raises(OptimisticConcurrencyError):
            await accounts.save(SampleAccount.open("a"))

    async def test_a_stale_copy_is_not_deleted(
        self, accounts: Accounts, account: SampleAccount
    ) -> None:
        copy = await accounts.get("a")
        copy.deposit(1)
        await accounts.save(copy)
        with pytest.raises(OptimisticConcurrencyError):
            await accounts.delete(account)
        assert (await accounts.get("a")).balance == 11

    async def test_it_can_be_restored_as_it_was(
        self, subject: EventSourcingSubject, accounts: Accounts, account: SampleAccount
    ) -> None:
        await accounts.delete(account)
        restored = await accounts.restore("a")
        restored.deposit(1)
        await accounts.save(restored)
        assert (await accounts.get("a")).balance == 11
        assert [event.version for event in await stored(subject, "a")] == [1, 2, 3, 4, 5]

    async def test_only_what_is_deleted_can_be_restored(
        self, accounts: Accounts, account: SampleAccount
    ) -> None:
        for entity_id in (account.id, "nobody"):
            with pytest.raises(EntityNotFoundError, match="deleted SampleAccount"):
                await accounts.restore(entity_id)

    async def test_it_is_gone_in_its_own_unit_of_work(
        self, subject: EventSourcingSubject, accounts: Accounts, account: SampleAccount
    ) -> None:
        async with subject.unit_of_work():
            copy = await accounts.get(account.id)
            await accounts.delete(copy)
            assert await accounts.get_by_id("a") is None
            with pytest.raises(EntityNotFoundError):
                await accounts.save(copy)
        assert await accounts.get_by_id("a") is None

    async def test_delete_and_restore_in_one_unit_of_work(
        self, subject: EventSourcingSubject, accounts: Accounts, account: SampleAccount
    ) -> None:
        await accounts.delete(account)
        async with subject.unit_of_work():
            await accounts.restore("a")
            assert (await accounts.get("a")).balance == 10
        assert (await accounts.get("a")).balance == 10

    async def test_a_hard_delete_leaves_only_the_tombstone(
        self, subject: EventSourcingSubject, accounts: Accounts, account: SampleAccount
    ) -> None:
        async with subject.unit_of_work():
            await accounts.delete(await accounts.get(account.id), hard=True)
        [tombstone] = await stored(subject, "a")
        assert (tombstone.version, tombstone.event_type) == (3, "AggregateDeleted")
        assert await accounts.get_by_id("a") is None
        with pytest.raises(EntityNotFoundError):
            await accounts.restore("a")
        with pytest.raises(OptimisticConcurrencyError):
            await accounts.save(SampleAccount.open("a"))

    async def test_a_hard_delete_that_rolls_back_removes_nothing(
        self, subject: EventSourcingSubject, accounts: Accounts, account: SampleAccount
    ) -> None:
        async with rolled_back(subject.unit_of_work):
            await accounts.delete(await accounts.get(account.id), hard=True)
        assert (await accounts.get("a")).balance == 10

    async def test_a_hard_delete_needs_a_unit_of_work(
        self, accounts: Accounts, account: SampleAccount
    ) -> None:
        with pytest.raises(UnitOfWorkError, match="hard delete"):
            await accounts.delete(account, hard=True)
        assert (await accounts.get("a")).balance == 10
