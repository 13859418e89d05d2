"""Aggregates whose events changed their shape since they were stored."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, ClassVar
from uuid import uuid4

from cqrs_ddd_advanced_core import EventSourcedAggregateMixin, EventSourcedLoader
from cqrs_ddd_advanced_core.event_sourcing import EventSourcedRepository
from cqrs_ddd_advanced_core.upcasting import EventSplitter, UpcasterRegistry
from cqrs_ddd_core import AggregateRoot, DomainEvent
from cqrs_ddd_core.adapters.memory import (
    InMemoryDatabase,
    InMemoryEventStore,
    InMemoryUnitOfWork,
)
from cqrs_ddd_core.domain import EventTypeRegistry
from cqrs_ddd_core.ports.event_store import NewEvent, StreamId


class OrderCreated(DomainEvent):
    schema_version: ClassVar[int] = 2

    amount: Decimal
    currency: str


class Paid(DomainEvent):
    amount: Decimal


class Order(EventSourcedAggregateMixin, AggregateRoot[str]):
    amount: Decimal = Decimal(0)
    currency: str = ""
    paid: Decimal = Decimal(0)

    def pay(self, amount: Decimal) -> None:
        self.raise_event(Paid(amount=amount))

    def apply_order_created(self, event: OrderCreated) -> None:
        self.amount, self.currency = event.amount, event.currency

    def apply_paid(self, event: Paid) -> None:
        self.paid += event.amount


STREAM = StreamId("Order", "o-1")


async def _store(
    *events: tuple[str, bytes], database: InMemoryDatabase | None = None
) -> InMemoryEventStore:
    store = InMemoryEventStore(database)
    now = datetime.now(UTC)
    await store.append(STREAM, [NewEvent(uuid4(), name, payload, now) for name, payload in events])
    return store


# Section 9 of the package's requirements, as written there.
SNIPPET = """
from cqrs_ddd_advanced_core.upcasting import EventUpcaster, UpcasterRegistry

class OrderCreatedV1ToV2(EventUpcaster):
    event_type = "OrderCreated"
    source_version = 1

    def upcast(self, data: dict[str, Any]) -> dict[str, Any]:
        return {
            **data,
            "currency": data.get("currency", "EUR"),  # Add default
            "amount": Decimal(str(data["amount"])),  # float → Decimal
        }

registry = UpcasterRegistry()
registry.register(OrderCreatedV1ToV2())

# Events automatically upcasted when loaded
loader = EventSourcedLoader(
    aggregate_type=Order,
    event_store=event_store,
    event_registry=event_registry,
    upcaster_registry=registry,
)
"""


async def test_the_documented_example_loads_older_events() -> None:
    names: dict[str, Any] = {
        "Any": Any,
        "Decimal": Decimal,
        "EventSourcedLoader": EventSourcedLoader,
        "Order": Order,
        "event_registry": EventTypeRegistry([OrderCreated, Paid]),
        "event_store": await _store(("OrderCreated", b'{"amount":19.99}')),
    }
    exec(SNIPPET, names)  # noqa: S102 - the example of the requirements
    order = await names["loader"].load("o-1")
    assert (order.amount, order.currency, order.version) == (Decimal("19.99"), "EUR", 1)


class Sold(EventSplitter):
    event_type = "Sold"
    source_version = 1
    targets: ClassVar[dict[str, int]] = {"OrderCreated": 2, "Paid": 1}

    def split(self, data: dict[str, Any]) -> Iterable[tuple[str, dict[str, Any]]]:
        yield "OrderCreated", {"amount": data["amount"], "currency": "EUR"}
        yield "Paid", {"amount": data["amount"]}


async def test_the_version_counts_stored_events_whatever_they_are_read_as() -> None:
    """Otherwise the next append would expect a version the stream does not have."""
    upcasters = UpcasterRegistry([Sold()])
    upcasters.drop("Viewed", source_version=1)
    upcasters.upcaster("OrderCreated", source_version=1)(lambda data: {**data, "currency": ""})
    database = InMemoryDatabase()
    history = ("Viewed", b"{}"), ("Sold", b'{"amount":"7"}'), ("Viewed", b"{}")
    store = await _store(*history, database=database)
    orders = EventSourcedRepository(store, Order, upcaster_registry=upcasters)
    order = await orders.get("o-1")
    assert order is not None
    assert (order.amount, order.paid, order.version) == (Decimal(7), Decimal(7), 3)
    async with InMemoryUnitOfWork(database):
        order = await orders.get("o-1")
        assert order is not None
        order.pay(Decimal(1))
        await orders.save(order)
    assert await store.get_stream_version(STREAM) == 4


async def test_a_stream_of_dropped_events_is_still_a_stream() -> None:
    upcasters = UpcasterRegistry()
    upcasters.drop("Viewed", source_version=1)
    store = await _store(("Viewed", b"{}"))
    order = await EventSourcedLoader(Order, store, upcaster_registry=upcasters).load("o-1")
    assert order is not None
    assert order.version == 1
