"""The given/when/then kit: what passes, and the very words of what does not."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from pydantic import Field

from cqrs_ddd_advanced_core.domain import Decider, EventSourcedAggregateMixin, UnknownCommandError
from cqrs_ddd_advanced_core.testing import given
from cqrs_ddd_advanced_core.testing.sample_decider import (
    AddEstimate,
    ApproveClaim,
    ApprovedClaim,
    ClaimApproved,
    ClaimFiled,
    EstimateAdded,
    FileClaim,
    FiledClaim,
    SampleClaim,
    claim_decider,
)
from cqrs_ddd_advanced_core.testing.samples import (
    AccountOpened,
    MoneyDeposited,
    MoneyWithdrawn,
    SampleAccount,
)
from cqrs_ddd_core import AggregateRoot, DomainEvent, Entity, ValueObject
from cqrs_ddd_core.primitives.exceptions import InvariantViolationError

DAY = date(2026, 2, 28)
FILED = ClaimFiled(holder="Ada", happened_on=DAY)


def deposited(amount: str) -> MoneyDeposited:
    return MoneyDeposited(amount=Decimal(amount))


def failure(check: Any) -> str:
    with pytest.raises(AssertionError) as caught:
        check()
    return str(caught.value)


# --- aggregates -----------------------------------------------------------------------------------


def test_events_follow_from_the_past() -> None:
    opened = given(SampleAccount, "a-1", AccountOpened(owner="Ada"), deposited("10"))
    opened.when(lambda account: account.withdraw(4)).then(
        MoneyWithdrawn(amount=Decimal(4))
    ).then_state(balance=6, owner="Ada", version=2)


def test_what_was_given_is_not_what_came() -> None:
    given(SampleAccount, "a-1", deposited("1")).when(lambda account: None).then_nothing()


def test_a_past_can_be_used_again() -> None:
    opened = given(SampleAccount, "a-1", AccountOpened(owner="Ada"))
    for _ in range(2):
        opened.when(lambda account: account.deposit(5)).then_state(balance=5)


def test_a_factory_makes_the_aggregate_that_is_looked_at() -> None:
    opening = given(SampleAccount, "a-1").when(lambda _: SampleAccount.open("a-1", owner="Eve"))
    opening.then(AccountOpened(owner="Eve")).then_state(id="a-1", owner="Eve")


def test_a_rule_says_no() -> None:
    overdrawn = given(SampleAccount, "a-1", deposited("1")).when(lambda one: one.withdraw(2))
    error = overdrawn.then_raises(InvariantViolationError, match="a-1 has only 1")
    assert isinstance(error, InvariantViolationError)


def test_it_is_done_once_and_not_before_it_is_asked_for() -> None:
    done = []
    when = given(SampleAccount, "a-1").when(lambda account: done.append(account.id))
    assert done == []
    when.then_nothing().then_state(balance=0)
    assert (done, when.result) == (["a-1"], None)


def test_the_envelope_counts_where_it_is_given() -> None:
    when = given(SampleAccount, "a-1").when(lambda account: account.deposit(5))
    when.then(MoneyDeposited(amount=Decimal(5), aggregate_id="a-1", causation_id=None))
    text = failure(lambda: when.then(MoneyDeposited(amount=Decimal(5), aggregate_id="a-2")))
    assert "aggregate_id = 'a-2'" in text


def test_an_unexpected_error_comes_out_as_it_is() -> None:
    when = given(SampleAccount, "a-1").when(lambda account: account.deposit("much"))
    with pytest.raises(ArithmeticError):
        when.then_raises(InvariantViolationError)
    with pytest.raises(ArithmeticError):
        when.then(deposited("1"))


# --- deciders -------------------------------------------------------------------------------------


def test_a_decider_decides_on_its_past() -> None:
    estimated = given(claim_decider, FILED, EstimateAdded(amount=Decimal("1.50")))
    estimated.when(ApproveClaim(claim_id="c")).then(ClaimApproved()).then_state(
        ApprovedClaim(holder="Ada", happened_on=DAY, estimates=(Decimal("1.50"),))
    ).then_state(holder="Ada")
    given(claim_decider, FILED, ClaimApproved()).when(ApproveClaim(claim_id="c")).then_nothing()


def test_a_decider_begins_with_its_first_state() -> None:
    when = given(claim_decider).when(FileClaim(claim_id="c", happened_on=DAY))
    when.then(FILED).then_state(FiledClaim(holder="Ada", happened_on=DAY))


def test_a_decider_says_no() -> None:
    given(claim_decider).when(ApproveClaim(claim_id="c")).then_raises(InvariantViolationError)
    given(claim_decider).when("?").then_raises(UnknownCommandError)  # type: ignore[arg-type]


def test_a_first_state_of_none_is_a_state() -> None:
    noop: Decider[str, int | None, ClaimApproved] = Decider(
        lambda state, command: [], lambda state, event: state, initial_state=None
    )
    given(noop).when("anything").then_nothing().then_state(None)
    assert "- 1\n  + None" in failure(lambda: given(noop).when("anything").then_state(1))


def test_the_aggregate_of_a_decider_is_an_aggregate() -> None:
    filed = given(SampleClaim, "c-1", FILED)
    added = filed.when(lambda claim: claim.execute(AddEstimate(claim_id="c-1", amount=Decimal(1))))
    added.then(EstimateAdded(amount=Decimal(1)))


# --- the words ------------------------------------------------------------------------------------


class Address(ValueObject):
    city: str
    lines: list[str] = Field(default_factory=list)


@dataclass(frozen=True)
class Parcel:
    weight: int
    address: Address


class Sent(DomainEvent):
    parcel: Parcel
    tags: dict[str, int] = Field(default_factory=dict)
    by: tuple[str, ...] = ()


class Item(Entity[str]):
    quantity: int


class Cart(EventSourcedAggregateMixin, AggregateRoot[str]):
    items: list[Item] = Field(default_factory=list)

    def send(self, *events: DomainEvent) -> None:
        for event in events:
            self.raise_event(event)

    def apply_event(self, event: DomainEvent) -> None:
        self.items.append(Item(id="i", quantity=len(self.items)))


def sent(*events: DomainEvent) -> Any:
    return given(Cart, "c-1").when(lambda cart: cart.send(*events))


def test_the_diff_shows_missing_events_further_events_and_differing_fields() -> None:
    when = sent(AccountOpened(owner="Ada"), deposited("6"), ClaimApproved())
    expected = AccountOpened(owner="Ada"), deposited("5"), MoneyWithdrawn(amount=Decimal(1))
    assert failure(lambda: when.then(*expected)) == (
        """\
the raised events are not the expected ones ("-" was expected, "+" is so)

    AccountOpened(owner='Ada')
    MoneyDeposited
  -     amount = Decimal('5')
  +     amount = Decimal('6')
  - MoneyWithdrawn(amount=Decimal('1'))
  + ClaimApproved()"""
    )


def test_the_diff_shows_the_part_of_a_nested_value_that_differs() -> None:
    def event(city: str, lines: list[str], **tags: int) -> Sent:
        return Sent(parcel=Parcel(3, Address(city=city, lines=lines)), tags=tags, by=("Ada",))

    when = sent(event("Rome", ["Via 1", "2nd floor"], new=1, both=1))
    assert failure(lambda: when.then(event("Oslo", ["Via 1"], both=2))) == (
        """\
the raised events are not the expected ones ("-" was expected, "+" is so)

    Sent
  -     parcel.address.city = 'Oslo'
  +     parcel.address.city = 'Rome'
  +     parcel.address.lines[1] = '2nd floor'
  -     tags['both'] = 2
  +     tags['both'] = 1
  +     tags['new'] = 1"""
    )


def test_the_diff_shows_the_order() -> None:
    text = failure(
        lambda: sent(deposited("1"), ClaimApproved()).then(ClaimApproved(), deposited("1"))
    )
    assert text.endswith(
        """

  + MoneyDeposited(amount=Decimal('1'))
    ClaimApproved()
  - MoneyDeposited(amount=Decimal('1'))"""
    )


def test_what_came_instead_of_nothing_is_shown() -> None:
    assert failure(lambda: sent(ClaimApproved()).then_nothing()) == (
        """\
nothing was expected to happen

  + ClaimApproved()"""
    )


def test_what_came_instead_of_an_error_is_shown() -> None:
    assert failure(lambda: sent(deposited("1")).then_raises(InvariantViolationError)) == (
        """\
InvariantViolationError was expected and not raised

  + MoneyDeposited(amount=Decimal('1'))"""
    )
    assert failure(lambda: sent().then_raises(ValueError)) == (
        """\
ValueError was expected and not raised

  + nothing happened"""
    )


def test_another_message_is_shown() -> None:
    when = given(claim_decider).when(ApproveClaim(claim_id="c"))
    assert failure(lambda: when.then_raises(InvariantViolationError, match="filed first")) == (
        """\
InvariantViolationError says something else ("-" was expected, "+" is so)

  - filed first
  + ApproveClaim is not possible in None"""
    )


def test_the_fields_of_a_state_that_differ_are_shown() -> None:
    when = sent(ClaimApproved(), ClaimApproved())
    items = [Item(id="i", quantity=0), Item(id="i", quantity=2)]
    assert failure(lambda: when.then_state(id="c-2", items=items)) == (
        """\
the state is not the expected one ("-" was expected, "+" is so)

  - id = 'c-2'
  + id = 'c-1'
  - items[1].quantity = 2
  + items[1].quantity = 1"""
    )


def test_another_class_of_state_is_shown_whole() -> None:
    when = given(claim_decider, FILED).when(ApproveClaim(claim_id="c"))
    text = failure(lambda: when.then_state(FiledClaim(holder="Ada", happened_on=DAY)))
    assert "- FiledClaim(holder='Ada'" in text
    assert "+ ApprovedClaim(holder='Ada'" in text


def test_a_field_that_a_state_does_not_have_is_named() -> None:
    text = failure(lambda: sent().then_state(item=[]))
    assert text == "Cart has no 'item': Cart(id='c-1', items=[])"
