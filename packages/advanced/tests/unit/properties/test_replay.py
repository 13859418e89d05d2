"""Laws of replay: live state, replayed state and stored state are one."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any, Self

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from pydantic import Field

from cqrs_ddd_advanced_core.domain import EventSourcedAggregateMixin, aggregate_event_handler
from cqrs_ddd_advanced_core.event_sourcing import EventSourcedLoader, EventSourcedRepository
from cqrs_ddd_advanced_core.testing.sample_decider import (
    AddEstimate,
    ApproveClaim,
    FileClaim,
    SampleClaim,
)
from cqrs_ddd_advanced_core.testing.samples import SampleAccount
from cqrs_ddd_advanced_core.testing.strategies import aggregates, calls, events_of
from cqrs_ddd_core import AggregateRoot, DomainEvent, Entity, EventTypeRegistry, ValueObject
from cqrs_ddd_core.adapters.memory import InMemoryDatabase, InMemoryEventStore, InMemoryUnitOfWork
from cqrs_ddd_core.cqrs.event_serializer import EventSerializer, serialize_event
from cqrs_ddd_core.ports.event_store import StreamId
from cqrs_ddd_core.primitives.exceptions import InvariantViolationError


class Cabin(StrEnum):
    DECK = "deck"
    SUITE = "suite"


class Price(ValueObject):
    amount: Decimal
    currency: str = "EUR"


class Passenger(Entity[int]):
    name: str
    cabin: Cabin
    born: date
    extras: dict[str, Price] = Field(default_factory=dict)


class VoyagePlanned(DomainEvent):
    sails_on: date
    days: int


class PassengerBoarded(DomainEvent):
    number: int
    name: str
    cabin: Cabin
    born: date


class ExtraBooked(DomainEvent):
    number: int
    extra: str
    price: Price


class PassengersMoved(DomainEvent):
    numbers: frozenset[int]
    cabin: Cabin


class VoyageDelayed(DomainEvent):
    by: timedelta
    because: str | None = None


class Voyage(EventSourcedAggregateMixin, AggregateRoot[str]):
    """Nested entities, enums, money, dates, and private state."""

    sails_on: date
    days: int
    passengers: list[Passenger] = Field(default_factory=list)
    revenue: dict[str, Decimal] = Field(default_factory=dict)
    _delays: tuple[timedelta, ...] = ()

    @classmethod
    def plan(cls, voyage_id: str, sails_on: date, days: int) -> Self:
        voyage = cls.blank(voyage_id)
        voyage.raise_event(VoyagePlanned(sails_on=sails_on, days=days))
        return voyage

    def board(self, name: str, cabin: Cabin, born: date) -> None:
        if born > self.sails_on:
            raise InvariantViolationError("not born yet")
        number = len(self.passengers) + 1
        event = PassengerBoarded(number=number, name=name, cabin=cabin, born=born)
        self.raise_event(event)

    def book(self, number: int, extra: str, price: Price) -> None:
        passenger = self._passenger(number)
        if extra in passenger.extras:
            raise InvariantViolationError("booked already")
        self.raise_event(ExtraBooked(number=passenger.id, extra=extra, price=price))

    def upgrade_all(self, cabin: Cabin) -> None:
        numbers = {one.id for one in self.passengers if one.cabin is not cabin}
        if numbers:
            self.raise_event(PassengersMoved(numbers=frozenset(numbers), cabin=cabin))

    def delay(self, by: timedelta, because: str | None) -> None:
        if by <= timedelta(0):
            raise InvariantViolationError("a voyage is not early")
        self.raise_event(VoyageDelayed(by=by, because=because))

    def _passenger(self, number: int) -> Passenger:
        if not self.passengers:
            raise InvariantViolationError("nobody is on board")
        return self.passengers[number % len(self.passengers)]

    def apply_voyage_planned(self, event: VoyagePlanned) -> None:
        self.sails_on = event.sails_on
        self.days = event.days

    @aggregate_event_handler
    def _on_boarding(self, event: PassengerBoarded) -> None:
        passenger = Passenger(id=event.number, name=event.name, cabin=event.cabin, born=event.born)
        self.passengers.append(passenger)

    def apply_ExtraBooked(self, event: ExtraBooked) -> None:  # noqa: N802 - the convention
        self.passengers[event.number - 1].extras[event.extra] = event.price
        total = self.revenue.get(event.price.currency, Decimal(0)) + event.price.amount
        self.revenue[event.price.currency] = total

    def apply_passengers_moved(self, event: PassengersMoved) -> None:
        for number in event.numbers:
            self.passengers[number - 1].cabin = event.cabin

    def apply_voyage_delayed(self, event: VoyageDelayed) -> None:
        self._delays += (event.by,)
        self.sails_on += timedelta(days=event.by.days)


DAYS = st.dates(date(2000, 1, 1), date(2050, 1, 1))
AMOUNTS = st.decimals(-1000, 1000, places=2)
CLAIM_COMMANDS = (
    st.builds(FileClaim, claim_id=st.just("c"), holder=st.text(max_size=5), happened_on=DAYS)
    | st.builds(AddEstimate, claim_id=st.just("c"), amount=AMOUNTS)
    | st.builds(ApproveClaim, claim_id=st.just("c"))
)

VOYAGES = aggregates(
    Voyage,
    [
        calls(Voyage.board, born=DAYS),
        calls(Voyage.book, extra=st.sampled_from(["meals", "tour"])),
        Voyage.upgrade_all,
        calls(Voyage.delay, by=st.timedeltas(-timedelta(9), timedelta(99))),
    ],
    start=st.builds(Voyage.plan, st.text(min_size=1), DAYS, st.integers()),
)
ACCOUNTS = aggregates(
    SampleAccount,
    [
        calls(SampleAccount.deposit, amount=AMOUNTS),
        calls(SampleAccount.withdraw, amount=AMOUNTS),
    ],
    start=st.builds(SampleAccount.open, st.text(min_size=1), st.text()),
)
CLAIMS = aggregates(SampleClaim, [calls(SampleClaim.execute, command=CLAIM_COMMANDS)])

LIVE: SearchStrategy[Any] = VOYAGES | ACCOUNTS | CLAIMS


def state(aggregate: AggregateRoot[Any]) -> dict[str, Any]:
    """All fields and private state, also of nested entities, which are equal by id alone."""
    private = {
        name: value
        for name, value in (aggregate.__pydantic_private__ or {}).items()
        if name not in ("_raised", "_version")
    }
    return {"type": type(aggregate), "fields": _parts(aggregate), "private": private}


def _parts(value: Any) -> Any:
    if isinstance(value, Entity):
        return {name: _parts(one) for name, one in value.__dict__.items()}
    return [_parts(one) for one in value] if isinstance(value, list) else value


@given(LIVE)
def test_a_replay_comes_to_the_live_state(live: Any) -> None:
    events = live.get_uncommitted_events()
    replayed = type(live).blank(live.id)
    replayed.load_from_history(events)
    assert state(replayed) == state(live)
    assert replayed.version == len(events)


@given(LIVE)
async def test_what_is_loaded_is_what_was_saved(live: Any) -> None:
    store = InMemoryEventStore()
    repository = EventSourcedRepository(store, type(live))
    await repository.save(live)
    loaded = await repository.get_or_blank(live.id)
    assert state(loaded) == state(live)
    assert loaded.version == live.version


@given(LIVE, st.data())
async def test_a_state_at_a_version_is_that_of_the_first_events(
    live: Any, data: st.DataObject
) -> None:
    events, store = live.get_uncommitted_events(), InMemoryEventStore()
    version = data.draw(st.integers(0, len(events)))
    await EventSourcedRepository(store, type(live)).save(live)
    then = type(live).blank(live.id)
    then.load_from_history(events[:version])
    loaded = await EventSourcedLoader(type(live), store).load_version(live.id, version)
    assert (loaded is None) == (version == 0)
    assert loaded is None or state(loaded) == state(then)


@given(LIVE, st.lists(st.integers(1, 3), max_size=9))
async def test_it_does_not_matter_in_how_many_saves_a_history_was_stored(
    live: Any, sizes: list[int]
) -> None:
    database = InMemoryDatabase()
    repository = EventSourcedRepository(InMemoryEventStore(database), type(live))
    events = live.get_uncommitted_events()
    for size in [*sizes, len(events)]:
        part, events = events[:size], events[size:]
        async with InMemoryUnitOfWork(database):
            for event in part:
                # Each copy is loaded from what the unit of work has saved, and nobody else sees.
                copy = await repository.get_or_blank(live.id)
                copy.raise_event(event)
                await repository.save(copy)
    loaded = await repository.get_or_blank(live.id)
    assert state(loaded) == state(live)
    assert loaded.version == len(live.get_uncommitted_events())


@given(st.lists(events_of(Voyage) | events_of(SampleAccount) | events_of(SampleClaim)))
async def test_events_come_back_as_they_were(events: list[DomainEvent]) -> None:
    store, stream = InMemoryEventStore(), StreamId("Any", "1")
    registry = EventTypeRegistry({type(event) for event in events})
    await store.append(stream, [serialize_event(event) for event in _with_own_ids(events)])
    read = EventSerializer(registry).deserialize_all(await store.get_events(stream))
    location = {"aggregate_type": "Any", "aggregate_id": "1"}
    assert read == [event.model_copy(update=location) for event in _with_own_ids(events)]


def _with_own_ids(events: list[DomainEvent]) -> list[DomainEvent]:
    return list({event.event_id: event for event in events}.values())
