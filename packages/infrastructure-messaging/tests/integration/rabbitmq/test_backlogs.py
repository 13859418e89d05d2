"""Much to do, and large things: the memory of a consumer does not grow with them."""

from __future__ import annotations

import asyncio
import gc
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cqrs_ddd_core.testing.publisher import Received
from cqrs_ddd_core.testing.samples import new_message
from cqrs_ddd_infrastructure_messaging.dead_letter import DeathReason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.conftest import Broker

    from cqrs_ddd_core.ports.outbox import OutboxMessage

TYPE = "SampleOrderPlaced"
_MEGABYTE = 1_000_000


async def test_a_slow_consumer_holds_no_more_than_it_may(broker: Broker) -> None:
    """F33: the rest waits at the broker, for whoever else has time."""
    may_end, begun = asyncio.Event(), list[str]()

    async def wait(message: OutboxMessage) -> None:
        begun.append(message.stream)
        await may_end.wait()

    consumer = broker.consumer(prefetch=20, concurrency=5)
    await consumer.subscribe([TYPE], wait, consumer="suite")
    await consumer.start()
    await broker.publisher().publish([new_message(f"s{number}") for number in range(300)])
    queue = broker.topology.queues("suite")[0]
    async with asyncio.timeout(30):
        while await broker.count(queue) > 280 or len(begun) < 5:  # noqa: ASYNC110 - no broker tells
            await asyncio.sleep(0.02)
    other = Received()
    quick = broker.consumer()
    await quick.subscribe([TYPE], other, consumer="suite")
    await quick.start()
    await other.wait_for(280)
    assert len(begun) == 5
    may_end.set()
    await asyncio.gather(consumer.stop(), quick.stop())
    assert len(other.messages) == 280
    assert await broker.count(queue) == 300 - 280 - len(begun)


@pytest.mark.slow
@pytest.mark.parametrize("batch_size", [0, 100])
async def test_memory_is_flat_while_a_large_backlog_is_worked_off(
    broker: Broker, batch_size: int
) -> None:
    """F33: a hundred thousand messages behind a slow consumer."""
    count = 100_000
    publisher, done = broker.publisher(), asyncio.Event()
    handled, memory = 0, list[int]()

    async def handle(_: OutboxMessage) -> None:
        nonlocal handled
        await asyncio.sleep(0.0005)
        handled += 1
        if handled % 10_000 == 0:
            memory.append(_resident_bytes())
        if handled == count:
            done.set()

    async def handle_batch(messages: Sequence[OutboxMessage]) -> Sequence[Exception | None]:
        for message in messages:
            await handle(message)
        return [None] * len(messages)

    consumer = broker.consumer(prefetch=200)
    if batch_size:
        await consumer.subscribe_batch(
            [TYPE], handle_batch, consumer="suite", batch_size=batch_size
        )
    else:
        await consumer.subscribe([TYPE], handle, consumer="suite")
    await consumer.start()
    await consumer.stop()
    payload = b'{"text": "' + b"x" * 1_000 + b'"}'
    for start in range(0, count, 1_000):
        part = [new_message(f"s{start + n}", payload=payload) for n in range(1_000)]
        assert set(await publisher.publish(part)) == {None}
    await consumer.start()
    async with asyncio.timeout(600):
        await done.wait()
    await consumer.stop()
    assert max(memory[1:]) - memory[1] < 20 * _MEGABYTE


@pytest.mark.slow
async def test_bodies_of_fifty_megabytes_are_refused_unread(broker: Broker) -> None:
    """F30: each is a dead letter, the next message is handled, and memory holds a few at most."""
    received, memory = Received(), list[int]()
    consumer = broker.consumer(prefetch=1, concurrency=1)
    await consumer.subscribe([TYPE], received, consumer="suite")
    await consumer.start()
    publisher, queue = broker.publisher(), broker.topology.queues("suite")[0]
    for number in range(8):
        await broker.put(queue, b'{"a": "' + b"x" * (50 * _MEGABYTE) + b'"}', {})
        await publisher.publish([new_message()])
        await received.wait_for(number + 1)
        # The driver leaves closed connections of this test in cycles.
        gc.collect()
        memory.append(_resident_bytes())
    await consumer.stop()
    # A writer of the driver keeps its last frame, so two or three of them may be there.
    assert max(memory[1:]) - memory[0] < 150 * _MEGABYTE
    letters = await broker.letters(8)
    assert {letter.reason for letter in letters} == {DeathReason.MALFORMED}
    assert {len(letter.body) > 50 * _MEGABYTE for letter in letters} == {True}


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
