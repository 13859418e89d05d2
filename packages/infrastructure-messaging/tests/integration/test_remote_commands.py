"""Commands for another bounded context: sent durably, handled once, answered when asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from cqrs_ddd_core import (
    Command,
    HandlerRegistry,
    InvariantViolationError,
    Mediator,
    MessageRegistry,
    Result,
    message_context,
)
from cqrs_ddd_core.correlation import get_context
from cqrs_ddd_core.outbox import OutboxService
from cqrs_ddd_core.primitives.exceptions import (
    BrokerUnavailableError,
    ConfigurationError,
    OptimisticConcurrencyError,
    UnitOfWorkError,
    ValidationError,
)
from cqrs_ddd_core.testing.conformance import rolled_back
from cqrs_ddd_core.testing.samples import new_message
from cqrs_ddd_infrastructure_messaging.commands import (
    CommandReceiver,
    RemoteCommandBus,
    to_command_message,
)
from cqrs_ddd_infrastructure_messaging.exceptions import CommandRefusedError, ReplyTimeoutError
from cqrs_ddd_infrastructure_messaging.memory import FaultPlan, InMemoryTransport

if TYPE_CHECKING:
    from tests.conftest import Broker
    from tests.integration.conftest import Stores

    from cqrs_ddd_core.ports.consumer import IMessageConsumer
    from cqrs_ddd_core.ports.outbox import OutboxMessage
    from cqrs_ddd_core.ports.publisher import IMessagePublisher


class Reserve(Command[Decimal]):
    album: str
    copies: int


class Judge(Command[Result[int]]):
    copies: int


@dataclass
class _Way:
    """How commands and answers travel."""

    publisher: IMessagePublisher
    new_consumer: Callable[[], IMessageConsumer]


class _Warehouse:
    """The other bounded context: what it did is in its database."""

    def __init__(self, stores: Stores) -> None:
        self.stores = stores
        self.tries = 0
        self.contexts: list[tuple[str | None, str | None, str, str | None]] = []
        self.fail_with: list[Exception] = []
        registry, self.messages = HandlerRegistry(), MessageRegistry()
        registry.register_command_handler(Reserve, self.reserve)
        registry.register_command_handler(Judge, self.judge)
        self.messages.register_command(Reserve)
        self.messages.register_command(Judge)
        self.mediator = Mediator(registry, stores.unit_of_work)

    async def reserve(self, command: Reserve) -> Decimal:
        self.tries += 1
        await self.stores.apply(new_message(command.album, message_id=command.command_id))
        context = get_context()
        self.contexts.append(
            (context.correlation_id, context.user_id, context.tenant_id, context.causation_id)
        )
        if self.fail_with:
            raise self.fail_with.pop(0)
        if command.copies > 10:
            msg = "there are 10"
            raise InvariantViolationError(msg)
        if command.copies < 1:
            raise ValidationError({"copies": ["at least one"]})
        return Decimal("1.10") * command.copies

    async def judge(self, command: Judge) -> Result[int]:
        self.tries += 1
        await self.stores.apply(new_message("judged", message_id=command.command_id))
        return Result.failure("too many") if command.copies > 10 else Result.success(command.copies)

    def receiver(self, publisher: IMessagePublisher | None) -> CommandReceiver:
        return CommandReceiver(
            self.mediator,
            self.messages,
            consumer="warehouse",
            inbox=self.stores.inbox,
            uow_factory=self.stores.unit_of_work,
            publisher=publisher,
        )

    @asynccontextmanager
    async def open(self, way: _Way) -> AsyncIterator[CommandReceiver]:
        receiver, consumer = self.receiver(way.publisher), way.new_consumer()
        await consumer.subscribe(["Reserve", "Judge"], receiver, consumer="warehouse")
        await consumer.start()
        try:
            yield receiver
        finally:
            await consumer.stop()


@pytest.fixture
def warehouse(stores: Stores) -> _Warehouse:
    return _Warehouse(stores)


@pytest.fixture
def transport() -> InMemoryTransport:
    return InMemoryTransport()


def _way(transport: InMemoryTransport) -> _Way:
    return _Way(transport.publisher, transport.new_consumer)


def _bus(way: _Way, stores: Stores | None = None) -> RemoteCommandBus:
    return RemoteCommandBus(
        outbox=stores.outbox if stores else None,
        publisher=way.publisher,
        replies=way.new_consumer(),
        name=f"shop-{uuid4().hex[:8]}",
    )


async def test_a_request_is_answered_with_the_result(
    warehouse: _Warehouse, transport: InMemoryTransport
) -> None:
    way = _way(transport)
    async with warehouse.open(way), _bus(way) as bus:
        command = Reserve(album="a", copies=3)
        with message_context(correlation_id="request-1", user_id="ann", tenant_id="t"):
            response = await bus.request(command, timeout=30)
    assert response.result == Decimal("3.30")
    assert (response.command_id, response.success) == (command.command_id, True)
    assert not response.replayed
    assert warehouse.contexts == [("request-1", "ann", "t", str(command.command_id))]


async def test_a_repeat_is_answered_from_the_record_and_handled_once(
    warehouse: _Warehouse, transport: InMemoryTransport
) -> None:
    way = _way(transport)
    command = Reserve(album="a", copies=3)
    async with warehouse.open(way), _bus(way) as bus, _bus(way) as other:
        first = await bus.request(command, timeout=30)
        again = await asyncio.gather(
            bus.request(command, timeout=30), other.request(command, timeout=30)
        )
    assert {one.result for one in (first, *again)} == {Decimal("3.30")}
    assert [one.replayed for one in (first, *again)] == [False, True, True]
    assert await warehouse.stores.effects() == {str(command.command_id): 1}


async def test_requests_at_the_same_time_get_their_own_answers(
    warehouse: _Warehouse, transport: InMemoryTransport
) -> None:
    way = _way(transport)
    async with warehouse.open(way), _bus(way) as bus:
        responses = await asyncio.gather(
            *(bus.request(Reserve(album="a", copies=n), timeout=30) for n in range(1, 9))
        )
    assert [one.result for one in responses] == [Decimal("1.10") * n for n in range(1, 9)]


@pytest.mark.parametrize(
    "copies, error_type, errors",
    [(11, "InvariantViolationError", {}), (0, "ValidationError", {"copies": ["at least one"]})],
)
async def test_a_refusal_is_an_answer_that_stays(
    warehouse: _Warehouse,
    transport: InMemoryTransport,
    copies: int,
    error_type: str,
    errors: dict[str, list[str]],
) -> None:
    """Its effects are rolled back, and a repeat is not decided anew."""
    way, command = _way(transport), Reserve(album="a", copies=copies)
    async with warehouse.open(way), _bus(way) as bus:
        with pytest.raises(CommandRefusedError):
            await bus.request(command, timeout=30)
        with pytest.raises(CommandRefusedError) as caught:
            await bus.request(command, timeout=30)
    assert (caught.value.error_type, caught.value.errors) == (error_type, errors)
    assert caught.value.command_id == command.command_id
    assert warehouse.tries == 1
    assert await warehouse.stores.effects() == {}
    assert list(await transport.dead_letters.list("warehouse")) == []


async def test_a_failed_result_is_an_answer_and_is_rolled_back(
    warehouse: _Warehouse, transport: InMemoryTransport
) -> None:
    way, command, good = _way(transport), Judge(copies=11), Judge(copies=2)
    async with warehouse.open(way), _bus(way) as bus:
        first, again = [await bus.request(command, timeout=30) for _ in range(2)]
        judged = await bus.request(good, timeout=30)
    assert (first.success, first.result.error, first.replayed) == (False, "too many", False)
    assert (again.success, again.result, again.replayed) == (False, first.result, True)
    assert (judged.success, judged.result.data) == (True, 2)
    assert await warehouse.stores.effects() == {str(good.command_id): 1}


async def test_a_lost_race_and_a_broken_handler_are_tried_again(
    warehouse: _Warehouse, transport: InMemoryTransport
) -> None:
    """C-10: neither is an answer."""
    warehouse.fail_with = [OptimisticConcurrencyError("a", 1), RuntimeError("broken")]
    way, command = _way(transport), Reserve(album="a", copies=1)
    async with warehouse.open(way), _bus(way) as bus:
        response = await bus.request(command, timeout=30)
    assert response.result == Decimal("1.10")
    assert warehouse.tries == 3
    assert await warehouse.stores.effects() == {str(command.command_id): 1}


async def test_without_an_answer_the_outcome_is_unknown_and_a_repeat_is_safe(
    warehouse: _Warehouse,
) -> None:
    """A late answer is dropped and counted."""
    transport = InMemoryTransport(passes_time=False)
    way, command = _way(transport), Reserve(album="a", copies=2)
    async with warehouse.open(way):
        pass  # Its queue is there from now on.
    async with _bus(way) as bus:
        with pytest.raises(ReplyTimeoutError, match="same command_id") as caught:
            await bus.request(command, timeout=0.02)
        assert caught.value.command_id == command.command_id
        async with warehouse.open(way):
            await transport.drain()
            assert bus.late_replies == 1
            response = await bus.request(command, timeout=30)
    assert response.replayed
    assert response.result == Decimal("2.20")
    assert await warehouse.stores.effects() == {str(command.command_id): 1}


async def test_doubled_and_shuffled_requests_have_one_effect_each(warehouse: _Warehouse) -> None:
    """F25: and every second answer is late."""
    transport = InMemoryTransport(FaultPlan(double=1, reorder=1, seed=2))
    way = _way(transport)
    commands = [Reserve(album="a", copies=n) for n in range(1, 9)]
    async with warehouse.open(way), _bus(way) as bus:
        responses = await asyncio.gather(*(bus.request(one, timeout=30) for one in commands))
        await transport.drain()
        # Two deliveries of each command are answered, and each answer comes twice.
        assert bus.late_replies == 3 * len(commands)
    assert [one.result for one in responses] == [Decimal("1.10") * n for n in range(1, 9)]
    assert await warehouse.stores.effects() == {str(one.command_id): 1 for one in commands}


async def test_an_answer_that_cannot_be_sent_is_counted_and_the_effect_stays(
    stores: Stores, warehouse: _Warehouse
) -> None:
    transport = InMemoryTransport(
        FaultPlan(refuse=lambda message: message.message_type.startswith("replies-"))
    )
    way, command = _way(transport), Reserve(album="a", copies=1)
    async with warehouse.open(way) as receiver, _bus(way) as bus:
        with pytest.raises(ReplyTimeoutError):
            await bus.request(command, timeout=0.2)
        await transport.drain()
        assert receiver.unsent_replies == 1
    assert await stores.effects() == {str(command.command_id): 1}
    assert list(await transport.dead_letters.list("warehouse")) == []


async def test_no_stranger_has_an_answer_published_as_an_event(
    warehouse: _Warehouse, transport: InMemoryTransport
) -> None:
    command = Reserve(album="a", copies=1)
    published: list[object] = []
    consumer = transport.new_consumer()

    async def note(message: object) -> None:
        published.append(message)

    await consumer.subscribe(["OrderPlaced"], note, consumer="events")
    await consumer.start()
    async with warehouse.open(_way(transport)):
        message = to_command_message(command, reply_to="OrderPlaced")
        await transport.publisher.publish([message])
        await transport.drain()
    assert published == []
    assert await warehouse.stores.effects() == {str(command.command_id): 1}


async def test_a_command_sent_in_a_unit_of_work_commits_with_it(
    stores: Stores, transport: InMemoryTransport
) -> None:
    """Then the relay publishes it, under the id of the command; before, nobody has seen it."""
    bus = RemoteCommandBus(outbox=stores.outbox, publisher=transport.publisher)
    received: list[str] = []
    await _receive(transport, received)
    relay = OutboxService(stores.outbox, transport.publisher)
    gone, kept = Reserve(album="gone", copies=1), Reserve(album="kept", copies=1)
    async with rolled_back(stores.unit_of_work):
        await bus.send(gone)
    async with stores.unit_of_work():
        await bus.send(kept)
        await bus.send(kept)
    await transport.drain()
    assert received == []
    assert await relay.process_batch() == 1
    await transport.drain()
    assert received == [str(kept.command_id)]


async def test_outside_of_a_unit_of_work_a_command_is_sent_at_once(
    stores: Stores, transport: InMemoryTransport
) -> None:
    received: list[str] = []
    await _receive(transport, received)
    at_once, durable = Reserve(album="a", copies=1), Reserve(album="b", copies=1)
    await RemoteCommandBus(publisher=transport.publisher).send(at_once)
    await RemoteCommandBus(outbox=stores.outbox).send(durable)
    await transport.drain()
    assert received == [str(at_once.command_id)]
    assert await stores.outbox.count_pending() == 1


async def test_a_command_the_broker_did_not_take_is_an_error() -> None:
    transport = InMemoryTransport(FaultPlan(refuse=1))
    async with _bus(_way(transport)) as bus:
        with pytest.raises(BrokerUnavailableError):
            await bus.send(Reserve(album="a", copies=1))
        with pytest.raises(BrokerUnavailableError):
            await bus.request(Reserve(album="a", copies=1), timeout=30)


async def test_what_cannot_work_is_refused(stores: Stores, transport: InMemoryTransport) -> None:
    with pytest.raises(ConfigurationError, match="an outbox, a publisher, or both"):
        RemoteCommandBus()
    for name in (None, "with space", "x" * 51):
        with pytest.raises(ConfigurationError, match="name="):
            RemoteCommandBus(outbox=stores.outbox, replies=transport.new_consumer(), name=name)
    command = Reserve(album="a", copies=1)
    with pytest.raises(ConfigurationError, match="started"):
        await _bus(_way(transport)).request(command, timeout=1)
    async with stores.unit_of_work():
        with pytest.raises(ConfigurationError, match="takes an outbox"):
            await RemoteCommandBus(publisher=transport.publisher).send(command)
        async with _bus(_way(transport)) as bus:
            with pytest.raises(UnitOfWorkError, match="keep it open"):
                await bus.request(command, timeout=1)


async def test_who_waits_when_the_bus_stops_is_told(transport: InMemoryTransport) -> None:
    bus = _bus(_way(transport))
    await bus.start()
    request = asyncio.create_task(bus.request(Reserve(album="a", copies=1), timeout=30))
    while not bus._waiting:  # noqa: ASYNC110 - until it waits
        await asyncio.sleep(0)
    await bus.stop()
    with pytest.raises(ReplyTimeoutError, match="before the bus stopped"):
        await request


async def test_over_rabbitmq(postgres_stores: Stores, broker: Broker) -> None:
    """F25, F27: repeats and doubles of commands and answers through a real broker."""
    warehouse = _Warehouse(postgres_stores)
    way = _Way(broker.publisher(), broker.consumer)
    commands = [Reserve(album="a", copies=n) for n in range(1, 9)]
    async with warehouse.open(way), _bus(way) as bus:
        twice = [*commands, *reversed(commands)]
        responses = await asyncio.gather(*(bus.request(one, timeout=60) for one in twice))
        with pytest.raises(CommandRefusedError):
            await bus.request(Reserve(album="a", copies=11), timeout=60)
    assert [one.result for one in responses[:8]] == [Decimal("1.10") * n for n in range(1, 9)]
    assert [one.result for one in responses[8:]] == [one.result for one in responses[7::-1]]
    expected = {str(one.command_id): 1 for one in commands}
    assert await postgres_stores.effects() == expected


async def _receive(transport: InMemoryTransport, received: list[str]) -> None:
    consumer = transport.new_consumer()

    async def note(message: OutboxMessage) -> None:
        received.append(str(message.message_id))

    await consumer.subscribe(["Reserve"], note, consumer="notes")
    await consumer.start()
