"""Consumers whose connection is cut, whose channel is closed, whose queue is gone."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from cqrs_ddd_core.primitives.exceptions import BrokerUnavailableError
from cqrs_ddd_core.testing.publisher import Received
from cqrs_ddd_core.testing.samples import new_message
from cqrs_ddd_infrastructure_messaging.dead_letter import DeathReason
from cqrs_ddd_infrastructure_messaging.exceptions import TopologyMismatchError
from cqrs_ddd_infrastructure_messaging.retry import RetryLadder

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from tests.conftest import Broker

    from cqrs_ddd_core.ports.outbox import OutboxMessage
    from tools.services.proxy import TcpProxy

TYPE = "SampleOrderPlaced"


class _Effects:
    """What an inbox makes of deliveries: first ones count, others are known."""

    def __init__(self) -> None:
        self.deliveries: Counter[UUID] = Counter()
        self.by_stream: defaultdict[str, list[UUID]] = defaultdict(list)
        self._more = asyncio.Event()

    async def __call__(self, message: OutboxMessage) -> None:
        await asyncio.sleep(0.001)
        self.deliveries[message.message_id] += 1
        if self.deliveries[message.message_id] == 1:
            self.by_stream[message.stream].append(message.message_id)
        self._more.set()

    async def wait_for(self, messages: Collection[OutboxMessage]) -> None:
        ids = {message.message_id for message in messages}
        async with asyncio.timeout(60):
            while not ids <= self.deliveries.keys():
                self._more.clear()
                await self._more.wait()


def _by_stream(messages: Sequence[OutboxMessage]) -> dict[str, list[UUID]]:
    streams: defaultdict[str, list[UUID]] = defaultdict(list)
    for message in messages:
        streams[message.stream].append(message.message_id)
    return streams


@pytest.mark.parametrize("partitions", [0, 3])
async def test_nothing_is_lost_while_the_connection_is_cut_again_and_again(
    broker: Broker, proxy: TcpProxy, partitions: int
) -> None:
    """First deliveries of a stream stay in order, duplicates are what the inbox is for."""
    effects = _Effects()
    consumer = broker.consumer(broker.connection(proxy.url), partitions=partitions, prefetch=50)
    await consumer.subscribe([TYPE], effects, consumer="suite")
    await consumer.start()
    messages = [new_message(f"Order-{number % 40}") for number in range(1_200)]
    cutting = asyncio.create_task(_cut_often(proxy, times=6))
    assert set(await broker.publisher().publish(messages)) == {None}
    await effects.wait_for(messages)
    await cutting
    await broker.wait_until_empty(*broker.topology.queues("suite", partitions=partitions))
    await consumer.stop()
    assert effects.deliveries.keys() == {message.message_id for message in messages}
    assert effects.by_stream == _by_stream(messages)
    assert proxy.accepted >= 6


async def _cut_often(proxy: TcpProxy, *, times: int) -> None:
    for _ in range(times):
        await _until(lambda: proxy.connections > 0)
        await asyncio.sleep(0.15)
        await proxy.cut()


async def test_a_handler_outlives_the_connection_its_message_came_through(
    broker: Broker, proxy: TcpProxy
) -> None:
    """It is not cancelled in the middle; its tag is not used on the new channel."""
    begun, may_end, ended = asyncio.Event(), asyncio.Event(), Counter[UUID]()

    async def handle(message: OutboxMessage) -> None:
        begun.set()
        await may_end.wait()
        ended[message.message_id] += 1

    consumer = broker.consumer(broker.connection(proxy.url))
    await consumer.subscribe([TYPE], handle, consumer="suite")
    await consumer.start()
    message, other = new_message("a"), new_message("b")
    await broker.publisher().publish([message])
    await begun.wait()
    await proxy.cut()
    await _until(lambda: not consumer.is_consuming)
    await _until(lambda: consumer.is_consuming)
    await broker.publisher().publish([other])
    may_end.set()
    await _until(lambda: ended == {message.message_id: 2, other.message_id: 1})
    await consumer.stop()
    assert await broker.count(broker.topology.queues("suite")[0]) == 0


async def test_each_message_delivered_twice_and_shuffled_is_handled_in_full(
    broker: Broker,
) -> None:
    """F25: what comes twice is handed on twice, with the same id."""
    effects = _Effects()
    consumer = broker.consumer()
    await consumer.subscribe([TYPE], effects, consumer="suite")
    await consumer.start()
    messages = [new_message(f"Order-{number}") for number in range(100)]
    publisher = broker.publisher()
    await publisher.publish(messages[::-1])
    await publisher.publish(messages)
    await effects.wait_for(messages)
    await broker.wait_until_empty(*broker.topology.queues("suite"))
    await _until(lambda: effects.deliveries.total() == 200)
    await consumer.stop()
    assert set(effects.deliveries.values()) == {2}


async def test_a_queue_that_was_deleted_is_declared_and_consumed_again(broker: Broker) -> None:
    """F22: the broker cancels the consumer, which would else wait for ever."""
    received = Received()
    consumer = broker.consumer()
    await consumer.subscribe([TYPE], received, consumer="suite")
    await consumer.start()
    async with broker.channel() as channel:
        await channel.queue_delete(broker.topology.queues("suite")[0])
    await _until(lambda: not consumer.is_consuming)
    await _until(lambda: consumer.is_consuming)
    message = new_message()
    assert await broker.publisher().publish([message]) == [None]
    assert await received.wait_for(1) == [message]
    await consumer.stop()


async def test_a_channel_the_broker_closed_is_replaced(broker: Broker) -> None:
    """As after a delivery that was not acknowledged for half an hour."""
    received, connection = Received(), broker.connection()
    consumer = broker.consumer(connection)
    await consumer.subscribe([TYPE], received, consumer="suite")
    await consumer.start()
    await _provoke(consumer)
    await _until(lambda: not consumer.is_consuming)
    await _until(lambda: consumer.is_consuming)
    message = new_message()
    await broker.publisher().publish([message])
    assert await received.wait_for(1) == [message]
    assert connection.consuming.opened == 1
    await consumer.stop()


async def _provoke(consumer: object) -> None:
    """Acknowledge something that never was, for which the broker closes the channel."""
    (subscription,) = consumer._running.values()  # type: ignore[attr-defined]
    await (await subscription._channel.get_underlay_channel()).basic_ack(999)


async def test_when_the_dead_letter_cannot_be_confirmed_nothing_is_acknowledged(
    broker: Broker, proxy: TcpProxy
) -> None:
    """F31: it stays where it was, and is a dead letter once when that is possible."""
    connection = broker.connection(proxy.url)
    # The way to the dead letters alone goes through the proxy.
    connection.consuming = broker.connection().consuming
    handled = asyncio.Event()

    async def refuse(_: OutboxMessage) -> None:
        handled.set()
        raise RuntimeError("no")

    consumer = broker.consumer(connection, retry=RetryLadder(delays=()))
    await consumer.subscribe([TYPE], refuse, consumer="suite")
    await consumer.start()
    await proxy.refuse()
    message = new_message()
    await broker.publisher().publish([message])
    await handled.wait()
    await asyncio.sleep(0.3)
    assert list(await broker.dead_letters().list("suite")) == []
    await proxy.heal()
    (letter,) = await broker.letters(1)
    await consumer.stop()
    assert (letter.message_id, letter.attempts) == (message.message_id, 1)
    assert await broker.count(broker.topology.queues("suite")[0]) == 0


async def test_a_stop_while_a_message_cannot_be_parked_leaves_it_in_its_queue(
    broker: Broker, proxy: TcpProxy
) -> None:
    """F31."""
    connection = broker.connection(proxy.url)
    connection.consuming = broker.connection().consuming
    handled = asyncio.Event()

    async def refuse(_: OutboxMessage) -> None:
        handled.set()
        raise RuntimeError("no")

    consumer = broker.consumer(connection)
    await consumer.subscribe([TYPE], refuse, consumer="suite")
    await consumer.start()
    await proxy.refuse()
    message = new_message()
    await broker.publisher().publish([message])
    await handled.wait()
    await consumer.stop()
    assert await broker.take_ids(broker.topology.queues("suite")[0]) == [str(message.message_id)]


async def test_a_dead_queue_that_was_deleted_is_declared_again(broker: Broker) -> None:
    """F31: an exchange without its queue takes nothing, and says so."""

    async def refuse(_: OutboxMessage) -> None:
        raise RuntimeError("no")

    consumer = broker.consumer()
    await consumer.subscribe([TYPE], refuse, consumer="suite")
    await consumer.start()
    async with broker.channel() as channel:
        await channel.queue_delete(broker.topology.dead_queue("suite"))
        await channel.exchange_delete(broker.topology.retry_exchange("suite", 0.05))
    message = new_message()
    await broker.publisher().publish([message])
    (letter,) = await broker.letters(1)
    await consumer.stop()
    assert letter.message_id == message.message_id


async def test_a_message_that_kills_its_consumer_ends_in_the_dead_letters(broker: Broker) -> None:
    """The broker counts deliveries nobody answered; then it is a dead letter of the broker's."""
    message = new_message()
    queue = broker.topology.queues("suite")[0]
    consumer = broker.consumer()
    await consumer.subscribe([TYPE], Received(), consumer="suite")
    await consumer.start()
    await consumer.stop()
    await broker.publisher().publish([message])
    for _ in range(broker.settings.delivery_limit + 1):
        async with broker.channel() as channel:
            async with asyncio.timeout(10):
                while (await channel.basic_get(queue)).delivery.name == "Basic.GetEmpty":  # noqa: ASYNC110 - no broker tells
                    await asyncio.sleep(0.01)
    (letter,) = await broker.letters(1)
    assert (letter.message_id, letter.reason) == (message.message_id, DeathReason.BROKER)
    assert letter.error == "RabbitMQ: delivery_limit"
    assert await broker.dead_letters().replay("suite", [letter.letter_id]) == 1
    assert await broker.take_ids(queue) == [str(message.message_id)]


async def test_a_consumer_that_cannot_begin_says_so(broker: Broker, proxy: TcpProxy) -> None:
    await proxy.refuse()
    consumer = broker.consumer(broker.connection(proxy.url))
    await consumer.subscribe([TYPE], Received(), consumer="suite")
    with pytest.raises(BrokerUnavailableError):
        await consumer.start()
    states = [consumer.is_consuming]
    await proxy.heal()
    await asyncio.sleep(0.2)
    await consumer.start()
    states.append(consumer.is_consuming)
    await consumer.stop()
    assert states == [False, True]


async def test_a_queue_that_is_different_is_named(broker: Broker) -> None:
    queue = broker.topology.queues("suite")[0]
    async with broker.channel() as channel:
        await channel.queue_declare(queue, durable=True)
    consumer = broker.consumer()
    await consumer.subscribe([TYPE], Received(), consumer="suite")
    with pytest.raises(TopologyMismatchError, match=f"queue '{queue}'"):
        await consumer.start()


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.005)
