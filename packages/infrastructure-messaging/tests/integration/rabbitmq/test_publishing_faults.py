"""Publishing while the network is cut and the broker silent, away, full or killed: none lost."""

from __future__ import annotations

import asyncio
import gc
import logging
import random
import tracemalloc
from collections.abc import Callable
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import pytest

from cqrs_ddd_core.primitives.exceptions import BrokerUnavailableError
from cqrs_ddd_core.testing.samples import new_message
from cqrs_ddd_infrastructure_messaging.rabbitmq import RabbitMQHealth
from tools.services.proxy import TcpProxy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from tests.conftest import Broker, NewBroker

    from cqrs_ddd_core.ports.outbox import OutboxMessage
    from cqrs_ddd_core.ports.publisher import IMessagePublisher
    from tools.services.rabbitmq import RabbitMQServer

Report: TypeAlias = Callable[[str, object], None]


def _messages(count: int, *, streams: int) -> list[OutboxMessage]:
    return [new_message(f"Order-{number % streams}") for number in range(count)]


async def _relay(
    publisher: IMessagePublisher,
    messages: Sequence[OutboxMessage],
    *,
    batch: int = 100,
    confirmed: list[OutboxMessage] | None = None,
) -> int:
    """Publish until everything is confirmed, as a relay does; return how many calls failed."""
    pending, failures = list(messages), 0
    done = [] if confirmed is None else confirmed
    while pending:
        try:
            outcomes = await publisher.publish(pending[:batch])
        except BrokerUnavailableError:
            failures += 1
            await asyncio.sleep(0.01)
            continue
        failures += any(outcome is not None for outcome in outcomes)
        sent = list(zip(pending[:batch], outcomes, strict=True))
        done += [message for message, outcome in sent if outcome is None]
        pending = [m for m, outcome in sent if outcome is not None] + pending[batch:]
    return failures


def _has(items: Sequence[object], count: int) -> bool:
    return len(items) >= count


async def _until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - there is nothing that would set an event
        await asyncio.sleep(0.001)


def _check(messages: Sequence[OutboxMessage], taken: Sequence[str], report: Report) -> None:
    """Compare the sets of ids, and the order of first deliveries within each stream (G4)."""
    sent = [str(message.message_id) for message in messages]
    first = list(dict.fromkeys(taken))
    report("duplicates", len(taken) - len(first))
    print(f"sent {len(sent)}, arrived {len(taken)}, doubled {len(taken) - len(first)}")
    assert set(first) - set(sent) == set()
    assert set(sent) - set(first) == set()
    stream_of = {str(message.message_id): message.stream for message in messages}
    for stream in set(stream_of.values()):
        expected = [one for one in sent if stream_of[one] == stream]
        assert [one for one in first if stream_of[one] == stream] == expected


@asynccontextmanager
async def _meanwhile(proxy: TcpProxy, seconds: float) -> AsyncIterator[list[int]]:
    """Cut every connection every so many seconds."""
    cuts: list[int] = []

    async def cut() -> None:
        while True:
            await asyncio.sleep(seconds)
            await proxy.cut()
            cuts.append(proxy.accepted)

    task = asyncio.create_task(cut())
    try:
        yield cuts
    finally:
        task.cancel()
        await asyncio.wait([task])


@contextmanager
def _measuring() -> Iterator[Callable[[], int]]:
    """Give a function that returns the bytes in use, without what pytest keeps of the log."""

    def in_use() -> int:
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    logging.disable(logging.CRITICAL)
    tracemalloc.start()
    try:
        yield in_use
    finally:
        tracemalloc.stop()
        logging.disable(logging.NOTSET)


@pytest.mark.parametrize("seed", range(3))
async def test_a_cut_in_the_middle_of_anything_loses_nothing(
    broker: Broker, proxy: TcpProxy, seed: int, record_property: Report
) -> None:
    """F18, short: cut after any number of bytes in either direction, in the middle of frames."""
    chance = random.Random(seed)  # noqa: S311
    queue, publisher = await broker.listen(), broker.publisher(broker.connection(proxy.url))
    messages = _messages(300, streams=20)
    await publisher.publish([new_message()])
    await broker.take(queue)
    failures = 0
    for number in range(0, 300, 50):
        if chance.random() < 0.5:
            proxy.cut_after(up=chance.randrange(1, 40_000))
        else:
            proxy.cut_after(down=chance.randrange(1, 800))
        pending = messages[number : number + 50]
        try:
            outcomes = await publisher.publish(pending)
        except BrokerUnavailableError:
            outcomes = [BrokerUnavailableError()] * 50
        await proxy.heal()
        pending = [m for m, o in zip(pending, outcomes, strict=True) if o is not None]
        failures += bool(pending) + await _relay(publisher, pending)
    assert failures
    _check(messages, await broker.take_ids(queue), record_property)


@pytest.mark.fault
async def test_cutting_every_300_milliseconds_loses_nothing(
    broker: Broker, proxy: TcpProxy, record_property: Report
) -> None:
    """F18."""
    queue, publisher = await broker.listen(), broker.publisher(broker.connection(proxy.url))
    messages = _messages(3000, streams=100)
    proxy.delay(0.002)
    async with _meanwhile(proxy, 0.3) as cuts:
        failures = await _relay(publisher, messages, batch=200)
    print(f"{len(cuts)} cuts, {failures} calls failed")
    assert cuts
    _check(messages, await broker.take_ids(queue), record_property)


async def test_a_silent_broker_is_an_unknown_outcome_in_time(
    broker: Broker, proxy: TcpProxy, record_property: Report
) -> None:
    """F19: the broker has the messages, and its confirmations never arrive."""
    settings = replace(broker.settings, publish_timeout=0.3)
    queue = await broker.listen()
    publisher = broker.publisher(broker.connection(proxy.url), settings=settings)
    await publisher.publish([new_message()])
    await broker.take(queue)
    proxy.blackhole(down=True)
    messages = _messages(20, streams=10)
    async with asyncio.timeout(10):
        outcomes = await publisher.publish(messages)
    assert {type(outcome) for outcome in outcomes} == {BrokerUnavailableError}
    # One of each stream was under way; nothing went behind it.
    first = {str(message.message_id) for message in messages[:10]}
    assert set(await broker.take_ids(queue)) == first
    await proxy.heal()
    await _relay(publisher, messages)
    taken = await broker.take_ids(queue)
    assert set(taken) == {str(message.message_id) for message in messages}
    _check(messages, taken, record_property)


async def test_a_broker_that_is_away_costs_nothing_but_time(
    broker: Broker, proxy: TcpProxy, record_property: Report
) -> None:
    """F20: nothing is sent, nothing piles up, and everything goes out in order afterwards."""
    queue, publisher = await broker.listen(), broker.publisher(broker.connection(proxy.url))
    messages = _messages(200, streams=4)
    await proxy.refuse()

    async def try_often(times: int) -> None:
        for _ in range(times):
            with pytest.raises(BrokerUnavailableError):
                await publisher.publish(messages)
            await asyncio.sleep(0.001)

    with _measuring() as memory:
        await try_often(200)
        before = memory()
        await try_often(400)
        assert memory() - before < 50_000
    await proxy.heal()
    assert await _relay(publisher, messages) < 100
    _check(messages, await broker.take_ids(queue), record_property)


@pytest.mark.fault
async def test_a_killed_broker_has_what_it_confirmed(
    new_rabbitmq_server: Callable[[], RabbitMQServer],
    broker_at: NewBroker,
    record_property: Report,
) -> None:
    """F21: SIGKILL while messages are under way, twice; then a start with its data."""
    server = await asyncio.to_thread(new_rabbitmq_server)
    async with broker_at(server.url) as broker:
        queue = await broker.listen(arguments={"x-queue-type": "quorum"})
        publisher = broker.publisher(broker.connection(timeout=10.0))
        settled = _messages(100, streams=10)
        await _relay(publisher, settled)
        # RabbitMQ 3.10 writes down where the log of a quorum queue is when half a second was
        # quiet; killed before, it starts an empty one.
        await asyncio.sleep(2)
        messages = _messages(3000, streams=100)
        confirmed: list[OutboxMessage] = []
        async with asyncio.TaskGroup() as tasks:
            relay = tasks.create_task(_relay(publisher, messages, confirmed=confirmed))
            for enough in (500, 1500):
                await _until(partial(_has, confirmed, enough))
                await asyncio.to_thread(server.crash)
                await asyncio.to_thread(server.start)
        assert relay.result()
        _check([*settled, *messages], await broker.take_ids(queue), record_property)


@pytest.mark.fault
async def test_a_broker_low_on_memory_blocks_publishing_and_nothing_else(
    new_rabbitmq_server: Callable[[], RabbitMQServer], broker_at: NewBroker
) -> None:
    """F23, G11: publishing fails in its time, health says why, and consuming goes on."""
    server = await asyncio.to_thread(new_rabbitmq_server)
    async with broker_at(server.url) as broker:
        queue, connection = await broker.listen(), broker.connection(timeout=2.0)
        settings = replace(broker.settings, publish_timeout=1.0)
        publisher = broker.publisher(connection, settings=settings)
        health = RabbitMQHealth(connection, publisher=publisher, settings=settings)
        await publisher.publish([new_message()])
        assert (await health.check()).is_healthy
        await asyncio.to_thread(server.control, "set_vm_memory_high_watermark", "absolute", "1")
        [outcome] = await publisher.publish([new_message()])
        assert isinstance(outcome, BrokerUnavailableError)
        status = await health.check()
        assert "did not confirm" in status.problems[0]
        channel = await connection.consuming.channel()
        found = await (await channel.get_queue(queue)).get(no_ack=True, timeout=2)
        assert found is not None
        await asyncio.to_thread(server.control, "set_vm_memory_high_watermark", "0.8")
        await _relay(publisher, [new_message()])
        assert (await health.check()).is_healthy
