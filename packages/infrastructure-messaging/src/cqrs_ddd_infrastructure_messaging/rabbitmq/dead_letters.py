"""The dead letters of RabbitMQ's consumers, each in its consumer's dead queue."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, NamedTuple

from aio_pika.message import IncomingMessage
from aiormq.exceptions import ChannelNotFoundEntity
from pamqp.commands import Basic

from cqrs_ddd_infrastructure_messaging.dead_letter import DeadLetter, IDeadLetters
from cqrs_ddd_infrastructure_messaging.exceptions import DeadLetterError
from cqrs_ddd_infrastructure_messaging.rabbitmq._copies import replayed_copy
from cqrs_ddd_infrastructure_messaging.rabbitmq._errors import is_lost, unavailable
from cqrs_ddd_infrastructure_messaging.rabbitmq._letters import home_of, to_letter
from cqrs_ddd_infrastructure_messaging.rabbitmq._sending import ConfirmedSender
from cqrs_ddd_infrastructure_messaging.rabbitmq.topology import RabbitMQTopology

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Sequence
    from uuid import UUID

    from aiormq.abc import AbstractChannel as DriverChannel

    from cqrs_ddd_infrastructure_messaging.rabbitmq.connection import RabbitMQConnection
    from cqrs_ddd_infrastructure_messaging.rabbitmq.settings import RabbitMQSettings

__all__ = ["RabbitMQDeadLetters"]


class RabbitMQDeadLetters(IDeadLetters):
    """Looks through dead queues, and puts letters back into the queues they came from.

    RabbitMQ shows a queue only to who takes its messages; they go back to their places when the
    look is over. Another process does not see them meanwhile, so let one operator work at a time.

    Args:
        connection: To the broker; whoever made it closes it.
        settings: Names and limits; the same as the consumers have.
    """

    def __init__(
        self, connection: RabbitMQConnection, *, settings: RabbitMQSettings | None = None
    ) -> None:
        self._topology = RabbitMQTopology(settings)
        self._link = connection.consuming
        self._timeout = self._topology.settings.publish_timeout
        self._sender = ConfirmedSender(connection.publishing, timeout=self._timeout)
        self._one_at_a_time = asyncio.Lock()

    async def list(self, consumer: str, *, limit: int = 100) -> Sequence[DeadLetter]:
        letters: list[DeadLetter] = []
        async with self._look(consumer) as look:
            while len(letters) < limit and (taken := await look.take()):
                letters.append(taken.letter)
        return letters

    async def get(self, consumer: str, letter_id: UUID) -> DeadLetter | None:
        async with self._look(consumer) as look:
            while taken := await look.take():
                if taken.letter.letter_id == letter_id:
                    return taken.letter
        return None

    async def replay(
        self, consumer: str, letter_ids: Collection[UUID], *, payload: bytes | None = None
    ) -> int:
        wanted = set(letter_ids)
        if payload is not None and len(wanted) != 1:
            raise DeadLetterError("a payload is for one letter: replay each with its own")
        replayed = 0
        async with self._look(consumer) as look:
            while len(wanted) > replayed and (taken := await look.take()):
                if taken.letter.letter_id in wanted:
                    await self._put_back(consumer, taken, payload)
                    await look.remove(taken)
                    replayed += 1
        return replayed

    async def replay_all(self, consumer: str) -> int:
        replayed = 0
        async with self._look(consumer) as look:
            while taken := await look.take():
                await self._put_back(consumer, taken, None)
                await look.remove(taken)
                replayed += 1
        return replayed

    async def discard(self, consumer: str, letter_ids: Collection[UUID]) -> int:
        wanted = set(letter_ids)
        discarded = 0
        async with self._look(consumer) as look:
            while len(wanted) > discarded and (taken := await look.take()):
                if taken.letter.letter_id in wanted:
                    await look.remove(taken)
                    discarded += 1
        return discarded

    async def close(self) -> None:
        """Close the channel for replays; the connection stays."""
        await self._sender.close()

    async def _put_back(self, consumer: str, taken: _Taken, payload: bytes | None) -> None:
        queue = home_of(taken.incoming) or self._topology.queues(consumer)[0]
        await self._sender.send(
            replayed_copy(taken.incoming, payload), exchange="", routing_key=queue
        )

    @asynccontextmanager
    async def _look(self, consumer: str) -> AsyncIterator[_Look]:
        queue = self._topology.dead_queue(consumer)
        async with self._one_at_a_time:
            channel = await self._link.channel()
            driver = await channel.get_underlay_channel()
            try:
                count = await self._count(driver, queue)
                yield _Look(driver, queue, consumer, count, timeout=self._timeout)
            except BaseException as error:
                if not is_lost(error):
                    raise
                raise unavailable(f"{queue} was lost from sight", error) from error
            finally:
                # Which gives back what is left, whatever happened.
                await self._link.close_channel(channel)

    async def _count(self, channel: DriverChannel, queue: str) -> int:
        try:
            async with asyncio.timeout(self._timeout):
                return (await channel.queue_declare(queue, passive=True)).message_count or 0
        except ChannelNotFoundEntity:
            return 0


class _Taken(NamedTuple):
    """A letter that is out of its queue for a moment."""

    incoming: IncomingMessage
    letter: DeadLetter


class _Look:
    """One look through a queue: at what was there when it began, in order."""

    def __init__(
        self, channel: DriverChannel, queue: str, consumer: str, count: int, *, timeout: float
    ) -> None:
        self._channel = channel
        self._queue = queue
        self._consumer = consumer
        self._left = count
        self._timeout = timeout

    async def take(self) -> _Taken | None:
        """Take the next letter, ``None`` if there is none."""
        if self._left <= 0:
            return None
        self._left -= 1
        async with asyncio.timeout(self._timeout):
            delivered = await self._channel.basic_get(self._queue)
        if isinstance(delivered.delivery, Basic.GetEmpty):
            return None
        incoming = IncomingMessage(delivered)
        return _Taken(incoming, to_letter(incoming, self._consumer))

    async def remove(self, taken: _Taken) -> None:
        """Have the broker forget a letter."""
        async with asyncio.timeout(self._timeout):
            await self._channel.basic_ack(taken.incoming.delivery_tag or 0)
