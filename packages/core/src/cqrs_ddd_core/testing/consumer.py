"""What every consumer must do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from cqrs_ddd_core.ports.consumer import IMessageConsumer, MessageHandler
from cqrs_ddd_core.ports.outbox import OutboxMessage
from cqrs_ddd_core.ports.publisher import IMessagePublisher
from cqrs_ddd_core.testing.conformance import Conformance
from cqrs_ddd_core.testing.publisher import Received
from cqrs_ddd_core.testing.samples import new_message

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["ConsumerConformance", "ConsumerSubject"]


@dataclass(frozen=True)
class ConsumerSubject:
    """Consumers and a publisher of one broker.

    Attributes:
        new_consumer: Makes a consumer; the suite starts and stops it.
        max_attempts: How often a message is delivered before it becomes a dead letter; at least 3.
        dead_letters: Returns the dead letters of a consumer name.
    """

    new_consumer: Callable[[], IMessageConsumer]
    publisher: IMessagePublisher
    max_attempts: int
    dead_letters: Callable[[str], Awaitable[Sequence[OutboxMessage]]]


class ConsumerConformance(Conformance):
    """Delivery, redelivery, dead letters and stopping."""

    @pytest.fixture
    def subject(self) -> ConsumerSubject:
        raise NotImplementedError("yield a ConsumerSubject")

    async def test_a_consumer_receives_the_types_it_asked_for(
        self, subject: ConsumerSubject
    ) -> None:
        received = Received()
        wanted = [new_message(message_type="A"), new_message(message_type="B")]
        async with _consuming(subject, received, types=("A", "B")):
            await subject.publisher.publish([new_message(message_type="C"), *wanted])
            assert await received.wait_for(2) == wanted

    async def test_each_consumer_name_receives_a_message(self, subject: ConsumerSubject) -> None:
        one, two, message = Received(), Received(), new_message()
        async with _consuming(subject, one, name="one"), _consuming(subject, two, name="two"):
            await subject.publisher.publish([message])
            assert await one.wait_for(1) == await two.wait_for(1) == [message]

    async def test_consumers_of_one_name_share_the_messages(self, subject: ConsumerSubject) -> None:
        received = Received()
        messages = [new_message(f"Order-{number}") for number in range(20)]
        async with _consuming(subject, received), _consuming(subject, received):
            await subject.publisher.publish(messages)
            await received.wait_for(20)
        assert sorted(_ids(received.messages)) == sorted(_ids(messages))

    async def test_a_message_that_fails_is_delivered_again(self, subject: ConsumerSubject) -> None:
        """C-10, X-4: an error is never swallowed."""
        received, tries, message = Received(), list[UUID](), new_message()

        async def fail_first(delivered: OutboxMessage) -> None:
            tries.append(delivered.message_id)
            if len(tries) < subject.max_attempts:
                raise _Refused
            await received(delivered)

        async with _consuming(subject, fail_first):
            await subject.publisher.publish([message])
            assert await received.wait_for(1) == [message]
        assert tries == [message.message_id] * subject.max_attempts
        assert list(await subject.dead_letters("suite")) == []

    async def test_a_message_that_always_fails_becomes_a_dead_letter(
        self, subject: ConsumerSubject
    ) -> None:
        """X-1, X-2: after its last try, and the others are handled."""
        received, tries = Received(), list[UUID]()
        poison, good = new_message("a"), new_message("b")

        async def refuse_poison(delivered: OutboxMessage) -> None:
            if delivered == poison:
                tries.append(delivered.message_id)
                raise _Refused
            await received(delivered)

        async with _consuming(subject, refuse_poison):
            await subject.publisher.publish([poison, good])
            assert await received.wait_for(1) == [good]
            async with asyncio.timeout(30):
                while not (dead := await subject.dead_letters("suite")):  # noqa: ASYNC110 - no broker tells
                    await asyncio.sleep(0.01)
        assert list(dead) == [poison]
        assert len(tries) == subject.max_attempts

    async def test_stopping_waits_for_the_handler_under_way(self, subject: ConsumerSubject) -> None:
        """G10."""
        started, may_end, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

        async def handle(_: OutboxMessage) -> None:
            started.set()
            await may_end.wait()
            ended.set()

        async with _consuming(subject, handle) as consumer:
            await subject.publisher.publish([new_message()])
            await started.wait()
            stopping = asyncio.create_task(consumer.stop())
            await asyncio.sleep(0.01)
            assert not stopping.done()
            may_end.set()
            await stopping
            assert ended.is_set()

    async def test_what_comes_after_stopping_waits_for_the_next_consumer(
        self, subject: ConsumerSubject
    ) -> None:
        first, second = Received(), Received()
        before, after = new_message(), new_message()
        async with _consuming(subject, first):
            await subject.publisher.publish([before])
            await first.wait_for(1)
        await subject.publisher.publish([after])
        async with _consuming(subject, second):
            assert await second.wait_for(1) == [after]
        assert first.messages == [before]

    async def test_starting_and_stopping_twice_changes_nothing(
        self, subject: ConsumerSubject
    ) -> None:
        received, message = Received(), new_message()
        async with _consuming(subject, received) as consumer:
            await consumer.start()
            await subject.publisher.publish([message])
            assert await received.wait_for(1) == [message]
            await consumer.stop()
        assert received.messages == [message]


class _Refused(Exception):  # noqa: N818 - not an error of the toolkit
    pass


@asynccontextmanager
async def _consuming(
    subject: ConsumerSubject,
    handler: MessageHandler,
    *,
    name: str = "suite",
    types: Sequence[str] = ("SampleOrderPlaced",),
) -> AsyncIterator[IMessageConsumer]:
    consumer = subject.new_consumer()
    await consumer.subscribe(types, handler, consumer=name)
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()


def _ids(messages: Sequence[OutboxMessage]) -> list[UUID]:
    return [message.message_id for message in messages]
