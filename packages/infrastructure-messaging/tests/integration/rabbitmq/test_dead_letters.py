"""Dead letters: looked at, mended, delivered again, thrown away; and never lost on the way."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from cqrs_ddd_core.primitives.clock import utc_now
from cqrs_ddd_core.primitives.exceptions import MessagingError
from cqrs_ddd_core.primitives.id_generator import new_id
from cqrs_ddd_core.testing.publisher import Received
from cqrs_ddd_core.testing.samples import new_message
from cqrs_ddd_infrastructure_messaging.exceptions import DeadLetterError
from cqrs_ddd_infrastructure_messaging.retry import RetryLadder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.conftest import Broker

    from cqrs_ddd_core.ports.outbox import OutboxMessage
    from cqrs_ddd_infrastructure_messaging.dead_letter import DeadLetter
    from tools.services.proxy import TcpProxy

TYPE = "SampleOrderPlaced"


class _Handler:
    """Refuses everything until it is mended."""

    def __init__(self) -> None:
        self.is_mended = False
        self.received = Received()

    async def __call__(self, message: OutboxMessage) -> None:
        if not self.is_mended and b"mended" not in message.payload:
            raise RuntimeError("no")
        await self.received(message)


async def _buried(
    broker: Broker, messages: Sequence[OutboxMessage], *, partitions: int = 0
) -> Sequence[DeadLetter]:
    """Have messages die one after the other."""
    consumer = broker.consumer(retry=RetryLadder(delays=()), concurrency=1, partitions=partitions)
    await consumer.subscribe([TYPE], _Handler(), consumer="suite")
    await consumer.start()
    publisher = broker.publisher()
    for message in messages:
        await publisher.publish([message])
    letters = await broker.letters(len(messages))
    await consumer.stop()
    return letters


async def test_letters_are_listed_in_the_order_in_which_they_died(broker: Broker) -> None:
    messages = [new_message(f"s{number}") for number in range(12)]
    await _buried(broker, messages)
    dead_letters = broker.dead_letters()
    letters = await dead_letters.list("suite")
    for _ in range(25):
        # Again and again: looking does not change them, nor their order.
        letters = await dead_letters.list("suite")
        assert [letter.message_id for letter in letters] == [one.message_id for one in messages]
    first = await dead_letters.list("suite", limit=5)
    assert [letter.message_id for letter in first] == [one.message_id for one in messages[:5]]
    assert len({letter.letter_id for letter in letters}) == 12
    assert abs(letters[0].died_at - utc_now()) < timedelta(minutes=5)


async def test_a_letter_is_found_by_its_id(broker: Broker) -> None:
    letters = await _buried(broker, [new_message() for _ in range(3)])
    dead_letters = broker.dead_letters()
    assert await dead_letters.get("suite", letters[1].letter_id) == letters[1]
    assert await dead_letters.get("suite", new_id()) is None


async def test_an_unknown_consumer_has_no_letters(broker: Broker) -> None:
    dead_letters = broker.dead_letters()
    assert list(await dead_letters.list("nobody")) == []
    assert await dead_letters.get("nobody", new_id()) is None
    assert await dead_letters.replay_all("nobody") == 0


@pytest.mark.parametrize("partitions", [0, 3])
async def test_replayed_messages_come_in_order_to_their_consumer_alone(
    broker: Broker, partitions: int
) -> None:
    messages = [new_message(f"s{number % 3}") for number in range(18)]
    await _buried(broker, messages, partitions=partitions)
    mended, other = _Handler(), Received()
    mended.is_mended = True
    consumer = broker.consumer(partitions=partitions)
    await consumer.subscribe([TYPE], mended, consumer="suite")
    await consumer.start()
    bystander = broker.consumer()
    await bystander.subscribe([TYPE], other, consumer="bystander")
    await bystander.start()
    dead_letters = broker.dead_letters()
    assert await dead_letters.replay_all("suite") == 18
    received = await mended.received.wait_for(18)
    for stream in {message.stream for message in messages}:
        expected = [message for message in messages if message.stream == stream]
        assert [message for message in received if message.stream == stream] == expected
    assert list(await dead_letters.list("suite")) == []
    await asyncio.gather(consumer.stop(), bystander.stop())
    assert other.messages == []


async def test_chosen_letters_are_replayed_with_fresh_tries_and_the_others_stay(
    broker: Broker,
) -> None:
    messages = [new_message(f"s{number}") for number in range(6)]
    letters = await _buried(broker, messages)
    tries = Received()

    async def refuse(message: OutboxMessage) -> None:
        await tries(message)
        raise RuntimeError("still no")

    consumer = broker.consumer()
    await consumer.subscribe([TYPE], refuse, consumer="suite")
    await consumer.start()
    dead_letters = broker.dead_letters()
    chosen = [letters[4].letter_id, letters[1].letter_id, new_id()]
    assert await dead_letters.replay("suite", chosen) == 2
    await tries.wait_for(6)
    await broker.letters(6)
    await consumer.stop()
    left = await dead_letters.list("suite")
    assert [letter.message_id for letter in left[:4]] == [
        messages[number].message_id for number in (0, 2, 3, 5)
    ]
    assert {letter.message_id for letter in left[4:]} == {
        messages[number].message_id for number in (1, 4)
    }
    assert {letter.attempts for letter in left[4:]} == {3}
    # Who dies again is another letter.
    assert not {letter.letter_id for letter in left[4:]} & {one.letter_id for one in letters}


async def test_a_letter_is_mended_and_delivered(broker: Broker) -> None:
    message = new_message()
    (letter,) = await _buried(broker, [message])
    handler = _Handler()
    consumer = broker.consumer()
    await consumer.subscribe([TYPE], handler, consumer="suite")
    await consumer.start()
    dead_letters = broker.dead_letters()
    assert await dead_letters.replay("suite", [letter.letter_id], payload=b'{"mended": 1}') == 1
    (received,) = await handler.received.wait_for(1)
    await consumer.stop()
    assert received.payload == b'{"mended": 1}'
    assert received.message_id == message.message_id
    assert received.headers == message.headers


async def test_one_payload_is_not_put_into_several_messages(broker: Broker) -> None:
    letters = await _buried(broker, [new_message(), new_message()])
    ids = [letter.letter_id for letter in letters]
    with pytest.raises(DeadLetterError):
        await broker.dead_letters().replay("suite", ids, payload=b"{}")
    assert len(await broker.letters(2)) == 2


async def test_discarded_letters_are_gone_and_no_others(broker: Broker) -> None:
    letters = await _buried(broker, [new_message() for _ in range(5)])
    dead_letters = broker.dead_letters()
    ids = [letters[number].letter_id for number in (0, 3)]
    assert await dead_letters.discard("suite", ids) == 2
    assert await dead_letters.discard("suite", ids) == 0
    left = await dead_letters.list("suite")
    assert [letter.letter_id for letter in left] == [letters[n].letter_id for n in (1, 2, 4)]


async def test_what_could_not_be_read_can_be_mended_by_its_letter(broker: Broker) -> None:
    """F28: it has no id of its own to be named by."""
    consumer = broker.consumer()
    await consumer.subscribe([TYPE], Received(), consumer="suite")
    await consumer.start()
    queue = broker.topology.queues("suite")[0]
    await broker.put(queue, b"one", {})
    await broker.put(queue, b"two", {})
    letters = await broker.letters(2)
    await consumer.stop()
    assert [letter.message_id for letter in letters] == [None, None]
    assert {letter.body for letter in letters} == {b"one", b"two"}
    dead_letters = broker.dead_letters()
    assert await dead_letters.discard("suite", [letters[0].letter_id]) == 1
    assert list(await dead_letters.list("suite")) == [letters[1]]


async def test_a_replay_that_is_cut_off_loses_nothing(broker: Broker, proxy: TcpProxy) -> None:
    """G9: a letter is removed after its message is confirmed; doubles at most."""
    messages = [new_message(f"s{number % 5}") for number in range(200)]
    await _buried(broker, messages)
    queue = broker.topology.queues("suite")[0]
    dead_letters = broker.dead_letters(broker.connection(proxy.url))
    await dead_letters.list("suite", limit=1)
    proxy.cut_after(up=30_000)
    with pytest.raises(MessagingError):
        await dead_letters.replay_all("suite")
    await proxy.heal()
    left = {
        str(letter.message_id) for letter in await broker.dead_letters().list("suite", limit=500)
    }
    replayed = await broker.take_ids(queue)
    expected = {str(message.message_id) for message in messages}
    assert left
    assert replayed
    assert left | set(replayed) == expected
    assert len(replayed) + len(left) <= len(expected) + 1


async def test_a_letter_whose_queue_is_gone_stays(broker: Broker) -> None:
    (letter,) = await _buried(broker, [new_message()])
    async with broker.channel() as channel:
        await channel.queue_delete(broker.topology.queues("suite")[0])
    with pytest.raises(MessagingError):
        await broker.dead_letters().replay("suite", [letter.letter_id])
    assert list(await broker.dead_letters().list("suite")) == [letter]
