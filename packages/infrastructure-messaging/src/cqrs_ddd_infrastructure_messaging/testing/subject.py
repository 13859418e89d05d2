"""What the suite of transports is given, and what its tests share."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from cqrs_ddd_core.ports.consumer import IMessageConsumer, MessageHandler
from cqrs_ddd_core.ports.publisher import IMessagePublisher
from cqrs_ddd_infrastructure_messaging.dead_letter import DeadLetter, IDeadLetters

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from uuid import UUID

    from cqrs_ddd_core.ports.outbox import OutboxMessage

__all__ = [
    "NAME",
    "ROUTES",
    "TYPE",
    "ConsumerFactory",
    "Refused",
    "TransportSubject",
    "consuming",
    "ids_of",
    "letters_of",
    "publish",
    "publish_until_confirmed",
    "wait_for_letters",
]

#: The consumer name and the message type of the tests.
NAME = "suite"
TYPE = "SampleOrderPlaced"

#: Topics that the publisher knows and the consumers do not, to be asked for by patterns.
ROUTES = {"BookSold": "shelf.books.sold", "BookPriced": "shelf.books.price.changed"}


class ConsumerFactory(Protocol):
    """Makes consumers of one broker, with a short ladder of retries."""

    def __call__(self, *, patterns: Collection[str] = (), partitions: int = 0) -> IMessageConsumer:
        """Return a consumer; the suite starts and stops it.

        Args:
            patterns: Topics it is bound to beside those of the types it subscribes to.
            partitions: Over how many its streams are spread, so that several consumers of one
                name keep the order of each stream; 0 for none.
        """
        ...


@dataclass(frozen=True)
class TransportSubject:
    """A transport of its own for one test: nothing is published, and no consumer is known.

    Attributes:
        publisher: Publishes to the topics of ``TopicRouter("suite", routes=ROUTES)``.
        new_consumer: Makes consumers that do not know these routes.
        dead_letters: Of all its consumers.
        max_attempts: How often its consumers deliver a message before it is a dead letter; 3 or
            more.
        max_payload_bytes: The longest payload it carries; one byte more is refused.
        publish_bytes: Puts a body with headers on the way of messages of type ``TYPE``, past the
            serializer, as a stranger would.
        crash: Ends a consumer as a killed process would: nothing is waited for, acknowledged or
            given back.
        cut_connections: Resets all connections to the broker, which may be opened again.
    """

    publisher: IMessagePublisher
    new_consumer: ConsumerFactory
    dead_letters: IDeadLetters
    max_attempts: int
    max_payload_bytes: int
    publish_bytes: Callable[[bytes, Mapping[str, str]], Awaitable[None]]
    crash: Callable[[IMessageConsumer], Awaitable[None]] | None = None
    cut_connections: Callable[[], Awaitable[None]] | None = None


class Refused(Exception):  # noqa: N818 - not an error of the toolkit
    """Raised by handlers of the tests."""


@asynccontextmanager
async def consuming(
    subject: TransportSubject,
    handler: MessageHandler,
    *,
    name: str = NAME,
    types: Sequence[str] = (TYPE,),
    patterns: Collection[str] = (),
    partitions: int = 0,
) -> AsyncIterator[IMessageConsumer]:
    """Have messages handled as long as the block lasts."""
    consumer = subject.new_consumer(patterns=patterns, partitions=partitions)
    await consumer.subscribe(types, handler, consumer=name)
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()


async def publish(subject: TransportSubject, *messages: OutboxMessage) -> None:
    """Publish messages; each must be confirmed."""
    assert list(await subject.publisher.publish(messages)) == [None] * len(messages)


async def publish_until_confirmed(
    subject: TransportSubject, messages: Sequence[OutboxMessage]
) -> None:
    """Publish as a relay does: what is not confirmed is published again."""
    remaining = list(messages)
    async with asyncio.timeout(60):
        while remaining:
            try:
                outcomes = await subject.publisher.publish(remaining)
            except Exception:  # noqa: BLE001 - a relay goes on whatever it is
                await asyncio.sleep(0.01)
                continue
            failed = [one is not None for one in outcomes]
            remaining = [one for one, again in zip(remaining, failed, strict=True) if again]


async def letters_of(
    subject: TransportSubject, count: int, *, name: str = NAME
) -> Sequence[DeadLetter]:
    """Wait until a consumer has so many dead letters, and return them."""
    letters: Sequence[DeadLetter] = []
    async with asyncio.timeout(30):
        while len(letters) < count:
            await asyncio.sleep(0.01)
            letters = await subject.dead_letters.list(name)
    assert len(letters) == count
    return letters


async def wait_for_letters(subject: TransportSubject, ids: Collection[UUID]) -> None:
    """Wait until a consumer has dead letters of these messages and of no others.

    A message whose confirmation was lost is published again, and may have several.
    """
    dead: set[UUID | None] = set()
    async with asyncio.timeout(30):
        while not dead.issuperset(ids):
            await asyncio.sleep(0.01)
            dead = {letter.message_id for letter in await subject.dead_letters.list(NAME)}
    assert dead == set(ids)


def ids_of(messages: Sequence[OutboxMessage]) -> list[UUID]:
    """Return the ids of messages, in their order."""
    return [message.message_id for message in messages]
