"""Events that are declared to commute really do."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cqrs_ddd_advanced_core.conflict import EventConflictPolicy
from cqrs_ddd_advanced_core.domain import EventSourcedAggregateMixin
from cqrs_ddd_advanced_core.testing import assert_commutes, commuting_pairs
from cqrs_ddd_advanced_core.testing.samples import (
    MoneyDeposited,
    MoneyWithdrawn,
    SampleAccount,
)
from cqrs_ddd_core.domain import AggregateRoot, DomainEvent, Entity
from cqrs_ddd_core.primitives.exceptions import ConfigurationError


class SeatTaken(DomainEvent):
    seat: int
    guest: str


class Renamed(DomainEvent):
    name: str


class Table(EventSourcedAggregateMixin, AggregateRoot[str]):
    name: str = ""
    guests: dict[int, str] = {}  # noqa: RUF012 - pydantic copies it

    def apply_seat_taken(self, event: SeatTaken) -> None:
        self.guests[event.seat] = event.guest

    def apply_renamed(self, event: Renamed) -> None:
        self.name = event.name


MONEY = st.decimals(1, 100, places=2)
ACCOUNT_EVENTS: dict[type[DomainEvent], Any] = {
    MoneyDeposited: st.builds(MoneyDeposited, amount=MONEY),
    MoneyWithdrawn: st.builds(MoneyWithdrawn, amount=MONEY),
}
ACCOUNT_POLICY = (
    EventConflictPolicy()
    .commutes(MoneyDeposited, MoneyDeposited)
    .commutes(MoneyDeposited, MoneyWithdrawn)
    .reruns(MoneyWithdrawn, MoneyWithdrawn)
)
SEATS = st.integers(1, 3)
TABLE_EVENTS: dict[type[DomainEvent], Any] = {
    SeatTaken: st.builds(SeatTaken, seat=SEATS, guest=st.sampled_from("ab")),
    Renamed: st.builds(Renamed, name=st.sampled_from("ab")),
}


@given(pair=commuting_pairs(ACCOUNT_POLICY, ACCOUNT_EVENTS), balance=MONEY)
def test_the_events_of_the_account_commute_as_declared(
    pair: tuple[DomainEvent, DomainEvent], balance: Decimal
) -> None:
    account = SampleAccount(id="a", owner="Ada", balance=balance)
    assert_commutes(account, *pair)
    assert account.balance == balance


@settings(max_examples=30)
@given(
    pair=commuting_pairs(
        EventConflictPolicy()
        .commutes(SeatTaken, SeatTaken, when=lambda mine, theirs: mine.seat != theirs.seat)
        .commutes(Renamed, SeatTaken),
        TABLE_EVENTS,
    )
)
def test_only_pairs_that_satisfy_their_condition_are_tried(
    pair: tuple[DomainEvent, DomainEvent],
) -> None:
    mine, theirs = pair
    assert isinstance(theirs, SeatTaken)
    assert isinstance(mine, Renamed) or getattr(mine, "seat", None) != theirs.seat
    assert_commutes(Table(id="t"), mine, theirs)


def test_events_that_do_not_commute_are_told_apart() -> None:
    with pytest.raises(AssertionError, match="name is 'a' when Renamed comes last and 'b' when"):
        assert_commutes(Table(id="t"), Renamed(name="a"), Renamed(name="b"))


def test_entities_are_compared_by_their_state() -> None:
    class HostNamed(DomainEvent):
        nickname: str

    class Host(Entity[str]):
        nickname: str = ""

    class Party(EventSourcedAggregateMixin, AggregateRoot[str]):
        host: Host = Host(id="h")

        def apply_host_named(self, event: HostNamed) -> None:
            self.host = Host(id="h", nickname=event.nickname)

    with pytest.raises(AssertionError, match="host is"):
        assert_commutes(Party(id="p"), HostNamed(nickname="a"), HostNamed(nickname="b"))


def test_a_declared_pair_that_would_not_be_tried_is_refused() -> None:
    policy = EventConflictPolicy().commutes(MoneyDeposited, Renamed)
    with pytest.raises(ConfigurationError, match="nothing makes MoneyDeposited and Renamed"):
        commuting_pairs(policy, ACCOUNT_EVENTS)


def test_a_class_is_tried_with_all_its_subclasses() -> None:
    policy = EventConflictPolicy().commutes(DomainEvent, DomainEvent)
    with pytest.raises(AssertionError, match="do not commute"):
        _try_all(policy)


def _try_all(policy: EventConflictPolicy) -> None:
    @settings(database=None)
    @given(pair=commuting_pairs(policy, TABLE_EVENTS))
    def attempt(pair: tuple[DomainEvent, DomainEvent]) -> None:
        assert_commutes(Table(id="t"), *pair)

    attempt()
