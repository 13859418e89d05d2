"""Messages that are handled many at a time."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from cqrs_ddd_core.primitives.exceptions import ConfigurationError
from cqrs_ddd_core.testing.samples import new_message

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.conftest import Broker

    from cqrs_ddd_core.ports.outbox import OutboxMessage

TYPE = "SampleOrderPlaced"


class _Batches:
    """Collects batches; messages in ``refused`` fail so many times, and hold their stream back."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.handled: list[OutboxMessage] = []
        self.tries: Counter[UUID] = Counter()
        self.refused: dict[UUID, int] = {}
        self.gate = asyncio.Event()
        self.gate.set()
        self._more = asyncio.Event()

    async def __call__(self, messages: Sequence[OutboxMessage]) -> Sequence[Exception | None]:
        await self.gate.wait()
        self.sizes.append(len(messages))
        failed = set[str]()
        outcomes = [self._handle(message, failed) for message in messages]
        self._more.set()
        return outcomes

    def _handle(self, message: OutboxMessage, failed: set[str]) -> Exception | None:
        if message.stream in failed:
            return RuntimeError("after a failure")
        self.tries[message.message_id] += 1
        if self.tries[message.message_id] <= self.refused.get(message.message_id, 0):
            failed.add(message.stream)
            return RuntimeError("not yet")
        self.handled.append(message)
        return None

    async def wait_for(self, count: int) -> None:
        async with asyncio.timeout(30):
            while len(self.handled) < count:
                self._more.clear()
                await self._more.wait()


async def test_what_has_arrived_is_one_batch_and_acknowledged_together(broker: Broker) -> None:
    batches = _Batches()
    batches.gate.clear()
    consumer = broker.consumer()
    await consumer.subscribe_batch([TYPE], batches, consumer="suite", batch_size=50)
    await consumer.start()
    messages = [new_message(f"s{number % 7}") for number in range(120)]
    await broker.publisher().publish(messages)
    queue = broker.topology.queues("suite")[0]
    await broker.wait_until_empty(queue)
    batches.gate.set()
    await batches.wait_for(120)
    await consumer.stop()
    assert max(batches.sizes) == 50
    assert len(batches.sizes) <= 5
    assert {one.message_id for one in batches.handled} == {one.message_id for one in messages}
    assert await broker.take_ids(queue) == []


async def test_what_failed_in_a_batch_is_tried_again_and_the_others_are_done(
    broker: Broker,
) -> None:
    batches = _Batches()
    messages = [new_message(f"s{number}") for number in range(60)]
    batches.refused = {messages[5].message_id: 2, messages[30].message_id: 99}
    consumer = broker.consumer()
    await consumer.subscribe_batch([TYPE], batches, consumer="suite")
    await consumer.start()
    await broker.publisher().publish(messages)
    await batches.wait_for(59)
    (letter,) = await broker.letters(1)
    await consumer.stop()
    assert letter.message_id == messages[30].message_id
    assert letter.attempts == 3
    assert batches.tries[messages[5].message_id] == 3
    assert batches.tries.total() == 58 + 3 + 3
    assert await broker.take_ids(broker.topology.queues("suite")[0]) == []


async def test_with_partitions_a_failure_in_a_batch_holds_its_stream(broker: Broker) -> None:
    """Whatever arrives meanwhile, in the same batch or in later ones."""
    batches = _Batches()
    messages = [new_message(f"s{number % 4}") for number in range(200)]
    batches.refused = {messages[8].message_id: 2, messages[41].message_id: 1}
    consumer = broker.consumer(partitions=2)
    await consumer.subscribe_batch([TYPE], batches, consumer="suite", batch_size=20)
    await consumer.start()
    await broker.publisher().publish(messages)
    await batches.wait_for(200)
    await consumer.stop()
    for stream in {message.stream for message in messages}:
        expected = [message for message in messages if message.stream == stream]
        assert [message for message in batches.handled if message.stream == stream] == expected


@pytest.mark.parametrize("flaw", ["raises", "forgets one"])
async def test_a_batch_handler_that_fails_as_a_whole_is_asked_one_by_one(
    broker: Broker, flaw: str
) -> None:
    handled = list[UUID]()
    poison = new_message("poison")

    async def handle(messages: Sequence[OutboxMessage]) -> Sequence[Exception | None]:
        if poison in messages or len(messages) > 1:
            if flaw == "raises":
                raise RuntimeError("no")
            return [None] * (len(messages) - 1) if len(messages) > 1 else [RuntimeError("no")]
        handled.append(messages[0].message_id)
        return [None]

    consumer = broker.consumer()
    await consumer.subscribe_batch([TYPE], handle, consumer="suite")
    messages = [new_message(f"s{number}") for number in range(20)]
    await consumer.start()
    await broker.publisher().publish([*messages[:10], poison, *messages[10:]])
    (letter,) = await broker.letters(1)
    await consumer.stop()
    assert letter.message_id == poison.message_id
    assert sorted(handled) == sorted(message.message_id for message in messages)


async def test_what_cannot_be_read_is_in_no_batch(broker: Broker) -> None:
    """X-2."""
    batches, good = _Batches(), new_message()
    consumer = broker.consumer()
    await consumer.subscribe_batch([TYPE], batches, consumer="suite")
    await consumer.start()
    await broker.put(broker.topology.queues("suite")[0], b"nonsense", {})
    await broker.publisher().publish([good])
    await batches.wait_for(1)
    await broker.letters(1)
    await consumer.stop()
    assert batches.handled == [good]


async def test_stopping_ends_with_the_batch_under_way(broker: Broker) -> None:
    """G10."""
    batches = _Batches()
    batches.gate.clear()
    consumer = broker.consumer()
    await consumer.subscribe_batch([TYPE], batches, consumer="suite", batch_size=10)
    await consumer.start()
    messages = [new_message(f"s{number}") for number in range(100)]
    await broker.publisher().publish(messages)
    queue = broker.topology.queues("suite")[0]
    await broker.wait_until_empty(queue)
    stopping = asyncio.create_task(consumer.stop())
    await asyncio.sleep(0.02)
    batches.gate.set()
    await stopping
    left = await broker.take_ids(queue)
    done = [str(message.message_id) for message in batches.handled]
    assert 1 <= len(done) <= 10
    assert sorted([*done, *left]) == sorted(str(message.message_id) for message in messages)


async def test_a_batch_larger_than_what_may_be_here_is_refused(broker: Broker) -> None:
    with pytest.raises(ConfigurationError, match="prefetch=20"):
        await broker.consumer(prefetch=20).subscribe_batch(
            [TYPE], _Batches(), consumer="suite", batch_size=21
        )
