"""Hypothesis strategies: every event can be stored, every history could have happened."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Literal, NamedTuple, NewType
from uuid import UUID

import pytest
from annotated_types import Interval, Len, MultipleOf
from hypothesis import HealthCheck, find, given, settings
from hypothesis import strategies as st
from pydantic import (
    AwareDatetime,
    Field,
    NaiveDatetime,
    RootModel,
    StringConstraints,
    field_validator,
)
from pydantic_core import to_json
from typing_extensions import TypeAliasType, TypedDict

from cqrs_ddd_advanced_core.domain import EventSourcingConfigurationError
from cqrs_ddd_advanced_core.testing.sample_decider import (
    AddEstimate,
    ApproveClaim,
    ClaimApproved,
    ClaimFiled,
    EstimateAdded,
    FileClaim,
    SampleClaim,
)
from cqrs_ddd_advanced_core.testing.samples import (
    AccountOpened,
    MoneyDeposited,
    MoneyWithdrawn,
    SampleAccount,
)
from cqrs_ddd_advanced_core.testing.strategies import (
    aggregates,
    calls,
    events,
    events_of,
    histories,
)
from cqrs_ddd_core import DomainEvent, EventTypeRegistry, ValueObject
from cqrs_ddd_core.cqrs.event_serializer import EventSerializer, serialize_event
from cqrs_ddd_core.ports.event_store import StoredEvent, StreamId
from cqrs_ddd_core.primitives.exceptions import ConfigurationError


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Line(ValueObject):
    product: str
    price: Decimal = Field(ge=0, decimal_places=2)
    tags: frozenset[str] = frozenset()


class Tree(ValueObject):
    name: str
    children: tuple[Tree, ...] = ()


class Reading(NamedTuple):
    at: date
    value: Decimal


class Size(TypedDict):
    width: int
    unit: Literal["cm", "m"]


@dataclass(frozen=True)
class Place:
    city: str
    limits: tuple[Decimal, ...] = ()
    cached: int = field(default=0, init=False)


class Names(RootModel[list[str]]):
    pass


Sku = NewType("Sku", str)
Price = TypeAliasType("Price", Annotated[Decimal, Field(gt=0, max_digits=8, decimal_places=2)])


class EverythingHappened(DomainEvent):
    number: int
    ratio: float
    amount: Decimal
    text: str
    raw: bytes
    flag: bool
    reference: UUID
    at: datetime
    aware: AwareDatetime
    naive: NaiveDatetime
    on: date
    clock: time
    lasted: timedelta
    colour: Colour
    size: Literal["s", "m", 3]
    line: Line
    lines: list[Line]
    tree: Tree
    reading: Reading
    measure: Size
    place: Place
    names: Names
    sku: Sku
    price: Price
    maybe: int | None
    either: date | UUID | None
    numbers: Sequence[int]
    pairs: tuple[int, str]
    unique: set[int]
    by_colour: dict[Colour, list[Decimal]]
    by_number: Mapping[int, Line]
    details: dict[str, Any]
    anything: Any
    internal: str = Field(default="kept", exclude=True)
    aliased: int = Field(alias="Aliased")


class LimitsKept(DomainEvent):
    percent: int = Field(ge=0, le=100)
    odd: Annotated[int, Field(gt=4, lt=8)]
    dozen: int = Field(multiple_of=12, ge=1, le=100)
    ratio: float = Field(gt=0, lt=1)
    price: Decimal = Field(gt=0, max_digits=6, decimal_places=2)
    whole: Decimal = Field(max_digits=3)
    huge: Decimal = Field(gt=10**18)
    step: Annotated[Decimal, MultipleOf(Decimal("0.05"))] = Field(ge=0, le=1)
    code: str = Field(pattern=r"^[A-Z]{3}-\d{2}$")
    short: Annotated[str, StringConstraints(min_length=1, max_length=3)]
    few: list[Annotated[int, Interval(ge=1, le=2)]] = Field(min_length=1, max_length=2)
    some: Annotated[dict[str, int], Len(2, 3)]
    later: datetime = Field(ge=datetime(2099, 12, 31, tzinfo=UTC))
    spring: date = Field(gt=date(2026, 2, 28), lt=date(2026, 3, 31))
    maybe: int | None = Field(gt=0)


def through_storage(event: DomainEvent) -> DomainEvent:
    new = serialize_event(event)
    stored = StoredEvent(
        1,
        *StreamId("T", "1"),
        1,
        new.event_id,
        new.event_type,
        new.schema_version,
        new.payload,
        new.occurred_at,
        new.occurred_at,
        new.correlation_id,
        new.causation_id,
        to_json(new.metadata),
    )
    return EventSerializer(EventTypeRegistry([type(event)])).deserialize(stored)


def located(event: DomainEvent) -> DomainEvent:
    return event.model_copy(update={"aggregate_type": "T", "aggregate_id": "1"})


# --- events ---------------------------------------------------------------------------------------


@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow])
@given(events(EverythingHappened))
def test_every_event_comes_back_from_its_payload_as_it_was(event: EverythingHappened) -> None:
    assert through_storage(event) == located(event)
    assert event.internal == "kept"


@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow])
@given(events(LimitsKept))
def test_constraints_are_kept(event: LimitsKept) -> None:
    assert through_storage(event) == located(event)
    assert event.dozen % 12 == 0
    assert math.isfinite(event.ratio)
    assert event.later.tzinfo is UTC


@given(events(MoneyDeposited))
def test_nobody_but_the_aggregate_says_whose_an_event_is(event: MoneyDeposited) -> None:
    assert (event.aggregate_id, event.aggregate_type) == (None, None)
    assert event.occurred_at.tzinfo is UTC


@given(events(MoneyDeposited, amount=st.just(Decimal(5)), correlation_id="c-1"))
def test_single_fields_can_be_given_as_strategies_or_values(event: MoneyDeposited) -> None:
    assert event.amount == 5
    assert event.correlation_id == "c-1"


class Even(DomainEvent):
    number: int
    half: int

    @field_validator("number")
    @classmethod
    def _is_even(cls, number: int) -> int:
        if number % 2:
            raise ValueError
        return number


@given(events(Even, half=0))
def test_what_a_validator_refuses_is_drawn_again(event: Even) -> None:
    assert event.number % 2 == 0


class Planted(DomainEvent):
    tree: Tree
    forest: list[Tree]


def test_trees_branch_and_end() -> None:
    seen = set()

    @settings(max_examples=50)
    @given(events(Planted))
    def note(event: Planted) -> None:
        seen.add(len(event.tree.children))

    note()
    assert seen == {0, 1}


def test_numbers_shrink_to_the_simplest() -> None:
    found = find(events(MoneyDeposited), lambda event: event.amount > Decimal("3.99"))
    assert found.amount == 4


@given(events_of(SampleAccount))
def test_an_aggregate_class_names_its_events(event: DomainEvent) -> None:
    assert isinstance(event, AccountOpened | MoneyDeposited | MoneyWithdrawn)


SOURCES = [
    (EventTypeRegistry([AccountOpened, MoneyDeposited]), {AccountOpened, MoneyDeposited}),
    ([MoneyWithdrawn], {MoneyWithdrawn}),
    (SampleClaim, {ClaimFiled, EstimateAdded, ClaimApproved}),
]


@pytest.mark.parametrize("source, expected", SOURCES)
def test_events_come_from_registries_classes_and_deciders(source: Any, expected: set[type]) -> None:
    seen = set()

    @settings(max_examples=50)
    @given(events_of(source))
    def note(event: DomainEvent) -> None:
        seen.add(type(event))

    note()
    assert seen == expected


def test_a_source_without_events_is_refused() -> None:
    with pytest.raises(EventSourcingConfigurationError):
        events_of([])


class Unknown:
    pass


class Odd(DomainEvent, arbitrary_types_allowed=True):
    what: Unknown


def test_a_type_nothing_is_known_of_is_named_with_the_way_out() -> None:
    with pytest.raises(ConfigurationError) as caught:
        events(Odd)
    assert str(caught.value) == (
        "Odd: no values of Unknown are known; give a strategy, as in what=st.just(...)"
    )
    assert isinstance(find(events(Odd, what=Unknown()), lambda event: True), Odd)


def test_an_override_of_no_field_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="MoneyDeposited has no amunt"):
        events(MoneyDeposited, amunt=1)


# --- histories ------------------------------------------------------------------------------------

AMOUNTS = st.decimals(0, 100, places=2)
OPENING = st.builds(SampleAccount.open, st.just("a-1"))
MOVES = [
    calls(SampleAccount.deposit, amount=AMOUNTS),
    calls(SampleAccount.withdraw, amount=AMOUNTS),
]


@given(histories(SampleAccount, MOVES, start=OPENING))
def test_a_history_could_have_happened(history: Sequence[DomainEvent]) -> None:
    account = SampleAccount.blank("a-1")
    for event in history:
        account.apply(event)
        assert account.balance >= 0
        assert event.aggregate_id == "a-1"
    assert isinstance(history[0], AccountOpened)


def test_histories_have_every_kind_of_event_and_lengths() -> None:
    several = find(
        histories(SampleAccount, MOVES, start=OPENING),
        lambda history: len(history) > 3 and isinstance(history[-1], MoneyWithdrawn),
    )
    assert len(several) == 4


class Counted(DomainEvent):
    pass


class Clumsy(SampleAccount):
    """Raises an event, and only then says no."""

    def apply_counted(self, event: Counted) -> None:
        self.balance += 1

    def count(self, by: int = 1) -> None:
        self.raise_event(Counted())

    def fail(self) -> None:
        self.raise_event(Counted())
        self.owner = "nobody"
        self.withdraw(10**9)

    def crash(self) -> None:
        raise ZeroDivisionError


@given(aggregates(Clumsy, [Clumsy.count, Clumsy.fail]))
def test_a_refused_command_leaves_nothing(clumsy: Clumsy) -> None:
    raised = clumsy.get_uncommitted_events()
    assert clumsy.balance == len(raised)
    assert "owner" not in clumsy.__dict__


def test_a_defect_comes_out() -> None:
    with pytest.raises(ZeroDivisionError):
        find(aggregates(Clumsy, [Clumsy.crash]), lambda clumsy: False)


@given(
    histories(
        SampleClaim,
        [
            calls(
                SampleClaim.execute,
                command=st.builds(FileClaim, claim_id=st.just("c"))
                | st.builds(AddEstimate, claim_id=st.just("c"), amount=AMOUNTS)
                | st.builds(ApproveClaim, claim_id=st.just("c")),
            )
        ],
    )
)
def test_deciders_have_histories(history: Sequence[DomainEvent]) -> None:
    kinds = [type(event) for event in history]
    assert kinds[:1] in ([], [ClaimFiled])
    assert ClaimApproved not in kinds[:-1]
    assert kinds.count(ClaimFiled) <= 1
    assert set(kinds) <= {ClaimFiled, EstimateAdded, ClaimApproved}


def test_a_call_shows_what_it_does() -> None:
    call = find(calls(SampleAccount.deposit, amount=5), lambda call: True)
    assert repr(call) == "deposit(amount=5)"
    account = SampleAccount.open("a-1")
    call(account)
    assert account.balance == 5


def test_an_argument_that_a_method_does_not_have_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"SampleAccount\.deposit has no sum"):
        calls(SampleAccount.deposit, sum=5)


def test_arguments_are_drawn_by_their_annotations() -> None:
    drawn = find(
        calls(SampleAccount.deposit), lambda call: isinstance(call.arguments["amount"], str)
    )
    assert drawn.arguments == {"amount": ""}
