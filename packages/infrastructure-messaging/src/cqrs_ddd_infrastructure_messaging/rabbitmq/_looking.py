"""Looking through a queue, which RabbitMQ shows only to who takes its messages."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, TypeAlias

from aio_pika.message import IncomingMessage
from aiormq.exceptions import ChannelNotFoundEntity

from cqrs_ddd_core.primitives.exceptions import BrokerUnavailableError

if TYPE_CHECKING:
    from aiormq.abc import AbstractChannel, DeliveredMessage

__all__ = ["Look", "Visit"]

#: Is called with each message, keeps of it what it needs, and says when it has seen enough.
Visit: TypeAlias = Callable[[IncomingMessage], bool]

# Whoever else takes messages of the queue keeps them from us: so long we wait for the next one.
_SILENCE = 1.0


class Look:
    """One look through the messages that are in a queue when it begins.

    They come in no order: a queue puts what it gets back behind what it got back before. When
    the channel is closed, they are in the queue again but for those that were removed.

    Args:
        channel: Of its own.
        queue: Which is looked through; one that is not there is empty.
        timeout: Seconds the broker has for an answer.
    """

    def __init__(self, channel: AbstractChannel, queue: str, *, timeout: float) -> None:
        self._channel = channel
        self._queue = queue
        self._timeout = timeout
        self._left = 0
        self._held = 0
        self._tag: str | None = None
        self._more = asyncio.Event()

    async def each(self, visit: Visit) -> None:
        """Visit each message, as long as the visitor has not seen enough."""

        async def arrived(delivered: DeliveredMessage) -> None:
            self._held += 1
            if self._left > 0:
                self._left = 0 if visit(IncomingMessage(delivered)) else self._left - 1
            self._more.set()

        async with asyncio.timeout(self._timeout):
            self._left = await self._size()
            if self._left:
                consuming = await self._channel.basic_consume(self._queue, arrived)
                self._tag = consuming.consumer_tag
        while self._left > 0 and await self._has_more():
            self._more.clear()

    async def remove(self, incoming: IncomingMessage) -> None:
        """Have the broker forget a message."""
        async with asyncio.timeout(self._timeout):
            await self._channel.basic_ack(incoming.delivery_tag or 0)
        self._held -= 1

    async def give_back(self) -> None:
        """Put what was not removed into the queue again, and wait until others can see it."""
        if self._tag is None:
            return
        async with asyncio.timeout(self._timeout):
            await self._channel.basic_cancel(self._tag)
            await self._channel.basic_nack(0, multiple=True)
        with suppress(TimeoutError):
            async with asyncio.timeout(_SILENCE):
                while await self._size() < self._held:  # noqa: ASYNC110 - no broker tells
                    await asyncio.sleep(0.01)

    async def _size(self) -> int:
        try:
            return (await self._channel.queue_declare(self._queue, passive=True)).message_count or 0
        except ChannelNotFoundEntity:
            return 0

    async def _has_more(self) -> bool:
        try:
            async with asyncio.timeout(_SILENCE):
                await self._more.wait()
        except TimeoutError:
            if self._channel.is_closed:
                raise BrokerUnavailableError(f"{self._queue!r} was lost from sight") from None
            return False
        return True
