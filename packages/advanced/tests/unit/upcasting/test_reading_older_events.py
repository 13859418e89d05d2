"""Events of older shapes on every way they are read and written."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, ClassVar
from uuid import uuid4

import pytest

from cqrs_ddd_advanced_core.domain.exceptions import UpcasterRegistrationError, UpcastingError
from cqrs_ddd_advanced_core.upcasting import (
    EventDowncaster,
    EventSplitter,
    EventUpcaster,
    UpcasterRegistry,
)
from cqrs_ddd_core import AggregateRoot, Command, HandlerRegistry, Mediator, MessageRegistry
from cqrs_ddd_core.adapters.memory import (
    InMemoryDatabase,
    InMemoryEventStore,
    InMemoryOutboxStorage,
    InMemoryRepository,
    InMemoryUnitOfWork,
)
from cqrs_ddd_core.cqrs import EventSerializer
from cqrs_ddd_core.domain import DomainEvent, EventTypeRegistry
from cqrs_ddd_core.ports.event_store import NewEvent, StreamId
from cqrs_ddd_core.primitives.exceptions import (
    ConfigurationError,
    SchemaVersionError,
    SerializationError,
    UnknownEventTypeError,
)


class OrderCreated(DomainEvent):
    schema_version: ClassVar[int] = 2

    amount: Decimal
    currency: str


class Paid(DomainEvent):
    amount: Decimal


class OrderCreatedV1ToV2(EventUpcaster):
    event_type = "OrderCreated"
    source_version = 1

    def upcast(self, data: dict[str, Any]) -> dict[str, Any]:
        return {
            **data,
            "currency": data.get("currency", "EUR"),
            "amount": Decimal(str(data["amount"])),
        }


class OrderCreatedV2ToV1(EventDowncaster):
    event_type = "OrderCreated"
    source_version = 2

    def downcast(self, data: dict[str, Any]) -> dict[str, Any]:
        return {"amount": float(data["amount"])}


class SplitSold(EventSplitter):
    event_type = "Sold"
    source_version = 1
    targets: ClassVar[dict[str, int]] = {"OrderCreated": 1, "Paid": 1}

    def split(self, data: dict[str, Any]) -> Iterable[tuple[str, dict[str, Any]]]:
        yield "OrderCreated", data
        yield "Paid", data


EVENTS = EventTypeRegistry([OrderCreated, Paid])
STREAM = StreamId("Order", "o-1")


def _upcasters() -> UpcasterRegistry:
    registry = UpcasterRegistry([OrderCreatedV1ToV2(), OrderCreatedV2ToV1(), SplitSold()])
    registry.drop("Viewed", source_version=1)
    registry.rename("OrderMade", "OrderCreated", source_version=1)
    return registry


def _new(event_type: str, payload: bytes, version: int = 1) -> NewEvent:
    return NewEvent(uuid4(), event_type, payload, datetime.now(UTC), version)


HISTORY = [
    _new("OrderMade", b'{"amount":1.10}'),
    _new("OrderCreated", b'{"amount":2.20}'),
    _new("Viewed", b"{}"),
    _new("Sold", b'{"amount":3.30}'),
    _new("OrderCreated", b'{"amount":"4.40","currency":"USD"}', 2),
]
TODAY = [
    ("OrderCreated", Decimal("1.1"), "EUR"),
    ("OrderCreated", Decimal("2.2"), "EUR"),
    ("OrderCreated", Decimal("3.3"), "EUR"),
    ("Paid", Decimal("3.3"), None),
    ("OrderCreated", Decimal("4.40"), "USD"),
]


def _seen(events: Iterable[DomainEvent]) -> list[tuple[str, Decimal, str | None]]:
    return [
        (event.event_type, getattr(event, "amount"), getattr(event, "currency", None))  # noqa: B009
        for event in events
    ]


@pytest.fixture
async def store() -> InMemoryEventStore:
    store = InMemoryEventStore(InMemoryDatabase())
    await store.append(STREAM, HISTORY)
    return store


async def test_a_stream_is_read_as_todays_events(store: InMemoryEventStore) -> None:
    serializer = EventSerializer(EVENTS, _upcasters())
    assert _seen(serializer.hydrate_all(await store.get_events(STREAM))) == TODAY


async def test_the_feed_is_read_as_todays_events(store: InMemoryEventStore) -> None:
    serializer = EventSerializer(EVENTS, _upcasters())
    read = [
        event async for stored in store.read_all() for event in list(serializer.hydrate(stored))
    ]
    assert _seen(read) == TODAY
    assert len({event.event_id for event in read}) == len(TODAY)


async def test_reading_leaves_the_store_as_it_was(store: InMemoryEventStore) -> None:
    serializer = EventSerializer(EVENTS, _upcasters())
    stored = await store.get_events(STREAM)
    parsed = [event.payload for event in stored]
    list(serializer.hydrate_all(stored))
    assert [event.payload_bytes for event in stored] == [event.payload for event in HISTORY]
    assert [event.payload for event in stored] == parsed
    assert await store.get_events(STREAM) == stored


async def test_a_gap_is_an_error_at_start_up_and_not_while_reading() -> None:
    class Later(OrderCreatedV1ToV2):
        source_version = 2

    registry = UpcasterRegistry()
    registry.register(Later())
    with pytest.raises(UpcasterRegistrationError, match="'OrderCreated' version 1"):
        EventSerializer(EVENTS, registry)
    with pytest.raises(UpcasterRegistrationError, match="'OrderCreated' version 1"):
        MessageRegistry(registry)


async def test_upcasters_have_to_lead_to_the_class() -> None:
    class Further(OrderCreatedV1ToV2):
        source_version = 2

    registry = UpcasterRegistry([OrderCreatedV1ToV2(), Further()])
    with pytest.raises(ConfigurationError, match="lead to version 3"):
        EventSerializer(EVENTS, registry)


async def test_a_split_into_an_unregistered_type_is_an_error(store: InMemoryEventStore) -> None:
    serializer = EventSerializer(EventTypeRegistry([OrderCreated]), _upcasters())
    with pytest.raises(UnknownEventTypeError, match="'Paid'"):
        list(serializer.hydrate_all(await store.get_events(STREAM)))


async def test_a_failing_upcaster_is_an_error_and_not_a_gap() -> None:
    store = InMemoryEventStore(InMemoryDatabase())
    await store.append(STREAM, [_new("OrderCreated", b'{"total":1}')])
    serializer = EventSerializer(EVENTS, _upcasters())
    with pytest.raises(UpcastingError, match=r"'OrderCreated' version 1 .*KeyError\('amount'\)"):
        serializer.hydrate((await store.get_events(STREAM))[0])


# --- a rolling deploy ----------------------------------------------------------------------------


class OldOrderCreated(DomainEvent):
    """The class of the release before."""

    event_type: ClassVar[str] = "OrderCreated"

    amount: float


class Order(AggregateRoot[str]):
    pass


class CreateOrder(Command[None]):
    order_id: str


async def _run(serializer: EventSerializer) -> tuple[Sequence[Any], Sequence[Any]]:
    """Return what a process with that serializer stores and publishes."""
    database = InMemoryDatabase()
    orders = InMemoryRepository(Order, database)
    store, outbox = InMemoryEventStore(database), InMemoryOutboxStorage(database)
    registry = HandlerRegistry()

    @registry.command_handler
    async def create(command: CreateOrder) -> None:
        order = Order(id=command.order_id)
        order.raise_event(OrderCreated(amount=Decimal("5.50"), currency="EUR"))
        await orders.save(order)

    mediator = Mediator(
        registry,
        lambda: InMemoryUnitOfWork(database),
        event_store=store,
        outbox=outbox,
        serialize=serializer.serialize,
    )
    await mediator.send(CreateOrder(order_id="o-1"))
    messages = await outbox.claim_pending(await outbox.lease_partitions("me", seconds=60))
    stored = await store.get_events(STREAM)
    return stored, [pending.message for pending in messages]


async def test_old_processes_read_what_new_ones_write_while_the_version_is_pinned() -> None:
    new = EventSerializer(EVENTS, _upcasters(), write_versions={"OrderCreated": 1})
    old = EventSerializer(EventTypeRegistry([OldOrderCreated]))
    [stored], [message] = await _run(new)
    assert stored.schema_version == message.schema_version == 1
    for [event] in (old.hydrate(stored), old.hydrate_message(message)):
        assert isinstance(event, OldOrderCreated)
        assert event.amount == 5.5
    for read in (new.hydrate(stored), new.hydrate_message(message)):
        assert _seen(read) == [("OrderCreated", Decimal("5.5"), "EUR")]


async def test_without_a_pin_an_old_process_says_what_is_wrong() -> None:
    [stored], [message] = await _run(EventSerializer(EVENTS, _upcasters()))
    old = EventSerializer(EventTypeRegistry([OldOrderCreated]))
    with pytest.raises(SchemaVersionError, match="later release"):
        old.hydrate(stored)
    with pytest.raises(SchemaVersionError, match="later release"):
        old.hydrate_message(message)


async def test_a_release_that_is_rolled_back_reads_newer_events_through_a_downcaster() -> None:
    [stored], [message] = await _run(EventSerializer(EVENTS, _upcasters()))
    downcasters = UpcasterRegistry([OrderCreatedV2ToV1()])
    old = EventSerializer(EventTypeRegistry([OldOrderCreated]), downcasters)
    for [event] in (old.hydrate(stored), old.hydrate_message(message)):
        assert isinstance(event, OldOrderCreated)
        assert event.amount == 5.5


# --- commands ------------------------------------------------------------------------------------


class Pay(Command[None]):
    schema_version: ClassVar[int] = 2

    amount: Decimal
    currency: str


def _messages() -> MessageRegistry:
    upcasters = UpcasterRegistry()

    @upcasters.upcaster("Pay", source_version=1)
    def add_currency(data: dict[str, Any]) -> dict[str, Any]:
        return {**data, "currency": "EUR"}

    upcasters.rename("SendMoney", "Pay", source_version=1)
    upcasters.drop("Nudge", source_version=1)
    registry = MessageRegistry(upcasters)
    registry.register_command(Pay)
    return registry


@pytest.mark.parametrize("name", ["Pay", "SendMoney"])
def test_a_stored_command_is_read_as_todays_and_keeps_its_ids(name: str) -> None:
    today = Pay(amount=Decimal("1.5"), currency="EUR", correlation_id="c")
    stored = today.model_dump_json(exclude={"currency"})
    assert _messages().hydrate_command(name, stored, schema_version=1) == today


def test_an_upcaster_cannot_change_the_identity_of_a_command() -> None:
    upcasters = UpcasterRegistry()
    upcasters.upcaster("Pay", source_version=1)(lambda data: {**data, "command_id": "x"})
    registry = MessageRegistry(upcasters)
    registry.register_command(Pay)
    today = Pay(amount=Decimal(1), currency="EUR")
    assert registry.hydrate_command("Pay", today.model_dump_json(), schema_version=1) == today


def test_a_command_is_never_dropped() -> None:
    with pytest.raises(SerializationError, match="is read as 0 commands"):
        _messages().hydrate_command("Nudge", b"{}", schema_version=1)
