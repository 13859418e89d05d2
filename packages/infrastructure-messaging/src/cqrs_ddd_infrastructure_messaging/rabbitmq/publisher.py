"""Publishing to RabbitMQ: confirmed, persistent, routed, and in the order of each stream."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import TYPE_CHECKING, cast

from cqrs_ddd_core.ports.publisher import IMessagePublisher, PublishOutcome
from cqrs_ddd_core.primitives.clock import utc_now
from cqrs_ddd_core.primitives.exceptions import BrokerUnavailableError, MessagingError
from cqrs_ddd_infrastructure_messaging.rabbitmq._errors import is_lost, publish_failure
from cqrs_ddd_infrastructure_messaging.rabbitmq._properties import WireProperties
from cqrs_ddd_infrastructure_messaging.rabbitmq.topology import RabbitMQTopology

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from aio_pika.abc import AbstractChannel
    from aiormq.channel import Channel as DriverChannel

    from cqrs_ddd_core.ports.outbox import OutboxMessage
    from cqrs_ddd_infrastructure_messaging.rabbitmq.connection import RabbitMQConnection
    from cqrs_ddd_infrastructure_messaging.rabbitmq.settings import RabbitMQSettings
    from cqrs_ddd_infrastructure_messaging.routing import TopicRouter
    from cqrs_ddd_infrastructure_messaging.serialization import EnvelopeSerializer

__all__ = ["RabbitMQPublisher"]

# Bodies above it wait until the socket has taken them, so that a batch is not in memory twice.
_LARGE_BODY = 16_384


class RabbitMQPublisher(IMessagePublisher):
    """Publishes outbox messages to the topic exchange of a topology.

    Guarantee (G4): ``None`` means that the broker has the message on disk, in the queues of all
    who want it. It is published persistent and mandatory under its own id (X-3), and only the
    broker's confirmation counts: what was refused, returned or not confirmed in time has failed.

    Order: the messages of different streams are all under way at the same time, those of one
    stream one at a time, each sent when the one before it is confirmed. A broker may refuse or
    return a message and accept the next one, so whatever is already under way behind a failure
    would overtake it. A stream is therefore as fast as the broker confirms: some hundred
    messages a second for one alone, thousands for many together.

    Failures: a message that breaks a limit or that nobody wants fails for itself. A lost
    connection, a full queue and a silent broker are nobody's fault: their outcome is a
    ``BrokerUnavailableError``, and the message may arrive twice.

    Calls are served one after the other. The publisher opens its own channel on the publishing
    connection, and a new one after each loss.

    Args:
        connection: To the broker.
        router: Says to which topic a message is published.
        serializer: Makes the body and the headers.
        settings: Names and limits; the same as the consumers have.
    """

    def __init__(
        self,
        connection: RabbitMQConnection,
        *,
        router: TopicRouter,
        serializer: EnvelopeSerializer,
        settings: RabbitMQSettings | None = None,
    ) -> None:
        self._topology = RabbitMQTopology(settings)
        self._router = router
        self._serializer = serializer
        self._link = connection.publishing
        self._link.require(self._topology.shared(), may_declare=self._topology.settings.may_declare)
        self._one_batch = asyncio.Lock()
        self._channel: AbstractChannel | None = None
        self._last_confirmed: datetime | None = None
        self._error: BrokerUnavailableError | None = None

    @property
    def last_confirmed(self) -> datetime | None:
        """When the broker confirmed a message the last time, aware UTC."""
        return self._last_confirmed

    @property
    def error(self) -> BrokerUnavailableError | None:
        """Why the last call could not get everything to the broker; ``None`` if it could."""
        return self._error

    async def publish(self, messages: Sequence[OutboxMessage]) -> Sequence[PublishOutcome]:
        if not messages:
            return []
        async with self._one_batch:
            try:
                outcomes = await self._publish(messages)
            except BrokerUnavailableError as error:
                self._error = error
                raise
            self._look_back(outcomes)
            return outcomes

    async def close(self) -> None:
        """Close the channel; the connection stays."""
        channel, self._channel = self._channel, None
        if channel is not None:
            await self._link.close_channel(channel)

    async def _publish(self, messages: Sequence[OutboxMessage]) -> list[PublishOutcome]:
        channel = await self._usable_channel()
        seconds = self._topology.settings.publish_timeout
        # Until it is told otherwise.
        silence = BrokerUnavailableError(f"the broker did not confirm within {seconds:g} s")
        outcomes: list[PublishOutcome] = [silence] * len(messages)
        try:
            async with asyncio.timeout(seconds):
                await self._send_streams(channel, messages, outcomes)
        except TimeoutError:
            if await self._link.is_blocked():
                silence.add_note("It asked to be spared: it is low on memory or disk.")
            # What was not confirmed may be on its way still: nothing follows it there.
            self._link.drop(silence)
        if channel.is_closed:
            # The exchange may be gone.
            self._channel = None
            self._link.check_again()
        return outcomes

    async def _usable_channel(self) -> AbstractChannel:
        if self._channel is None or self._channel.is_closed or not self._link.is_open:
            self._channel = await self._link.channel()
        return self._channel

    async def _send_streams(
        self,
        channel: AbstractChannel,
        messages: Sequence[OutboxMessage],
        outcomes: list[PublishOutcome],
    ) -> None:
        streams: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
        for index, message in enumerate(messages):
            streams[message.tenant_id, message.stream].append(index)
        driver = cast("DriverChannel", await channel.get_underlay_channel())
        await asyncio.gather(
            *(self._send_stream(driver, messages, line, outcomes) for line in streams.values())
        )

    async def _send_stream(
        self,
        channel: DriverChannel,
        messages: Sequence[OutboxMessage],
        indexes: Sequence[int],
        outcomes: list[PublishOutcome],
    ) -> None:
        for place, index in enumerate(indexes):
            outcomes[index] = failure = await self._send(channel, messages[index])
            if failure is not None:
                for later in indexes[place + 1 :]:
                    outcomes[later] = failure
                return

    async def _send(self, channel: DriverChannel, message: OutboxMessage) -> PublishOutcome:
        try:
            body, headers = self._serializer.encode(message)
            properties = WireProperties(message, headers)
            routing_key = self._topology.routing_key(self._router.topic_of(message), message)
        except MessagingError as error:
            return error
        try:
            await channel.basic_publish(
                body,
                exchange=self._topology.exchange,
                routing_key=routing_key,
                properties=properties,
                mandatory=True,
                wait=len(body) > _LARGE_BODY,
            )
        except BaseException as error:
            # Whatever is wrong with one message, the others go on.
            if not isinstance(error, Exception) and not is_lost(error):
                raise
            closed = channel.is_closed
            return publish_failure(message.message_id, error, channel_is_closed=closed)
        return None

    def _look_back(self, outcomes: Sequence[PublishOutcome]) -> None:
        if None in outcomes:
            self._last_confirmed = utc_now()
        unavailable = (one for one in outcomes if isinstance(one, BrokerUnavailableError))
        self._error = next(unavailable, None)
