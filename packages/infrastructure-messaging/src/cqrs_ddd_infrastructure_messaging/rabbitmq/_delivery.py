"""Messages as they were delivered, and their acknowledgement."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING

from cqrs_ddd_infrastructure_messaging.exceptions import MalformedMessageError
from cqrs_ddd_infrastructure_messaging.rabbitmq._errors import is_lost

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from aio_pika.abc import AbstractIncomingMessage
    from aiormq.abc import AbstractChannel

    from cqrs_ddd_core.ports.outbox import OutboxMessage
    from cqrs_ddd_infrastructure_messaging.serialization import EnvelopeSerializer

__all__ = ["Acknowledger", "Delivery", "headers_of"]

_logger = logging.getLogger(__name__)

_CONTENT_TYPE = "content-type"


class Delivery:
    """One delivery of a message, readable or not.

    Attributes:
        incoming: As the broker handed it over.
        queue: Where it came from.
        origin: Acknowledges it, as long as the channel it came through is open.
        message: What can be read of it; ``None`` if it is malformed.
        attempt: Which try of this consumer it is, counted from 1.
        failure: Why this try failed, once that is known.
        stream: Deliveries with the same one are handled one after the other.
    """

    __slots__ = ("attempt", "failure", "incoming", "message", "origin", "queue", "stream")

    def __init__(
        self,
        incoming: AbstractIncomingMessage,
        origin: Acknowledger,
        serializer: EnvelopeSerializer,
        *,
        queue: str,
    ) -> None:
        self.incoming = incoming
        self.queue = queue
        self.origin = origin
        self.attempt = 1
        self.failure: Exception | None = None
        self.message: OutboxMessage | None = None
        # Not itself: a body of any size would wait for the collector of cycles.
        self.stream: Hashable = object()
        try:
            envelope = serializer.decode(incoming.body, headers_of(incoming))
        except MalformedMessageError as error:
            self.failure = error
        else:
            self.attempt = max(envelope.attempt, 1)
            self.message = envelope.to_message()
            self.stream = self.message.tenant_id, self.message.stream

    def __str__(self) -> str:
        name = (
            "a malformed message" if self.message is None else f"message {self.message.message_id}"
        )
        return f"{name}, try {self.attempt}"

    @property
    def tag(self) -> int:
        """Its number among the deliveries of its channel."""
        return self.incoming.delivery_tag or 0

    @property
    def is_forsaken(self) -> bool:
        """Whether it is left to the broker, which delivers it again."""
        return self.origin.is_closed

    async def acknowledge(self) -> None:
        """Let the broker forget it."""
        await self.origin.acknowledge([self.tag])

    async def pause(self, seconds: float) -> None:
        """Wait for so many seconds, or until it is left to the broker."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.origin.closed.wait()


class Acknowledger:
    """Acknowledges the deliveries of one channel; their numbers die with it.

    Args:
        channel: The channel they come through.
        timeout: Seconds to hand an acknowledgement to the connection.

    Attributes:
        closed: Set when what has not begun is left to the broker: the channel is gone, or the
            consumer stops. What has begun may still be acknowledged while the channel is open.
    """

    def __init__(self, channel: AbstractChannel, *, timeout: float) -> None:
        self._channel = channel
        self._timeout = timeout
        self.closed = asyncio.Event()
        # In the order of arrival, which is that of the tags.
        self._unsettled: dict[int, None] = {}

    @property
    def is_closed(self) -> bool:
        """Whether deliveries that wait are not to be begun."""
        return self.closed.is_set() or self._channel.is_closed

    def expect(self, tag: int) -> None:
        """Note a delivery that is to be acknowledged some time."""
        self._unsettled[tag] = None

    async def acknowledge(self, tags: Sequence[int]) -> None:
        """Acknowledge deliveries, in one frame as far as no other one lies between.

        When the channel is gone nothing is acknowledged, and the broker delivers them again.
        """
        for tag in tags:
            self._unsettled.pop(tag, None)
        first_open = next(iter(self._unsettled), None)
        ordered = sorted(tags)
        together = [tag for tag in ordered if first_open is None or tag < first_open]
        try:
            # Not waiting for the socket: the broker does not answer anyway.
            async with asyncio.timeout(self._timeout):
                if together:
                    tag = together[-1]
                    await self._channel.basic_ack(tag, multiple=len(together) > 1, wait=False)
                for tag in ordered[len(together) :]:
                    await self._channel.basic_ack(tag, wait=False)
        except BaseException as error:
            if not is_lost(error):
                raise
            _note_loss(error)

    async def reject(self, tag: int) -> None:
        """Have the broker make a delivery a dead letter."""
        try:
            async with asyncio.timeout(self._timeout):
                await self._channel.basic_reject(tag, requeue=False, wait=False)
        except BaseException as error:
            if not is_lost(error):
                raise
            _note_loss(error)


def _note_loss(error: BaseException) -> None:
    _logger.info("not acknowledged, will be delivered again: %s", type(error).__name__)


def headers_of(incoming: AbstractIncomingMessage) -> dict[str, object]:
    """Return the headers a message came with, its content type among them."""
    headers: dict[str, object] = dict(incoming.headers)
    if incoming.content_type is not None:
        headers.setdefault(_CONTENT_TYPE, incoming.content_type)
    return headers
