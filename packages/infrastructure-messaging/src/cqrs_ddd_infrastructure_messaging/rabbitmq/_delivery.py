"""Messages as they were delivered."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from aio_pika.message import IncomingMessage

from cqrs_ddd_infrastructure_messaging.exceptions import MalformedMessageError

if TYPE_CHECKING:
    from collections.abc import Hashable

    from aio_pika.abc import AbstractIncomingMessage
    from aiormq.abc import DeliveredMessage
    from pamqp.commands import Basic

    from cqrs_ddd_core.ports.outbox import OutboxMessage
    from cqrs_ddd_infrastructure_messaging.rabbitmq._acknowledging import Acknowledger
    from cqrs_ddd_infrastructure_messaging.serialization import EnvelopeSerializer

__all__ = ["Delivery", "headers_of"]

_CONTENT_TYPE = "content-type"


class Delivery:
    """One delivery of a message, readable or not.

    Attributes:
        queue: Where it came from.
        origin: Acknowledges it, as long as the channel it came through is open.
        message: What can be read of it; ``None`` if it is malformed.
        attempt: Which try of this consumer it is, counted from 1.
        failure: Why this try failed, once that is known.
        stream: Deliveries with the same one are handled one after the other.
    """

    __slots__ = ("_delivered", "attempt", "failure", "message", "origin", "queue", "stream")

    def __init__(
        self,
        delivered: DeliveredMessage,
        origin: Acknowledger,
        serializer: EnvelopeSerializer,
        *,
        queue: str,
    ) -> None:
        self._delivered = delivered
        self.queue = queue
        self.origin = origin
        self.attempt = 1
        self.failure: Exception | None = None
        self.message: OutboxMessage | None = None
        # Not itself: a body of any size would wait for the collector of cycles.
        self.stream: Hashable = object()
        try:
            envelope = serializer.decode(delivered.body, headers_of(delivered.header.properties))
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
    def incoming(self) -> IncomingMessage:
        """What the broker handed over; made when it is asked for, which is seldom."""
        return IncomingMessage(self._delivered)

    @property
    def tag(self) -> int:
        """Its number among the deliveries of its channel."""
        return self._delivered.delivery_tag or 0

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


def headers_of(properties: Basic.Properties | AbstractIncomingMessage) -> dict[str, object]:
    """Return the headers a message came with, its content type among them."""
    headers: dict[str, object] = dict(properties.headers or {})
    if properties.content_type is not None:
        headers.setdefault(_CONTENT_TYPE, properties.content_type)
    return headers
