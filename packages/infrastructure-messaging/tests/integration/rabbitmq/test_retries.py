"""What becomes of messages that cannot be handled, and of those behind them."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from itertools import pairwise
from time import monotonic
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from cqrs_ddd_core.primitives.exceptions import (
    ConfigurationError,
    SchemaVersionError,
    SerializationError,
    UnknownEventTypeError,
)
from cqrs_ddd_core.testing.publisher import Received
from cqrs_ddd_core.testing.samples import new_message
from cqrs_ddd_infrastructure_messaging import EnvelopeSerializer, MessageLimits
from cqrs_ddd_infrastructure_messaging.dead_letter import DeathReason
from cqrs_ddd_infrastructure_messaging.retry import RetryLadder

if TYPE_CHECKING:
    from tests.conftest import Broker

    from cqrs_ddd_core.ports.outbox import OutboxMessage

TYPE = "SampleOrderPlaced"


def _queue(broker: Broker) -> str:
    return broker.topology.queues("suite")[0]


class _Failing:
    """Fails the first so many tries of some messages."""

    def __init__(self, *failures: tuple[OutboxMessage, int]) -> None:
        self.failures = {message.message_id: count for message, count in failures}
        self.tries: defaultdict[UUID, list[float]] = defaultdict(list)
        self.received = Received()

    async def __call__(self, message: OutboxMessage) -> None:
        tries = self.tries[message.message_id]
        tries.append(monotonic())
        if len(tries) <= self.failures.get(message.message_id, 0):
            raise RuntimeError("not yet")
        await self.received(message)


async def test_a_failing_message_waits_on_the_ladder_and_holds_nobody_up(broker: Broker) -> None:
    """X-1, F32: exactly as many tries, each after its delay, none of them in a consumer's slot."""
    failing, others = new_message("a"), [new_message(f"b{n}") for n in range(50)]
    handler = _Failing((failing, 3))
    ladder = RetryLadder(delays=(0.2, 0.4, 0.2))
    consumer = broker.consumer(retry=ladder, concurrency=1, prefetch=1)
    await consumer.subscribe([TYPE], handler, consumer="suite")
    await consumer.start()
    await broker.publisher().publish([failing, *others])
    assert (await handler.received.wait_for(51))[-1] == failing
    await consumer.stop()
    tries = handler.tries.pop(failing.message_id)
    waits = [later - sooner for sooner, later in pairwise(tries)]
    assert [wait >= delay for wait, delay in zip(waits, ladder.delays, strict=True)] == [True] * 3
    assert all(len(once) == 1 for once in handler.tries.values())


async def test_poison_becomes_dead_letters_and_everything_else_is_handled(broker: Broker) -> None:
    """X-1: more poison than there are slots, and each is tried as often as said, not for ever."""
    messages = [new_message(f"s{n}") for n in range(100)]
    poison = messages[:50]
    handler = _Failing(*((message, 99) for message in poison))
    consumer = broker.consumer(concurrency=2, prefetch=4)
    await consumer.subscribe([TYPE], handler, consumer="suite")
    await consumer.start()
    await broker.publisher().publish(messages)
    letters = await broker.letters(50)
    await handler.received.wait_for(50)
    await consumer.stop()
    assert {letter.message_id for letter in letters} == {one.message_id for one in poison}
    assert {one.message_id for one in handler.received.messages} == {
        one.message_id for one in messages[50:]
    }
    assert {len(handler.tries[one.message_id]) for one in poison} == {3}


async def test_a_dead_letter_says_what_happened(broker: Broker) -> None:
    message = new_message()
    handler = _Failing((message, 99))
    consumer = broker.consumer()
    await consumer.subscribe([TYPE], handler, consumer="suite")
    await consumer.start()
    await broker.publisher().publish([message])
    (letter,) = await broker.letters(1)
    await consumer.stop()
    assert letter.message_id == message.message_id
    assert (letter.consumer, letter.reason, letter.attempts) == (
        "suite",
        DeathReason.EXHAUSTED,
        3,
    )
    assert letter.error == "RuntimeError: not yet"
    assert letter.body == message.payload
    assert letter.headers["cqrs-topic"].startswith("event.test.SampleOrderPlaced.")


@pytest.mark.parametrize(
    "error",
    [
        UnknownEventTypeError("SampleOrderPlaced"),
        SchemaVersionError("SampleOrderPlaced", 9, 2),
        SerializationError("no"),
    ],
)
async def test_what_no_try_will_heal_is_dead_at_once(broker: Broker, error: Exception) -> None:
    """F29: and the next message is handled."""
    hopeless, good, tries = new_message("a"), new_message("a"), Counter[UUID]()
    received = Received()

    async def handle(message: OutboxMessage) -> None:
        tries[message.message_id] += 1
        if message == hopeless:
            raise error
        await received(message)

    consumer = broker.consumer(retry=RetryLadder())
    await consumer.subscribe([TYPE], handle, consumer="suite")
    await consumer.start()
    await broker.publisher().publish([hopeless, good])
    assert await received.wait_for(1) == [good]
    (letter,) = await broker.letters(1)
    await consumer.stop()
    assert (letter.reason, letter.attempts) == (DeathReason.HOPELESS, 1)
    assert tries[hopeless.message_id] == 1


GOOD = {
    "ce-specversion": "1.0",
    "ce-id": "01890a5d-ac96-774b-bcce-b302099a8057",
    "ce-source": "/elsewhere",
    "ce-type": TYPE,
    "ce-time": "2026-01-01T00:00:00Z",
    "ce-subject": "Order-1",
}


def _without(name: str) -> dict[str, str]:
    return {key: value for key, value in GOOD.items() if key != name}


@pytest.mark.parametrize(
    "body, headers, content_type",
    [
        (b"{not json", GOOD, "application/json"),
        (b"\xff\xfe", GOOD, "application/json"),
        (b"[1, 2]", GOOD, "application/json"),
        (b'{"a": NaN}', GOOD, "application/json"),
        (b'{"a": 1, "a": 2}', GOOD, "application/json"),
        (b"{}", GOOD, "application/x-python-pickle"),
        (b"{}", GOOD, None),
        (b"{}", _without("ce-id"), "application/json"),
        (b"{}", {**GOOD, "ce-id": "o-1"}, "application/json"),
        (b"{}", _without("ce-type"), "application/json"),
        (b"{}", {**GOOD, "ce-attempt": "many"}, "application/json"),
        (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, GOOD, "application/json"),
        (b'{"a": "' + b"x" * 1_000 + b'"}', GOOD, "application/json"),
        (b"", {}, None),
    ],
)
async def test_what_cannot_be_read_is_dead_at_once_with_the_reason(
    broker: Broker, body: bytes, headers: dict[str, str], content_type: str | None
) -> None:
    """X-2, F28, F30: refused before it is parsed, and the next message is handled at once."""
    received, good = Received(), new_message("Order-1")
    serializer = EnvelopeSerializer(source="/suite", limits=MessageLimits(max_bytes=1_000))
    consumer = broker.consumer(
        retry=RetryLadder(), serializer=serializer, prefetch=1, concurrency=1
    )
    await consumer.subscribe([TYPE], received, consumer="suite")
    await consumer.start()
    await broker.put(_queue(broker), body, headers, content_type=content_type)
    await broker.publisher().publish([good])
    assert await received.wait_for(1) == [good]
    (letter,) = await broker.letters(1)
    await consumer.stop()
    assert (letter.reason, letter.attempts, letter.body) == (DeathReason.MALFORMED, 1, body)
    assert letter.error.startswith("MalformedMessageError: ")
    assert {name: letter.headers[name] for name in headers} == headers


async def test_a_copy_goes_only_where_it_belongs(broker: Broker) -> None:
    """The broker would route a copy to whatever these headers name, and check the user."""
    received = Received()
    consumer = broker.consumer()
    await consumer.subscribe([TYPE], received, consumer="suite")
    await consumer.start()
    headers: dict[str, Any] = {**GOOD, "CC": ["nobody"], "x-death": "nonsense"}
    await broker.put(
        _queue(broker), b"no json", headers, content_type="application/json", user_id="guest"
    )
    (letter,) = await broker.letters(1)
    await consumer.stop()
    assert letter.message_id == UUID(GOOD["ce-id"])
    assert "CC" not in letter.headers
    assert received.messages == []


async def test_headers_of_any_size_fit_into_a_dead_letter(broker: Broker) -> None:
    """One frame holds all headers; a copy with more than fit would end the connection."""
    consumer = broker.consumer()
    await consumer.subscribe([TYPE], Received(), consumer="suite")
    await consumer.start()
    headers = {**GOOD, "huge": "x" * 125_000}
    await broker.put(_queue(broker), b"{}", headers, content_type="application/json")
    (letter,) = await broker.letters(1)
    await consumer.stop()
    assert letter.message_id == UUID(GOOD["ce-id"])
    assert letter.headers["huge"] == "x" * 1_000


async def test_a_type_this_process_did_not_ask_for_never_reaches_its_handler(
    broker: Broker,
) -> None:
    """X-5: two releases share a name; what the old one does not know waits for the new one."""
    old, new = Received(), Received()
    first = broker.consumer(broker.connection(), retry=RetryLadder(delays=(0.05,) * 8))
    await first.subscribe(["A"], old, consumer="suite")
    await first.start()
    second = broker.consumer(broker.connection(), retry=RetryLadder(delays=(0.05,) * 8))
    await second.subscribe(["A", "B"], new, consumer="suite")
    await second.start()
    messages = [new_message(f"s{n}", message_type="B") for n in range(20)]
    await broker.publisher().publish(messages)
    await new.wait_for(20)
    await asyncio.gather(first.stop(), second.stop())
    assert old.messages == []
    assert {one.message_id for one in new.messages} == {one.message_id for one in messages}


async def test_a_type_nobody_asked_for_ends_in_the_dead_letters(broker: Broker) -> None:
    """F29."""
    received, good = Received(), new_message("a", message_type="A")
    stranger = new_message("b", message_type="B")
    consumer = broker.consumer(patterns=["event.test.*"])
    await consumer.subscribe(["A"], received, consumer="suite")
    await consumer.start()
    await broker.publisher().publish([stranger, good])
    assert await received.wait_for(1) == [good]
    (letter,) = await broker.letters(1)
    await consumer.stop()
    assert letter.message_id == stranger.message_id
    assert letter.error.startswith("NotSubscribedError: ")


async def test_other_types_of_a_shared_topic_can_be_skipped(broker: Broker) -> None:
    received, good = Received(), new_message("a", message_type="A")
    consumer = broker.consumer(patterns=["event.test.*"], skip_other_types=True)
    await consumer.subscribe(["A"], received, consumer="suite")
    await consumer.start()
    await broker.publisher().publish([new_message("b", message_type="B"), good])
    assert await received.wait_for(1) == [good]
    await consumer.stop()
    assert await broker.count(_queue(broker)) == 0
    assert await broker.count(broker.topology.dead_queue("suite")) == 0


async def test_one_name_with_other_types_is_refused(broker: Broker) -> None:
    """X-5: messages would go round-robin to the wrong handler."""
    connection, received = broker.connection(), Received()
    await broker.consumer(connection).subscribe(["A"], received, consumer="suite")
    with pytest.raises(ConfigurationError, match="use another name"):
        await broker.consumer(connection).subscribe(["B"], received, consumer="suite")
    same = broker.consumer(connection)
    await same.subscribe(["A"], received, consumer="suite")
    with pytest.raises(ConfigurationError, match="subscribed already"):
        await same.subscribe(["A"], received, consumer="suite")


async def test_with_partitions_a_stream_waits_for_its_failing_message(broker: Broker) -> None:
    """Nothing overtakes it, other streams go on, and the stream goes on when it is dead."""
    first, poison, last = (new_message("a") for _ in range(3))
    others = [new_message(f"b{n}") for n in range(20)]
    order = list[UUID]()
    handler = _Failing((first, 2), (poison, 99))

    async def handle(message: OutboxMessage) -> None:
        order.append(message.message_id)
        await handler(message)

    consumer = broker.consumer(partitions=2, concurrency=1)
    await consumer.subscribe([TYPE], handle, consumer="suite")
    await consumer.start()
    await broker.publisher().publish([first, poison, last, *others])
    await handler.received.wait_for(22)
    await broker.letters(1)
    await consumer.stop()
    held = {one.message_id for one in (first, poison, last)}
    assert [one for one in order if one in held] == [
        *[first.message_id] * 3,
        *[poison.message_id] * 3,
        last.message_id,
    ]
    # The others did not wait for the holds.
    assert max(map(order.index, (one.message_id for one in others))) < order.index(last.message_id)


async def test_a_hold_longer_than_the_broker_waits_is_refused(broker: Broker) -> None:
    """It would take the message away, and the ladder would begin again for ever."""
    with pytest.raises(ConfigurationError, match="half an hour"):
        broker.consumer(partitions=1, retry=RetryLadder(delays=(900, 900)))


async def test_a_handler_that_cancels_itself_has_failed(broker: Broker) -> None:
    """Its message is not acknowledged, and its stream is not stuck."""
    message, behind, received = new_message("a"), new_message("a"), Received()

    async def handle(delivered: OutboxMessage) -> None:
        if delivered == message:
            raise asyncio.CancelledError
        await received(delivered)

    consumer = broker.consumer()
    await consumer.subscribe([TYPE], handle, consumer="suite")
    await consumer.start()
    await broker.publisher().publish([message, behind])
    assert await received.wait_for(1) == [behind]
    (letter,) = await broker.letters(1)
    await consumer.stop()
    assert (letter.message_id, letter.attempts) == (message.message_id, 3)
