"""Handlers tested on memory adapters: events given, a command sent, events stored and queued."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from cqrs_ddd_advanced_core.cqrs import DeciderHandler
from cqrs_ddd_advanced_core.testing import InMemoryApplication
from cqrs_ddd_advanced_core.testing.sample_decider import (
    ApproveClaim,
    ClaimApproved,
    ClaimFiled,
    FileClaim,
    SampleClaim,
)
from cqrs_ddd_advanced_core.testing.samples import (
    AccountOpened,
    Deposit,
    MoneyDeposited,
    MoneyWithdrawn,
    OpenAccount,
    SampleAccount,
    Withdraw,
    register_account_handlers,
)
from cqrs_ddd_core import Command
from cqrs_ddd_core.adapters.memory import InMemoryRepository
from cqrs_ddd_core.ports.event_store import StreamId
from cqrs_ddd_core.primitives.exceptions import EntityNotFoundError, InvariantViolationError
from cqrs_ddd_core.testing.samples import SampleOrder, SampleOrderShipped, new_order

ADA = AccountOpened(owner="Ada")
TEN = MoneyDeposited(amount=Decimal(10))


@pytest.fixture
def bank() -> InMemoryApplication:
    application = InMemoryApplication()
    register_account_handlers(application.registry, application.repository(SampleAccount))
    return application


async def test_a_command_follows_from_what_was_given(bank: InMemoryApplication) -> None:
    await bank.given(SampleAccount, "a", ADA, TEN)
    sent = await bank.when(Withdraw(account_id="a", amount=Decimal(4))).then(
        MoneyWithdrawn(amount=Decimal(4), aggregate_id="a", aggregate_type="SampleAccount")
    )
    sent.then_queued(MoneyWithdrawn(amount=Decimal(4)))
    assert sent.result == 6
    assert sent.stored[0].causation_id == str(sent.response.command_id)


async def test_each_command_has_its_own_events(bank: InMemoryApplication) -> None:
    await bank.when(OpenAccount(account_id="a")).then(ADA)
    sent = await bank.when(Deposit(account_id="a", amount=Decimal(10)))
    sent.then(TEN).then_queued(TEN)


async def test_a_refused_command_leaves_nothing(bank: InMemoryApplication) -> None:
    await bank.given(SampleAccount, "a", ADA, TEN)
    withdrawing = bank.when(Withdraw(account_id="a", amount=Decimal(11)))
    error = await withdrawing.then_raises(InvariantViolationError, match="only 10")
    assert "a has only 10" in str(error)
    await bank.when(Withdraw(account_id="b", amount=Decimal(1))).then_raises(EntityNotFoundError)


async def test_a_decider_is_tested_the_same_way() -> None:
    office = InMemoryApplication()
    claims = office.repository(SampleClaim)
    DeciderHandler(claims, id_of=lambda command: command.claim_id).register(office.registry)
    filing = await office.when(FileClaim(claim_id="c"))
    [filed] = filing.stored
    assert isinstance(filed, ClaimFiled)
    await office.when(ApproveClaim(claim_id="c")).then(ClaimApproved())
    await office.when(ApproveClaim(claim_id="c")).then_nothing()


async def test_aggregates_stored_as_state_have_their_events_queued_only() -> None:
    shop = InMemoryApplication()
    orders = InMemoryRepository(SampleOrder, shop.database)
    await orders.save(new_order("o"))

    @shop.registry.command_handler
    async def ship(command: Ship) -> None:
        order = await orders.get(command.order_id)
        order.ship("p-1")
        await orders.save(order)

    sent = await shop.when(Ship(order_id="o")).then()
    sent.then_queued(SampleOrderShipped(parcel="p-1"))


class Ship(Command[None]):
    order_id: str


class Leak(Command[None]):
    pass


async def test_what_stayed_of_a_refused_command_is_noticed(bank: InMemoryApplication) -> None:
    @bank.registry.command_handler
    async def leak(command: Leak) -> None:
        async def elsewhere() -> None:
            await bank.given(SampleAccount, "a", ADA)

        # Not in the unit of work of the command, so that it outlives it.
        await asyncio.create_task(elsewhere())
        raise InvariantViolationError("no")

    with pytest.raises(AssertionError, match="InvariantViolationError was raised, and events"):
        await bank.when(Leak()).then_raises(InvariantViolationError)


async def test_what_was_stored_instead_is_shown(bank: InMemoryApplication) -> None:
    await bank.given(SampleAccount, "a", ADA)
    with pytest.raises(AssertionError) as caught:
        await bank.when(Deposit(account_id="a", amount=Decimal(5))).then(TEN)
    assert str(caught.value) == (
        """\
the stored events are not the expected ones ("-" was expected, "+" is so)

    MoneyDeposited
  -     amount = Decimal('10')
  +     amount = Decimal('5')"""
    )
    with pytest.raises(AssertionError, match=r"expected and not raised\n\n  . MoneyDeposited"):
        await bank.when(Deposit(account_id="a", amount=Decimal(5))).then_raises(EntityNotFoundError)


async def test_given_events_are_those_of_a_stream(bank: InMemoryApplication) -> None:
    await bank.given(SampleAccount, "a", ADA)
    await bank.given(SampleAccount, "a", TEN)
    events = await bank.event_store.get_events(StreamId("SampleAccount", "a"))
    assert [event.version for event in events] == [1, 2]
