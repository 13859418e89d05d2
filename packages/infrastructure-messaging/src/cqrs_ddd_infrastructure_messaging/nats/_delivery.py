"""Messages as they were delivered, and the answers to the server."""

from __future__ import annotations

import asyncio
import json
import logging
from contextlib import suppress
from typing import TYPE_CHECKING
from uuid import NAMESPACE_OID, UUID, uuid5

from cqrs_ddd_core.primitives.exceptions import MessagingError
from cqrs_ddd_infrastructure_messaging._handling import Delivery, Parking
from cqrs_ddd_infrastructure_messaging._letters import death_headers
from cqrs_ddd_infrastructure_messaging.exceptions import (
    AbandonedMessageError,
    MalformedMessageError,
)
from cqrs_ddd_infrastructure_messaging.nats._driver import Msg
from cqrs_ddd_infrastructure_messaging.nats._errors import FAILURES, is_missing, publish_failure

if TYPE_CHECKING:
    from collections.abc import Hashable

    from cqrs_ddd_core.ports.outbox import OutboxMessage
    from cqrs_ddd_infrastructure_messaging._handling import Death
    from cqrs_ddd_infrastructure_messaging.nats.connection import NATSConnection
    from cqrs_ddd_infrastructure_messaging.nats.topology import NATSTopology
    from cqrs_ddd_infrastructure_messaging.serialization import EnvelopeSerializer

__all__ = ["Hands", "NATSDelivery", "NATSParking"]

_logger = logging.getLogger(__name__)

# https://docs.nats.io/reference/reference-protocols/nats_api_reference#acknowledging-messages
_DONE, _PUT_BACK, _STILL_AT_IT, _NEVER_AGAIN = b"+ACK", b"-NAK", b"+WPI", b"+TERM"

# What the server wrote, or would act on.
_SERVERS_OWN = "nats-"


class NATSDelivery(Delivery):
    """One delivery of a message, readable or not.

    Args:
        incoming: As the server handed it over.
        hands: Which hold it until it is settled.
        serializer: Reads it.
        limit: How often it may be delivered.
    """

    def __init__(
        self, incoming: Msg, hands: Hands, serializer: EnvelopeSerializer, *, limit: int
    ) -> None:
        self.incoming = incoming
        self._hands = hands
        self.attempt = incoming.metadata.num_delivered
        self.failure: Exception | None = None
        self.message: OutboxMessage | None = None
        # Not itself: a body of any size would wait for the collector of cycles.
        self.stream: Hashable = object()
        try:
            self.message = serializer.decode(incoming.data, self.headers).to_message()
        except MalformedMessageError as error:
            self.failure = error
        else:
            self.stream = self.message.tenant_id, self.message.stream
            if self.attempt > limit:
                self.failure = AbandonedMessageError(self.attempt)

    def __str__(self) -> str:
        name = (
            "a malformed message" if self.message is None else f"message {self.message.message_id}"
        )
        return f"{name}, try {self.attempt}"

    @property
    def headers(self) -> dict[str, str]:
        """The headers it came with, without those of the server."""
        found = self.incoming.headers or {}
        return {
            name: value
            for name, value in found.items()
            if not name.lower().startswith(_SERVERS_OWN)
        }

    @property
    def letter_id(self) -> UUID:
        """What its dead letter is called, however often it is written."""
        place = self.incoming.metadata
        name = f"{place.stream}/{place.consumer}/{place.sequence.stream}/{place.timestamp}"
        return uuid5(NAMESPACE_OID, name)

    @property
    def is_forsaken(self) -> bool:
        return self._hands.closed.is_set()

    async def acknowledge(self) -> None:
        await self._hands.settle(self, _DONE)

    async def put_back(self, delay: float = 0.0) -> None:
        """Have the server deliver it again, in so many seconds."""
        wait = json.dumps({"delay": round(delay * 1e9)}).encode() if delay else b""
        await self._hands.settle(self, b" ".join((_PUT_BACK, wait)).strip())

    async def give_up(self) -> None:
        """Have the server never deliver it again."""
        await self._hands.settle(self, _NEVER_AGAIN)

    async def pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._hands.closed.wait()


class Hands:
    """Holds the deliveries that are not settled, and keeps them from being delivered again.

    An answer may go through another connection than the delivery came through; one that is lost
    means that the message comes again.

    Args:
        connection: To the server.
        topology: Names the streams.
        size: How many it holds at most.

    Attributes:
        closed: Set when what has not begun is left to the server.
    """

    def __init__(self, connection: NATSConnection, topology: NATSTopology, *, size: int) -> None:
        self._connection = connection
        self._topology = topology
        self._size = size
        self._held: dict[NATSDelivery, None] = {}
        self._has_room = asyncio.Event()
        self._has_room.set()
        self.closed = asyncio.Event()

    async def room(self) -> int:
        """Wait until at least half of it is free, and return for how many there is room."""
        await self._has_room.wait()
        return self._size - len(self._held)

    def take(self, delivery: NATSDelivery) -> None:
        """Hold a delivery until it is settled."""
        self._held[delivery] = None
        if len(self._held) * 2 > self._size:
            self._has_room.clear()

    async def settle(self, delivery: NATSDelivery, answer: bytes) -> None:
        """Answer once; what comes later changes nothing."""
        if delivery not in self._held:
            return
        del self._held[delivery]
        if len(self._held) * 2 <= self._size:
            self._has_room.set()
        await self._answer(delivery, answer)

    async def put_all_back(self) -> None:
        """Give back what is left, and return when the server has every answer."""
        for delivery in list(self._held):
            await delivery.put_back()
        with suppress(MessagingError, *FAILURES):
            link = await self._connection.link(self._topology)
            await link.answer(link.client.flush(), timeout=self._connection.timeout)

    async def keep(self, *, every: float) -> None:
        """Tell the server every so many seconds that all of them are worked on."""
        while True:
            await asyncio.sleep(every)
            for delivery in list(self._held):
                if delivery in self._held:
                    await self._answer(delivery, _STILL_AT_IT)

    async def _answer(self, delivery: NATSDelivery, answer: bytes) -> None:
        try:
            link = await self._connection.link(self._topology)
            publishing = link.client.publish(delivery.incoming.reply, answer)
            await link.answer(publishing, timeout=self._connection.timeout)
        except (MessagingError, *FAILURES) as error:
            _logger.info("not answered, will be delivered again: %s", type(error).__name__)


class NATSParking(Parking[NATSDelivery]):
    """Has messages delivered again later by the server, or stored among the dead letters.

    Args:
        connection: To the server.
        topology: Names the streams.
    """

    def __init__(self, connection: NATSConnection, topology: NATSTopology) -> None:
        self._connection = connection
        self._topology = topology

    async def put_off(self, delivery: NATSDelivery, delay: float) -> None:
        await delivery.put_back(delay)

    async def bury(self, delivery: NATSDelivery, death: Death) -> None:
        letter_id = delivery.letter_id
        headers = {
            **delivery.headers,
            **death_headers(letter_id, death),
            "Nats-Msg-Id": str(letter_id),
        }
        link = await self._connection.link(self._topology)
        timeout = self._topology.settings.publish_timeout
        try:
            storing = link.jetstream.publish(
                self._topology.dead_subject(death.consumer, letter_id),
                delivery.incoming.data,
                timeout=timeout,
                stream=self._topology.dead,
                headers=headers,
            )
            await link.answer(storing, timeout=timeout)
        except FAILURES as error:
            if is_missing(error):
                link.check_again(self._topology)
            raise publish_failure(letter_id, error) from error
        await delivery.give_up()
