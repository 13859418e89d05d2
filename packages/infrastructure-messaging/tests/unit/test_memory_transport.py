"""A transport that loses, doubles, delays and reorders when it is told to."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import pytest

from cqrs_ddd_core.ports.outbox import OutboxMessage
from cqrs_ddd_core.primitives.exceptions import BrokerUnavailableError, ConfigurationError
from cqrs_ddd_core.testing.samples import new_message
from cqrs_ddd_infrastructure_messaging import EnvelopeSerializer
from cqrs_ddd_infrastructure_messaging.dead_letter import DeathReason
from cqrs_ddd_infrastructure_messaging.exceptions import DeadLetterError
from cqrs_ddd_infrastructure_messaging.memory import FaultPlan, InMemoryTransport
from cqrs_ddd_infrastructure_messaging.retry import RetryLadder

TYPE = "SampleOrderPlaced"


class _Ids:
    """Notes what is delivered, and fails as often as it is told to."""

    def __init__(self, failures: int = 0) -> None:
        self.ids: list[UUID] = []
        self.failures = failures

    async def __call__(self, message: OutboxMessage) -> None:
        self.ids.append(message.message_id)
        if self.failures:
            self.failures -= 1
            raise RuntimeError("not now")


async def _subscribed(transport: InMemoryTransport, handler: _Ids, name: str = "suite") -> None:
    consumer = transport.new_consumer()
    await consumer.subscribe([TYPE], handler, consumer=name)
    await consumer.start()


def _ids(messages: Sequence[OutboxMessage]) -> list[UUID]:
    return [message.message_id for message in messages]


async def _delivered(plan: FaultPlan, messages: Sequence[OutboxMessage]) -> list[UUID]:
    transport, received = InMemoryTransport(plan), _Ids()
    await _subscribed(transport, received)
    await transport.publisher.publish(messages)
    await transport.drain()
    return received.ids


MESSAGES = [new_message(f"Order-{number % 5}") for number in range(50)]


async def test_without_faults_everything_arrives_once_in_order() -> None:
    assert await _delivered(FaultPlan(), MESSAGES) == _ids(MESSAGES)


async def test_chosen_messages_are_lost() -> None:
    lost = MESSAGES[7]
    found = await _delivered(FaultPlan(lose=lambda message: message == lost), MESSAGES)
    assert found == [one for one in _ids(MESSAGES) if one != lost.message_id]


async def test_every_message_can_be_doubled_and_shuffled() -> None:
    """F25: the same plan does the same again, another seed something else."""
    plan = FaultPlan(double=1, reorder=1, seed=3)
    found = await _delivered(plan, MESSAGES)
    assert sorted(found) == sorted(_ids(MESSAGES) * 2)
    assert found != sorted(found)
    assert await _delivered(plan, MESSAGES) == found
    assert await _delivered(FaultPlan(double=1, reorder=1, seed=4), MESSAGES) != found


async def test_a_delayed_message_comes_behind_the_others() -> None:
    found = await _delivered(FaultPlan(delay=lambda message: message == MESSAGES[0]), MESSAGES)
    assert found == _ids([*MESSAGES[1:], MESSAGES[0]])


async def test_a_share_of_the_messages_is_met_by_chance() -> None:
    lost = len(MESSAGES) - len(await _delivered(FaultPlan(lose=0.5, seed=1), MESSAGES))
    assert 10 < lost < 40


async def test_a_refused_message_holds_back_its_stream_and_is_not_delivered() -> None:
    first, second, other = new_message("a"), new_message("a"), new_message("b")
    transport, received = InMemoryTransport(FaultPlan(refuse=lambda one: one == first)), _Ids()
    await _subscribed(transport, received)
    outcomes = await transport.publisher.publish([first, second, other])
    assert isinstance(outcomes[0], BrokerUnavailableError)
    assert outcomes[1] is outcomes[0]
    assert outcomes[2] is None
    await transport.drain()
    assert received.ids == [other.message_id]


async def test_a_message_whose_confirmation_is_lost_is_delivered() -> None:
    transport, received = InMemoryTransport(FaultPlan(unconfirmed=1)), _Ids()
    await _subscribed(transport, received)
    [outcome] = await transport.publisher.publish([message := new_message()])
    assert isinstance(outcome, BrokerUnavailableError)
    await transport.drain()
    assert received.ids == [message.message_id]


async def test_retries_take_the_time_of_the_ladder_and_nobody_waits_for_it() -> None:
    transport, received = InMemoryTransport(retry=RetryLadder(delays=(60, 600))), _Ids(failures=2)
    began = transport.clock.now()
    await _subscribed(transport, received)
    await transport.publisher.publish([message := new_message()])
    await transport.drain()
    assert received.ids == [message.message_id] * 3
    assert transport.clock.now() - began == timedelta(seconds=660)


async def test_time_can_stand_still_until_a_test_moves_it() -> None:
    transport = InMemoryTransport(retry=RetryLadder(delays=(60,)), passes_time=False)
    received = _Ids(failures=1)
    await _subscribed(transport, received)
    await transport.publisher.publish([new_message()])
    await transport.drain()
    transport.advance(59)
    await transport.drain()
    assert len(received.ids) == 1
    transport.advance(1)
    await transport.drain()
    assert len(received.ids) == 2


async def test_messages_wait_for_a_consumer_that_is_stopped() -> None:
    transport, received = InMemoryTransport(), _Ids()
    consumer = transport.new_consumer()
    await consumer.subscribe([TYPE], received, consumer="suite")
    await transport.publisher.publish([message := new_message()])
    await transport.drain()
    assert received.ids == []
    await consumer.start()
    await transport.drain()
    assert received.ids == [message.message_id]


async def test_one_that_fails_a_batch_is_found_and_the_others_are_handled() -> None:
    transport, handled = InMemoryTransport(retry=RetryLadder(delays=())), list[UUID]()
    bad = MESSAGES[3]

    async def handle(messages: Sequence[OutboxMessage]) -> list[None]:
        if bad in messages:
            raise RuntimeError("bad")
        handled.extend(_ids(messages))
        return [None] * len(messages)

    consumer = transport.new_consumer()
    await consumer.subscribe_batch([TYPE], handle, consumer="suite", batch_size=10)
    await transport.publisher.publish(MESSAGES)
    await consumer.start()
    await transport.drain()
    assert handled == [one for one in _ids(MESSAGES) if one != bad.message_id]
    [letter] = await transport.dead_letters.list("suite")
    assert (letter.message_id, letter.reason) == (bad.message_id, DeathReason.EXHAUSTED)


async def test_a_cancelled_batch_is_delivered_again() -> None:
    """G10: what was not handled waits for the next consumer."""
    transport, received, began = InMemoryTransport(), _Ids(), asyncio.Event()
    cancelled = transport.new_consumer()

    async def cancel(messages: Sequence[OutboxMessage]) -> list[None]:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        began.set()
        await asyncio.sleep(0)
        return [None] * len(messages)

    await cancelled.subscribe_batch([TYPE], cancel, consumer="suite", batch_size=10)
    await transport.publisher.publish(MESSAGES[:5])
    await cancelled.start()
    await began.wait()
    await cancelled.stop()
    await _subscribed(transport, received)
    await transport.drain()
    assert received.ids == _ids(MESSAGES[:5])


async def test_a_letter_is_replayed_with_another_payload() -> None:
    transport = InMemoryTransport(retry=RetryLadder(delays=()))
    payloads: list[bytes] = []

    async def handle(message: OutboxMessage) -> None:
        payloads.append(message.payload)
        if message.payload == b'{"bad":1}':
            raise RuntimeError("bad")

    consumer = transport.new_consumer()
    await consumer.subscribe([TYPE], handle, consumer="suite")
    await consumer.start()
    await transport.publisher.publish([new_message(payload=b'{"bad":1}') for _ in range(2)])
    await transport.drain()
    first, second = await transport.dead_letters.list("suite")
    ids = [first.letter_id, second.letter_id]
    with pytest.raises(DeadLetterError, match="one letter"):
        await transport.dead_letters.replay("suite", ids, payload=b"{}")
    assert await transport.dead_letters.replay("suite", ids[:1], payload=b'{"good":1}') == 1
    await transport.drain()
    assert payloads[2:] == [b'{"good":1}']
    assert await transport.dead_letters.get("suite", ids[0]) is None
    assert await transport.dead_letters.discard("suite", ids) == 1
    assert list(await transport.dead_letters.list("suite")) == []


async def test_bytes_of_a_stranger_that_cannot_be_read_are_a_letter() -> None:
    """F28: they reach no handler, and what follows is handled at once."""
    transport, received = InMemoryTransport(), _Ids()
    await _subscribed(transport, received)
    body, headers = EnvelopeSerializer(source="/elsewhere").encode(good := new_message())
    transport.inject("suite", b"{", headers)
    transport.inject("suite", body, {key: headers[key] for key in headers if key != "ce-id"})
    transport.inject("suite", body, headers)
    await transport.drain()
    assert received.ids == [good.message_id]
    letters = await transport.dead_letters.list("suite")
    assert [letter.message_id for letter in letters] == [good.message_id, None]
    assert {letter.reason for letter in letters} == {DeathReason.MALFORMED}


@pytest.mark.parametrize("chance", [1.1, -0.1])
def test_a_plan_that_makes_no_sense_is_refused(chance: float) -> None:
    with pytest.raises(ConfigurationError):
        FaultPlan(lose=chance)
    with pytest.raises(ConfigurationError):
        FaultPlan(delay_seconds=-1)
