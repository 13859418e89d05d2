"""What every publisher must do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest

from cqrs_ddd_core.ports.consumer import IMessageConsumer
from cqrs_ddd_core.ports.outbox import OutboxMessage
from cqrs_ddd_core.ports.publisher import IMessagePublisher
from cqrs_ddd_core.testing.conformance import Conformance
from cqrs_ddd_core.testing.samples import AWKWARD_TEXT, awkward_message, new_message

__all__ = ["PublisherConformance", "PublisherSubject", "Received"]

_TYPES = ("SampleOrderPlaced", AWKWARD_TEXT)


@dataclass(frozen=True)
class PublisherSubject:
    """A publisher, and consumers of the same broker.

    Attributes:
        new_consumer: Makes a consumer; the suite starts and stops it.
        refused_bytes: The broker refuses a payload of so many bytes.
    """

    publisher: IMessagePublisher
    new_consumer: Callable[[], IMessageConsumer]
    refused_bytes: int


class Received:
    """Collects what a consumer delivers."""

    def __init__(self) -> None:
        self.messages: list[OutboxMessage] = []
        self._more = asyncio.Event()

    async def __call__(self, message: OutboxMessage) -> None:
        self.messages.append(message)
        self._more.set()

    async def wait_for(self, count: int) -> list[OutboxMessage]:
        """Wait until so many messages were delivered, and return them."""
        async with asyncio.timeout(30):
            while len(self.messages) < count:
                self._more.clear()
                await self._more.wait()
        return self.messages


class PublisherConformance(Conformance):
    """Confirmation, order and refusal."""

    @pytest.fixture
    def subject(self) -> PublisherSubject:
        raise NotImplementedError("yield a PublisherSubject")

    async def test_a_confirmed_message_arrives_exactly(self, subject: PublisherSubject) -> None:
        """C-9, X-3: with its id, type, kind, times, tenant and headers."""
        messages = [new_message(), awkward_message()]
        assert await _publish(subject, messages) == (messages, [None, None])

    async def test_nothing_to_publish_is_fine(self, subject: PublisherSubject) -> None:
        assert list(await subject.publisher.publish([])) == []

    async def test_messages_of_a_stream_arrive_in_order(self, subject: PublisherSubject) -> None:
        messages = [new_message(f"Order-{number % 3}") for number in range(60)]
        received, outcomes = await _publish(subject, messages)
        assert outcomes == [None] * 60
        for stream in {message.stream for message in messages}:
            expected = [message for message in messages if message.stream == stream]
            assert [message for message in received if message.stream == stream] == expected

    async def test_a_refused_message_holds_back_its_stream_only(
        self, subject: PublisherSubject
    ) -> None:
        """G4: what comes after it in its stream is not sent."""
        too_long = b'"' + b"x" * (subject.refused_bytes - 2) + b'"'
        before, refused = new_message("a"), new_message("a", payload=too_long)
        after, other = new_message("a"), new_message("b")
        received, outcomes = await _publish(subject, [before, refused, after, other], count=2)
        assert [isinstance(outcome, Exception) for outcome in outcomes] == [
            False,
            True,
            True,
            False,
        ]
        assert received == [before, other]


async def _publish(
    subject: PublisherSubject, messages: Sequence[OutboxMessage], *, count: int | None = None
) -> tuple[list[OutboxMessage], list[Exception | None]]:
    received, consumer = Received(), subject.new_consumer()
    await consumer.subscribe(_TYPES, received, consumer="suite")
    await consumer.start()
    try:
        outcomes = await subject.publisher.publish(messages)
        await received.wait_for(len(messages) if count is None else count)
    finally:
        await consumer.stop()
    return received.messages, list(outcomes)
