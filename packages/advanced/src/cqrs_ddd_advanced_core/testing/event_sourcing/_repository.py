"""Loading and saving."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from cqrs_ddd_advanced_core.domain import StreamGapError
from cqrs_ddd_advanced_core.testing.event_sourcing._suite import (
    EventSourcingSubject,
    EventSourcingSuite,
    stored,
    stream_of,
)
from cqrs_ddd_advanced_core.testing.samples import MoneyDeposited, SampleAccount
from cqrs_ddd_core.correlation import message_context
from cqrs_ddd_core.primitives.exceptions import (
    EntityNotFoundError,
    EventPayloadError,
    OptimisticConcurrencyError,
    UnknownEventTypeError,
)
from cqrs_ddd_core.testing.conformance import elsewhere, rolled_back
from cqrs_ddd_core.testing.samples import AWKWARD_TEXT, new_event

if TYPE_CHECKING:
    from cqrs_ddd_advanced_core.event_sourcing import EventSourcedRepository

    Accounts = EventSourcedRepository[SampleAccount]

__all__ = ["RepositoryTests"]


class RepositoryTests(EventSourcingSuite):
    """What comes back is what was saved, in units of work and outside."""

    async def test_a_saved_aggregate_comes_back_from_its_events(
        self, subject: EventSourcingSubject, accounts: Accounts
    ) -> None:
        """A-3."""
        account = SampleAccount.open(AWKWARD_TEXT, owner=AWKWARD_TEXT)
        account.deposit("0.10")
        account.deposit("1234567890.05")
        await accounts.save(account)
        assert (account.version, account.get_uncommitted_events()) == (3, [])
        loaded = await accounts.get(AWKWARD_TEXT)
        assert loaded is not account
        assert (loaded.owner, loaded.balance) == (AWKWARD_TEXT, Decimal("1234567890.15"))
        assert (loaded.version, loaded.get_uncommitted_events()) == (3, [])
        assert [event.version for event in await stored(subject, AWKWARD_TEXT)] == [1, 2, 3]

    async def test_versions_go_on_over_many_saves(
        self, subject: EventSourcingSubject, accounts: Accounts
    ) -> None:
        """A-3, A-4."""
        account = SampleAccount.open("a")
        await accounts.save(account)
        for amount in range(1, 4):
            account.deposit(amount)
            await accounts.save(account)
        again = await accounts.get("a")
        again.withdraw(6)
        await accounts.save(again)
        assert [event.version for event in await stored(subject, "a")] == [1, 2, 3, 4, 5]
        assert (await accounts.get("a")).balance == 0

    async def test_what_does_not_exist(self, accounts: Accounts) -> None:
        assert await accounts.get_by_id("nobody") is None
        assert not await accounts.exists("nobody")
        with pytest.raises(EntityNotFoundError):
            await accounts.get("nobody")

    async def test_saving_without_events_writes_nothing(
        self, subject: EventSourcingSubject, accounts: Accounts
    ) -> None:
        await accounts.save(SampleAccount.open("a"))
        account = await accounts.get("a")
        await accounts.save(account)
        async with subject.unit_of_work():
            await accounts.save(await accounts.get("a"))
        assert (await accounts.get("a")).version == account.version == 1

    async def test_streams_of_two_types_with_one_id_are_apart(
        self, subject: EventSourcingSubject, accounts: Accounts
    ) -> None:
        """A-7."""
        other = stream_of("a")._replace(aggregate_type="Other")
        await subject.event_store.append(other, [new_event()])
        assert await accounts.get_by_id("a") is None
        await accounts.save(SampleAccount.open("a"))
        assert (await accounts.get("a")).version == 1

    async def test_tenants_are_apart(self, accounts: Accounts) -> None:
        for tenant in ("x", "y"):
            with message_context(tenant_id=tenant):
                await accounts.save(SampleAccount.open("a", owner=tenant))
        with message_context(tenant_id="y"):
            assert (await accounts.get("a")).owner == "y"
            assert [account.owner async for account in accounts.get_all()] == ["y"]
        assert not await accounts.exists("a")

    async def test_of_two_copies_the_first_saved_wins(self, accounts: Accounts) -> None:
        """G2."""
        await accounts.save(SampleAccount.open("a"))
        first, second = await accounts.get("a"), await accounts.get("a")
        first.deposit(1)
        second.deposit(2)
        await accounts.save(first)
        with pytest.raises(OptimisticConcurrencyError) as caught:
            await accounts.save(second)
        assert (caught.value.target, caught.value.expected) == (stream_of("a"), 1)
        assert (await accounts.get("a")).balance == 1

    async def test_an_id_is_taken_once(self, accounts: Accounts) -> None:
        await accounts.save(SampleAccount.open("a"))
        with pytest.raises(OptimisticConcurrencyError):
            await accounts.save(SampleAccount.open("a", owner="Eve"))
        assert (await accounts.get("a")).owner == "Ada"

    async def test_of_many_writers_one_wins(
        self, subject: EventSourcingSubject, accounts: Accounts
    ) -> None:
        """G2."""
        await accounts.save(SampleAccount.open("a"))

        async def deposit(amount: int) -> None:
            async with subject.unit_of_work():
                account = await accounts.get("a")
                await asyncio.sleep(0.02)
                account.deposit(amount)
                await accounts.save(account)

        outcomes = await asyncio.gather(*(deposit(n) for n in range(8)), return_exceptions=True)
        won = outcomes.count(None)
        assert won >= 1
        lost = [outcome for outcome in outcomes if outcome is not None]
        assert all(isinstance(outcome, OptimisticConcurrencyError) for outcome in lost)
        assert (await accounts.get("a")).version == 1 + won

    async def test_a_unit_of_work_reads_its_own_saved_events(
        self, subject: EventSourcingSubject, accounts: Accounts
    ) -> None:
        await accounts.save(SampleAccount.open("a"))
        async with subject.unit_of_work():
            account = await accounts.get("a")
            account.deposit(5)
            await accounts.save(account)
            again = await accounts.get("a")
            assert (again.balance, again.version) == (Decimal(5), 2)
            again.deposit(6)
            assert (await accounts.get("a")).balance == 5
            await accounts.save(again)
            await accounts.save(SampleAccount.open("b"))
            assert (await accounts.get("b")).version == 1
            assert not await elsewhere(accounts.exists("b"))
        assert (await accounts.get("a")).balance == 11
        assert [event.version for event in await stored(subject, "a")] == [1, 2, 3]

    async def test_a_copy_loaded_before_the_last_save_is_stale_in_its_unit_of_work(
        self, subject: EventSourcingSubject, accounts: Accounts
    ) -> None:
        await accounts.save(SampleAccount.open("a"))
        async with rolled_back(subject.unit_of_work):
            first, second = await accounts.get("a"), await accounts.get("a")
            first.deposit(1)
            second.deposit(2)
            await accounts.save(first)
            with pytest.raises(OptimisticConcurrencyError):
                await accounts.save(second)

    async def test_a_rollback_undoes_all_saves(
        self, subject: EventSourcingSubject, accounts: Accounts
    ) -> None:
        await accounts.save(SampleAccount.open("a"))
        async with rolled_back(subject.unit_of_work):
            account = await accounts.get("a")
            account.deposit(5)
            await accounts.save(account)
            await accounts.save(SampleAccount.open("b"))
        assert not await accounts.exists("b")
        assert (await accounts.get("a")).version == 1

    async def test_an_event_of_an_unknown_type_is_an_error(
        self, subject: EventSourcingSubject, accounts: Accounts
    ) -> None:
        """A-1."""
        await accounts.save(SampleAccount.open("a"))
        await subject.event_store.append(stream_of("a"), [new_event("Surprise")])
        with pytest.raises(UnknownEventTypeError, match="Surprise"):
            await accounts.get("a")

    async def test_a_payload_that_does_not_fit_is_an_error(
        self, subject: EventSourcingSubject, accounts: Accounts
    ) -> None:
        """A-1."""
        await accounts.save(SampleAccount.open("a"))
        broken = new_event(MoneyDeposited.event_type, payload=b'{"amount":"oops"}')
        await subject.event_store.append(stream_of("a"), [broken])
        with pytest.raises(EventPayloadError, match="MoneyDeposited"):
            await accounts.get("a")

    async def test_a_missing_event_is_an_error(
        self, subject: EventSourcingSubject, accounts: Accounts
    ) -> None:
        account = SampleAccount.open("a")
        account.deposit(1)
        account.deposit(2)
        await accounts.save(account)
        async with subject.unit_of_work():
            await subject.event_store.delete_events(stream_of("a"), up_to_version=1)
        with pytest.raises(StreamGapError) as caught:
            await accounts.get("a")
        assert (caught.value.expected, caught.value.found) == (1, 2)

    async def test_all_aggregates_are_streamed_in_the_order_of_their_ids(
        self, subject: EventSourcingSubject, accounts: Accounts
    ) -> None:
        for number in (3, 1, 2):
            await accounts.save(SampleAccount.open(f"account-{number}"))
        await accounts.delete(await accounts.get("account-2"))
        other = stream_of("account-0")._replace(aggregate_type="Other")
        await subject.event_store.append(other, [new_event()])
        found = [account.id async for account in accounts.get_all()]
        assert found == ["account-1", "account-3"]
