"""Consumers that stop, are cancelled, or are told to end."""

from __future__ import annotations

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE
from typing import TYPE_CHECKING, Final
from uuid import UUID

from cqrs_ddd_core.testing.publisher import Received
from cqrs_ddd_core.testing.samples import new_message
from cqrs_ddd_infrastructure_messaging.retry import RetryLadder

if TYPE_CHECKING:
    from tests.conftest import Broker

    from cqrs_ddd_core.ports.outbox import OutboxMessage

TYPE = "SampleOrderPlaced"


async def test_what_was_handled_is_acknowledged_and_the_rest_waits_in_its_queue(
    broker: Broker,
) -> None:
    """G10, X-7: handlers under way finish; what only waited here goes back in its order."""
    begun, may_end, received = asyncio.Event(), asyncio.Event(), Received()

    async def handle(message: OutboxMessage) -> None:
        begun.set()
        await may_end.wait()
        await received(message)

    consumer = broker.consumer(concurrency=2)
    await consumer.subscribe([TYPE], handle, consumer="suite")
    await consumer.start()
    messages = [new_message(f"s{number}") for number in range(30)]
    await broker.publisher().publish(messages)
    await begun.wait()
    stopping = asyncio.create_task(consumer.stop())
    await asyncio.sleep(0.05)
    assert not stopping.done()
    may_end.set()
    await stopping
    done = {str(message.message_id) for message in received.messages}
    left = await broker.take_ids(broker.topology.queues("suite")[0])
    assert 1 <= len(done) <= 2
    assert len(left) == 30 - len(done)
    assert done | set(left) == {str(message.message_id) for message in messages}
    assert left == [one for one in left if one not in done]


async def test_a_handler_that_takes_too_long_is_cancelled_and_not_acknowledged(
    broker: Broker,
) -> None:
    """G10, F52."""
    begun, cancelled = asyncio.Event(), asyncio.Event()

    async def hang(_: OutboxMessage) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    consumer = broker.consumer(stop_timeout=0.05)
    await consumer.subscribe([TYPE], hang, consumer="suite")
    await consumer.start()
    message = new_message()
    await broker.publisher().publish([message])
    await begun.wait()
    await consumer.stop()
    assert cancelled.is_set()
    assert await broker.take_ids(broker.topology.queues("suite")[0]) == [str(message.message_id)]


async def test_stopping_does_not_wait_for_the_ladder(broker: Broker) -> None:
    """A stream that is held is let go: its messages go back, in order, tried again later."""
    tried = asyncio.Event()

    async def refuse(_: OutboxMessage) -> None:
        tried.set()
        raise RuntimeError("no")

    consumer = broker.consumer(partitions=1, retry=RetryLadder(delays=(600.0,)))
    await consumer.subscribe([TYPE], refuse, consumer="suite")
    await consumer.start()
    messages = [new_message("a") for _ in range(3)]
    await broker.publisher().publish(messages)
    await tried.wait()
    async with asyncio.timeout(10):
        await consumer.stop()
    received = Received()
    following = broker.consumer(partitions=1)
    await following.subscribe([TYPE], received, consumer="suite")
    await following.start()
    assert await received.wait_for(3) == messages
    await following.stop()


async def test_what_comes_while_handlers_finish_goes_to_other_processes(broker: Broker) -> None:
    begun, may_end, other = asyncio.Event(), asyncio.Event(), Received()

    async def wait(_: OutboxMessage) -> None:
        begun.set()
        await may_end.wait()

    consumer, publisher = broker.consumer(), broker.publisher()
    await consumer.subscribe([TYPE], wait, consumer="suite")
    await consumer.start()
    await publisher.publish([new_message()])
    await begun.wait()
    stopping = asyncio.create_task(consumer.stop())
    await asyncio.sleep(0.1)
    following = broker.consumer()
    await following.subscribe([TYPE], other, consumer="suite")
    await following.start()
    messages = [new_message() for _ in range(20)]
    await publisher.publish(messages)
    assert await other.wait_for(20) == messages
    assert not stopping.done()
    may_end.set()
    await asyncio.gather(stopping, following.stop())


async def test_with_partitions_the_next_process_waits_for_the_handlers_of_this_one(
    broker: Broker,
) -> None:
    """Else it would begin with what comes after the message under way."""
    begun, may_end, order = asyncio.Event(), asyncio.Event(), list[UUID]()

    async def wait(message: OutboxMessage) -> None:
        begun.set()
        await may_end.wait()
        order.append(message.message_id)

    consumer, other = broker.consumer(partitions=1), Received()
    await consumer.subscribe([TYPE], wait, consumer="suite")
    await consumer.start()
    following = broker.consumer(partitions=1)
    await following.subscribe([TYPE], other, consumer="suite")
    await following.start()
    messages = [new_message() for _ in range(5)]
    await broker.publisher().publish(messages)
    await begun.wait()
    stopping = asyncio.create_task(consumer.stop())
    await asyncio.sleep(0.2)
    assert other.messages == []
    may_end.set()
    await stopping
    await other.wait_for(4)
    await following.stop()
    assert [*order, *(one.message_id for one in other.messages)] == [
        message.message_id for message in messages
    ]


async def test_a_consumer_can_be_started_again(broker: Broker) -> None:
    received, publisher = Received(), broker.publisher()
    consumer = broker.consumer()
    await consumer.subscribe([TYPE], received, consumer="suite")
    messages = [new_message() for _ in range(3)]
    for message in messages:
        await consumer.start()
        await publisher.publish([message])
        await received.wait_for(messages.index(message) + 1)
        await consumer.stop()
    assert received.messages == messages


async def test_a_name_can_be_added_to_a_running_consumer(broker: Broker) -> None:
    one, two, publisher = Received(), Received(), broker.publisher()
    consumer = broker.consumer()
    await consumer.subscribe([TYPE], one, consumer="one")
    await consumer.start()
    await consumer.subscribe([TYPE], two, consumer="two")
    message = new_message()
    await publisher.publish([message])
    assert await one.wait_for(1) == await two.wait_for(1) == [message]
    await consumer.stop()


PROGRAM: Final = """
import asyncio, signal, sys
from cqrs_ddd_infrastructure_messaging import EnvelopeSerializer, TopicRouter
from cqrs_ddd_infrastructure_messaging.rabbitmq import RabbitMQConnection, RabbitMQSettings
from cqrs_ddd_infrastructure_messaging.rabbitmq.consumer import RabbitMQConsumer

async def handle(message):
    print("begun", message.message_id, flush=True)
    await asyncio.sleep(0.3)
    print("ended", message.message_id, flush=True)

async def main():
    url, prefix = sys.argv[1:]
    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
    async with RabbitMQConnection(url) as connection:
        consumer = RabbitMQConsumer(
            connection,
            router=TopicRouter("test"),
            serializer=EnvelopeSerializer(source="/test"),
            settings=RabbitMQSettings(prefix=prefix),
            concurrency=1,
        )
        await consumer.subscribe(["SampleOrderPlaced"], handle, consumer="suite")
        await consumer.start()
        print("ready", flush=True)
        await told.wait()
        await consumer.stop()

asyncio.run(main())
"""


async def test_a_process_that_is_told_to_end_leaves_nothing_behind(broker: Broker) -> None:
    """F51: SIGTERM under load; it exits cleanly and nothing is lost or half done."""
    # So that the queues of the process are removed after the test.
    broker.connection().consuming.require(broker.topology.of_consumer("suite", []))
    arguments = [sys.executable, "-c", PROGRAM, broker.url, broker.settings.prefix]
    process = await asyncio.create_subprocess_exec(*arguments, stdout=PIPE)
    assert process.stdout is not None
    assert await process.stdout.readline() == b"ready\n"
    messages = [new_message(f"s{number}") for number in range(20)]
    await broker.publisher().publish(messages)
    lines = [await process.stdout.readline()]
    process.send_signal(signal.SIGTERM)
    lines += [line async for line in process.stdout]
    assert await process.wait() == 0
    begun, ended = (
        {words[1] for line in lines if (words := line.decode().split())[0] == which}
        for which in ("begun", "ended")
    )
    left = await broker.take_ids(broker.topology.queues("suite")[0])
    assert begun == ended
    assert sorted([*ended, *left]) == sorted(str(message.message_id) for message in messages)
