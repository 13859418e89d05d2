"""The dead letters of RabbitMQ's consumers, each in its consumer's dead queue."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeAlias

from aio_pika.message import IncomingMessage

from cqrs_ddd_infrastructure_messaging.dead_letter import DeadLetter, IDeadLetters
from cqrs_ddd_infrastructure_messaging.exceptions import DeadLetterError
from cqrs_ddd_infrastructure_messaging.rabbitmq._copies import replayed_copy
from cqrs_ddd_infrastructure_messaging.rabbitmq._errors import is_lost, unavailable
from cqrs_ddd_infrastructure_messaging.rabbitmq._letters import home_of, to_letter
from cqrs_ddd_infrastructure_messaging.rabbitmq._looking import Look
from cqrs_ddd_infrastructure_messaging.rabbitmq._sending import ConfirmedSender
from cqrs_ddd_infrastructure_messaging.rabbitmq.topology import RabbitMQTopology

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Iterable, Sequence
    from datetime import datetime
    from uuid import UUID

    from cqrs_ddd_infrastructure_messaging.rabbitmq.connection import RabbitMQConnection
    from cqrs_ddd_infrastructure_messaging.rabbitmq.settings import RabbitMQSettings

__all__ = ["RabbitMQDeadLetters"]

# So many messages are in memory at a time.
_TOGETHER = 200

_Wanted: TypeAlias = Callable[["UUID"], bool]
_Action: TypeAlias = Callable[[IncomingMessage], Awaitable[None]]


class RabbitMQDeadLetters(IDeadLetters):
    """Looks through dead queues, and puts letters back into the queues they came from.

    RabbitMQ shows a queue only to who takes its messages; they are given back when the look is
    over. Whoever looks at the same time sees a part of them, so let one operator work at a time.
    A replay removes each letter after its message is confirmed to be in its queue. Letters are
    in the order of their times of death, by the clocks of the processes in which they died.

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

        def keep_the_oldest(incoming: IncomingMessage) -> bool:
            letters.append(to_letter(incoming, consumer))
            if len(letters) >= 2 * limit:
                letters[:] = _by_death(letters)[:limit]
            return limit <= 0

        async with self._look(consumer) as look:
            await look.each(keep_the_oldest)
        return _by_death(letters)[: max(limit, 0)]

    async def get(self, consumer: str, letter_id: UUID) -> DeadLetter | None:
        found: list[DeadLetter] = []

        def keep_the_one(incoming: IncomingMessage) -> bool:
            letter = to_letter(incoming, consumer)
            found.extend([letter] if letter.letter_id == letter_id else [])
            return bool(found)

        async with self._look(consumer) as look:
            await look.each(keep_the_one)
        return found[0] if found else None

    async def replay(
        self, consumer: str, letter_ids: Collection[UUID], *, payload: bytes | None = None
    ) -> int:
        wanted = frozenset(letter_ids)
        if payload is not None and len(wanted) != 1:
            raise DeadLetterError("a payload is for one letter: replay each with its own")

        async def put_back(incoming: IncomingMessage) -> None:
            await self._put_back(consumer, incoming, payload)

        return await self._settle(consumer, wanted.__contains__, put_back)

    async def replay_all(self, consumer: str) -> int:
        async def put_back(incoming: IncomingMessage) -> None:
            await self._put_back(consumer, incoming, None)

        return await self._settle(consumer, lambda _: True, put_back)

    async def discard(self, consumer: str, letter_ids: Collection[UUID]) -> int:
        wanted = frozenset(letter_ids)
        return await self._settle(consumer, wanted.__contains__, _forget)

    async def close(self) -> None:
        """Close the channel for replays; the connection stays."""
        await self._sender.close()

    async def _settle(self, consumer: str, is_wanted: _Wanted, action: _Action) -> int:
        """Do something with each wanted letter there is now, oldest first, and remove it."""
        wanted = await self._wanted(consumer, is_wanted)
        settled = 0
        for start in range(0, len(wanted), _TOGETHER):
            some = wanted[start : start + _TOGETHER]
            settled += await self._settle_some(consumer, some, action)
        return settled

    async def _wanted(self, consumer: str, is_wanted: _Wanted) -> Sequence[UUID]:
        """Return the ids of wanted letters, oldest first; ids only, for there may be many."""
        found: list[tuple[datetime, UUID]] = []

        def note(incoming: IncomingMessage) -> bool:
            letter = to_letter(incoming, consumer)
            if is_wanted(letter.letter_id):
                found.append((letter.died_at, letter.letter_id))
            return False

        async with self._look(consumer) as look:
            await look.each(note)
        return [letter_id for _, letter_id in sorted(found)]

    async def _settle_some(self, consumer: str, ids: Sequence[UUID], action: _Action) -> int:
        taken: dict[UUID, IncomingMessage] = {}
        some = frozenset(ids)

        def take(incoming: IncomingMessage) -> bool:
            letter_id = to_letter(incoming, consumer).letter_id
            if letter_id in some:
                taken[letter_id] = incoming
            return len(taken) == len(some)

        async with self._look(consumer) as look:
            await look.each(take)
            for letter_id in ids:
                if letter_id in taken:
                    await action(taken[letter_id])
                    await look.remove(taken[letter_id])
        return len(taken)

    async def _put_back(
        self, consumer: str, incoming: IncomingMessage, payload: bytes | None
    ) -> None:
        queue = home_of(incoming) or self._topology.queues(consumer)[0]
        copy = replayed_copy(incoming, payload)
        await self._sender.send(copy, exchange="", routing_key=queue)

    @asynccontextmanager
    async def _look(self, consumer: str) -> AsyncIterator[Look]:
        queue = self._topology.dead_queue(consumer)
        async with self._one_at_a_time:
            channel = await self._link.channel()
            try:
                driver = await channel.get_underlay_channel()
                look = Look(driver, queue, timeout=self._timeout)
                yield look
                await look.give_back()
            except BaseException as error:
                if not is_lost(error):
                    raise
                raise unavailable(f"{queue} was lost from sight", error) from error
            finally:
                # Which gives back what is left, if that failed.
                await self._link.close_channel(channel)


async def _forget(_: IncomingMessage) -> None:
    pass


def _by_death(letters: Iterable[DeadLetter]) -> list[DeadLetter]:
    return sorted(letters, key=lambda letter: letter.died_at)
