"""Projections that are folded when somebody asks."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from cqrs_ddd_advanced_core.domain.projection_exceptions import (
    LiveProjectionLimitError,
    ProjectionDefinitionError,
)
from cqrs_ddd_advanced_core.projections import LiveProjection
from cqrs_ddd_advanced_core.upcasting import UpcasterRegistry
from cqrs_ddd_core import DomainEvent, StreamId
from cqrs_ddd_core.adapters.memory import InMemoryEventStore, InMemoryUnitOfWork
from cqrs_ddd_core.cqrs.event_serializer import serialize_event
from cqrs_ddd_core.domain.event_registry import EventTypeRegistry
from cqrs_ddd_core.ports.event_store import EventFilter

ADA, GRACE = StreamId("Account", "ada"), StreamId("Account", "grace")


class Deposited(DomainEvent):
    amount: Decimal


class BonusDeposited(Deposited):
    pass


class Renamed(DomainEvent):
    name: str


@pytest.fixture
def store() -> InMemoryEventStore:
    return InMemoryEventStore()


def balance(store: InMemoryEventStore, **options: Any) -> LiveProjection[Decimal]:
    return LiveProjection(
        "balance",
        store,
        initial=Decimal,
        handlers={Deposited: lambda total, event: total + event.amount},
        **options,
    )


async def store_events(store: InMemoryEventStore, stream: StreamId, *events: DomainEvent) -> None:
    await store.append(stream, [serialize_event(event) for event in events])


def deposits(*amounts: int) -> list[Deposited]:
    return [Deposited(amount=Decimal(amount)) for amount in amounts]


async def test_a_stream_is_folded_in_order(store: InMemoryEventStore) -> None:
    await store_events(store, ADA, *deposits(1, 2), Renamed(name="x"), *deposits(3))
    await store_events(store, GRACE, *deposits(10))
    live = balance(store)
    assert await live.of_stream(ADA) == 6
    assert await live.of_stream(ADA, up_to_version=2) == 3
    assert await live.of_stream(StreamId("Account", "nobody")) == 0


async def test_a_filter_is_folded_over_all_streams(store: InMemoryEventStore) -> None:
    await store_events(store, ADA, *deposits(1, 2))
    await store_events(store, GRACE, *deposits(10), Renamed(name="x"))
    live = balance(store)
    assert await live.of() == 13
    assert await live.of(EventFilter(event_types=frozenset({"Renamed"}))) == 0
    assert await live.of(EventFilter(aggregate_types=frozenset({"Order"}))) == 0


async def test_it_shows_what_the_unit_of_work_has_appended(store: InMemoryEventStore) -> None:
    await store_events(store, ADA, *deposits(1))
    async with InMemoryUnitOfWork():
        await store_events(store, ADA, *deposits(2))
        assert await balance(store).of_stream(ADA) == 3
        assert await balance(store).of() == 1


@pytest.mark.parametrize("amounts", [(1, 1, 1), (1, 1, 1, 1)])
async def test_an_answer_costs_no_more_than_it_may(
    store: InMemoryEventStore, amounts: tuple[int, ...]
) -> None:
    await store_events(store, ADA, *deposits(*amounts), Renamed(name="x"))
    live = balance(store, max_events=3)
    for answer in (live.of_stream(ADA), live.of()):
        if len(amounts) == 3:
            assert await answer == 3
        else:
            with pytest.raises(LiveProjectionLimitError, match="more than 3 events"):
                await answer


async def test_derived_events_come_to_the_handler_of_their_base(
    store: InMemoryEventStore,
) -> None:
    await store_events(store, ADA, BonusDeposited(amount=Decimal(5)))
    registry = EventTypeRegistry([Deposited, BonusDeposited, Renamed])
    assert await balance(store, event_registry=registry).of() == 5


async def test_older_events_are_read_as_today(store: InMemoryEventStore) -> None:
    upcasters = UpcasterRegistry()
    upcasters.rename("Paid", "Deposited", source_version=1)
    paid = serialize_event(deposits(4)[0])
    object.__setattr__(paid, "event_type", "Paid")
    await store.append(ADA, [paid])
    assert await balance(store, upcaster_registry=upcasters).of_stream(ADA) == 4


@pytest.mark.parametrize(
    "handlers, registry, match",
    [
        ({}, None, "handles no events"),
        ({str: max}, None, "no event class"),
        ({Deposited: max}, EventTypeRegistry([Renamed]), "registry lacks"),
    ],
)
def test_what_cannot_work_is_refused(
    store: InMemoryEventStore, handlers: Any, registry: EventTypeRegistry | None, match: str
) -> None:
    with pytest.raises(ProjectionDefinitionError, match=match):
        LiveProjection("x", store, initial=int, handlers=handlers, event_registry=registry)
