"""From an outbox over a transport to handlers, and what cannot be read on the way."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from cqrs_ddd_advanced_core.upcasting import EventSplitter, EventUpcaster, UpcasterRegistry
from cqrs_ddd_core import (
    Command,
    DomainEvent,
    EventDispatcher,
    EventTypeRegistry,
    HandlerRegistry,
    Mediator,
    MessageRegistry,
    message_context,
)
from cqrs_ddd_core.cqrs.event_serializer import EventSerializer
from cqrs_ddd_core.outbox import OutboxService
from cqrs_ddd_core.ports.outbox import MessageKind, OutboxMessage
from cqrs_ddd_core.ports.unit_of_work_scope import get_current_uow
from cqrs_ddd_core.testing.samples import new_message
from cqrs_ddd_infrastructure_messaging.commands import to_command_message
from cqrs_ddd_infrastructure_messaging.dead_letter import DeathReason
from cqrs_ddd_infrastructure_messaging.handlers import handle_commands, handle_events
from cqrs_ddd_infrastructure_messaging.memory import InMemoryTransport

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from tests.integration.conftest import Stores

    from cqrs_ddd_core.ports.consumer import MessageHandler


class Bought(DomainEvent):
    album: str
    price: Decimal


class Priced(DomainEvent):
    schema_version = 2

    price: Decimal


class Buy(Command[str]):
    album: str


class Reward(Command):
    points: int


async def test_an_event_of_one_service_is_handled_by_another(stores: Stores) -> None:
    """C-9: with its type, its payload to the cent, its ids and its cause."""
    handled: list[DomainEvent] = []
    dispatcher = EventDispatcher()
    dispatcher.register(Bought, _noting(handled))
    transport = await _transport(stores, _of_events(dispatcher), "Bought")
    command = Buy(album="Blue Train")
    with message_context(correlation_id="request-1", user_id="ann"):
        await _shop(stores).send(command)
    assert await OutboxService(stores.outbox, transport.publisher).process_batch() == 1
    await transport.drain()
    [event] = handled
    assert isinstance(event, Bought)
    assert (event.album, event.price) == ("Blue Train", Decimal("12.50"))
    assert (event.aggregate_type, event.aggregate_id) == ("Order", "o-1")
    assert (event.correlation_id, event.causation_id) == ("request-1", str(command.command_id))
    assert event.metadata == {"user_id": "ann"}


async def test_commands_sent_by_event_handlers_join_the_unit_of_work(stores: Stores) -> None:
    """G1, G5: mark and effects commit together, or none does."""
    units = set[int]()
    registry = HandlerRegistry()
    mediator = Mediator(registry, stores.unit_of_work, event_store=stores.event_store)

    @registry.command_handler
    async def reward(_: Reward) -> None:
        units.add(id(get_current_uow()))

    @registry.event_handler
    async def on_bought(event: Bought) -> None:
        units.add(id(get_current_uow()))
        await mediator.send(Reward(points=1))
        if event.album == "bad":
            raise ValueError(event.album)

    consumer = stores.consumer(_of_events(mediator))
    await consumer(_bought())
    assert len(units) == 1
    bad = _bought(payload=b'{"album":"bad","price":"1"}')
    for _ in range(2):
        with pytest.raises(ValueError, match="bad"):
            await consumer(bad)
    assert consumer.duplicates == 0


async def test_asynchronous_handlers_run_after_the_commit(stores: Stores) -> None:
    """Where their errors change nothing."""
    seen: list[object] = []
    dispatcher = EventDispatcher()

    async def note(_: DomainEvent) -> None:
        seen.append(get_current_uow())
        raise ValueError

    dispatcher.register(Bought, note, synchronous=False)
    consumer = stores.consumer(_of_events(dispatcher))
    assert await consumer.handle_batch([_bought(), _bought()]) == [None, None]
    assert seen == [None, None]
    assert dispatcher.failures == 2


async def test_a_message_of_an_older_shape_is_handled_as_one_event_several_or_none(
    stores: Stores,
) -> None:
    """F29: by the upcasters stored events are read with."""
    handled: list[DomainEvent] = []
    dispatcher = EventDispatcher()
    dispatcher.register(DomainEvent, _noting(handled))
    serializer = EventSerializer(EventTypeRegistry([Priced, Bought]), _upcasters())
    consumer = stores.consumer(handle_events(dispatcher, serializer))
    for message in (
        _message("Priced", b'{"amount":5}'),
        _message("Both", b'{"album":"A","amount":5}'),
        _message("Gone", b"{}"),
    ):
        await consumer(message)
    assert [type(event) for event in handled] == [Priced, Bought, Priced]
    assert {event.price for event in handled if isinstance(event, Priced)} == {Decimal(5)}


@pytest.mark.parametrize(
    "message_type, version, payload",
    [
        ("Nobody", 1, b'{"album":"A","price":"1"}'),
        ("Bought", 7, b'{"album":"A","price":"1"}'),
        ("Bought", 1, b'{"album":"A","price":"dear"}'),
    ],
)
async def test_what_cannot_be_read_is_a_dead_letter_at_once_and_the_others_go_on(
    stores: Stores, message_type: str, version: int, payload: bytes
) -> None:
    """F29, G9: also when it comes in one batch with them."""
    handled: list[DomainEvent] = []
    dispatcher = EventDispatcher()
    dispatcher.register(Bought, _noting(handled))
    transport = InMemoryTransport()
    consumer = transport.new_consumer()
    idempotent = stores.consumer(_of_events(dispatcher))
    await consumer.subscribe_batch(
        ["Bought", message_type], idempotent.handle_batch, consumer="suite"
    )
    odd = _bought(message_type=message_type, schema_version=version, payload=payload)
    good = [_bought(f"Order-{number}") for number in range(4)]
    await transport.publisher.publish([*good[:2], odd, *good[2:]])
    await consumer.start()
    await transport.drain()
    # Noted again, for the batch they came in first was rolled back.
    assert {event.event_id for event in handled} == {one.message_id for one in good}
    assert idempotent.handled == len(good)
    [letter] = await transport.dead_letters.list("suite")
    assert (letter.message_id, letter.reason) == (odd.message_id, DeathReason.HOPELESS)
    assert letter.attempts == 1


async def test_a_command_message_is_sent_under_its_own_id(stores: Stores) -> None:
    """Also when its payload names none: a new id at each delivery would be no key."""
    sent: list[Reward] = []
    registry = HandlerRegistry()

    @registry.command_handler
    async def reward(command: Reward) -> None:
        assert get_current_uow() is not None
        sent.append(command)

    messages = MessageRegistry()
    messages.register_command(Reward)
    mediator = Mediator(registry, stores.unit_of_work)
    consumer = stores.consumer(handle_commands(mediator, messages))
    command = Reward(points=3)
    bare = _message("Reward", b'{"points":4}', kind=MessageKind.COMMAND)
    for message in (to_command_message(command), bare) * 2:
        await consumer(message)
    assert sent[0] == command
    assert [(one.points, one.command_id) for one in sent[1:]] == [(4, bare.message_id)]


async def test_a_message_of_the_other_kind_is_a_dead_letter(stores: Stores) -> None:
    event = await _letter(stores, _of_commands(stores), _message("Reward", b'{"points":4}'))
    assert event == DeathReason.HOPELESS
    command = _message("Bought", b"{}", kind=MessageKind.COMMAND)
    assert await _letter(stores, _of_events(EventDispatcher()), command) == DeathReason.HOPELESS


class _Renamed(EventUpcaster):
    event_type = "Priced"
    source_version = 1

    def upcast(self, data: dict[str, Any]) -> dict[str, Any]:
        return {"price": data["amount"]}


class _Both(EventSplitter):
    event_type = "Both"
    source_version = 1
    targets: ClassVar[Mapping[str, int]] = {"Bought": 1, "Priced": 2}

    def split(self, data: dict[str, Any]) -> Iterable[tuple[str, dict[str, Any]]]:
        yield "Bought", {"album": data["album"], "price": data["amount"]}
        yield "Priced", {"price": data["amount"]}


def _upcasters() -> UpcasterRegistry:
    registry = UpcasterRegistry()
    registry.register(_Renamed())
    registry.register(_Both())
    registry.drop("Gone", source_version=1)
    return registry


def _shop(stores: Stores) -> Mediator:
    registry = HandlerRegistry()

    @registry.command_handler
    async def buy(command: Buy) -> str:
        uow = get_current_uow()
        assert uow is not None
        price = Decimal("12.50")
        event = Bought(album=command.album, price=price, aggregate_type="Order", aggregate_id="o-1")
        uow.add_events([event])
        return "o-1"

    return Mediator(
        registry, stores.unit_of_work, event_store=stores.event_store, outbox=stores.outbox
    )


def _of_events(dispatcher: EventDispatcher | Mediator) -> MessageHandler:
    return handle_events(dispatcher, EventSerializer(EventTypeRegistry([Bought])))


def _of_commands(stores: Stores) -> MessageHandler:
    messages = MessageRegistry()
    messages.register_command(Reward)
    return handle_commands(Mediator(HandlerRegistry(), stores.unit_of_work), messages)


def _noting(handled: list[DomainEvent]) -> Callable[[DomainEvent], Awaitable[None]]:
    async def note(event: DomainEvent) -> None:
        assert get_current_uow() is not None
        handled.append(event)

    return note


def _message(message_type: str, payload: bytes, **fields: object) -> OutboxMessage:
    values = {"message_type": message_type, "payload": payload, "schema_version": 1, **fields}
    return new_message(**values)  # type: ignore[arg-type]


def _bought(stream: str = "Order-odd", **fields: object) -> OutboxMessage:
    values = {"payload": b'{"album":"A","price":"1.10"}', "message_type": "Bought", **fields}
    return new_message(stream, **{"schema_version": 1, **values})


async def _transport(
    stores: Stores, handler: MessageHandler, *message_types: str
) -> InMemoryTransport:
    """Return a transport that delivers to the handler."""
    transport = InMemoryTransport()
    consumer = transport.new_consumer()
    await consumer.subscribe(message_types, stores.consumer(handler), consumer="suite")
    await consumer.start()
    return transport


async def _letter(stores: Stores, handler: MessageHandler, message: OutboxMessage) -> DeathReason:
    """Return why a message became a dead letter."""
    transport = await _transport(stores, handler, message.message_type)
    await transport.publisher.publish([message])
    await transport.drain()
    [letter] = await transport.dead_letters.list("suite")
    return letter.reason
