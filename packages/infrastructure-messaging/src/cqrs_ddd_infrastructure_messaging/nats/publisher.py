"""Publishing to NATS JetStream: acknowledged, known again, and in the order of each stream."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import TYPE_CHECKING

from cqrs_ddd_core.ports.publisher import IMessagePublisher, PublishOutcome
from cqrs_ddd_core.primitives.clock import utc_now
from cqrs_ddd_core.primitives.exceptions import BrokerUnavailableError, MessagingError
from cqrs_ddd_infrastructure_messaging.exceptions import MalformedMessageError
from cqrs_ddd_infrastructure_messaging.nats._errors import FAILURES, is_missing, publish_failure
from cqrs_ddd_infrastructure_messaging.nats.topology import NATSTopology

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from cqrs_ddd_core.ports.outbox import OutboxMessage
    from cqrs_ddd_infrastructure_messaging.nats.connection import NATSConnection
    from cqrs_ddd_infrastructure_messaging.nats.link import NATSLink
    from cqrs_ddd_infrastructure_messaging.nats.settings import NATSSettings
    from cqrs_ddd_infrastructure_messaging.routing import TopicRouter
    from cqrs_ddd_infrastructure_messaging.serialization import EnvelopeSerializer

__all__ = ["NATSPublisher"]

_NO_ANSWER = BrokerUnavailableError("the server did not confirm a message in time")

# What a dead letter has more than its message: it must fit as well.
_ROOM_FOR_DEATH = 4_096


class NATSPublisher(IMessagePublisher):
    """Publishes outbox messages to the stream of a topology.

    Guarantee (G4): ``None`` means that the server has the message in its file, for every
    consumer that asked for it by then; one that nobody asked for is not kept. It is published
    under its own id: a second copy within the settings' ``duplicate_window`` is dropped.

    Order: the messages of different streams are all under way at the same time, those of one
    stream one at a time, each sent when the one before it is confirmed.

    Failures: a message that breaks a limit fails for itself. A lost connection, a full stream
    and a silent server are nobody's fault: their outcome is a ``BrokerUnavailableError``.

    Calls are served one after the other.

    Args:
        connection: To the server.
        router: Says to which topic a message is published.
        serializer: Makes the body and the headers. The server limits both together, usually to
            1 MiB; what does not fit is refused here.
        settings: Names and limits; the same as the consumers have.
    """

    def __init__(
        self,
        connection: NATSConnection,
        *,
        router: TopicRouter,
        serializer: EnvelopeSerializer,
        settings: NATSSettings | None = None,
    ) -> None:
        self._connection = connection
        self._router = router
        self._serializer = serializer
        self._topology = NATSTopology(settings)
        self._one_batch = asyncio.Lock()
        self._last_confirmed: datetime | None = None

    @property
    def last_confirmed(self) -> datetime | None:
        """When the server confirmed a message the last time, aware UTC."""
        return self._last_confirmed

    async def publish(self, messages: Sequence[OutboxMessage]) -> Sequence[PublishOutcome]:
        if not messages:
            return []
        async with self._one_batch:
            link = await self._connection.link(self._topology)
            outcomes: list[PublishOutcome] = [_NO_ANSWER] * len(messages)
            sending = self._send_streams(link, messages, outcomes)
            try:
                await link.answer(sending, timeout=self._topology.settings.publish_timeout)
            except (TimeoutError, ConnectionError):
                # What was not confirmed may be on its way still: nothing follows it there.
                self._connection.drop(link, _NO_ANSWER)
            if None in outcomes:
                self._last_confirmed = utc_now()
            return outcomes

    async def _send_streams(
        self, link: NATSLink, messages: Sequence[OutboxMessage], outcomes: list[PublishOutcome]
    ) -> None:
        streams: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
        for index, message in enumerate(messages):
            streams[message.tenant_id, message.stream].append(index)
        await asyncio.gather(
            *(self._send_stream(link, messages, line, outcomes) for line in streams.values())
        )

    async def _send_stream(
        self,
        link: NATSLink,
        messages: Sequence[OutboxMessage],
        indexes: Sequence[int],
        outcomes: list[PublishOutcome],
    ) -> None:
        for place, index in enumerate(indexes):
            outcomes[index] = failure = await self._send(link, messages[index])
            if failure is not None:
                for later in indexes[place + 1 :]:
                    outcomes[later] = failure
                return

    async def _send(self, link: NATSLink, message: OutboxMessage) -> PublishOutcome:
        try:
            body, headers = self._serializer.encode(message)
            headers["Nats-Msg-Id"] = str(message.message_id)
            _check_size(message, body, headers, link.client.max_payload)
            await link.jetstream.publish(
                self._topology.subject(self._router.topic_of(message), message),
                body,
                timeout=self._topology.settings.publish_timeout,
                stream=self._topology.messages,
                headers=headers,
            )
        except MessagingError as error:
            return error
        except FAILURES as error:
            if is_missing(error):
                link.check_again(self._topology)
            return publish_failure(message.message_id, error)
        return None


def _check_size(
    message: OutboxMessage, body: bytes, headers: Mapping[str, str], max_payload: int
) -> None:
    # The server ends the connection of who sends more, and with it everything under way.
    size = len(body) + sum(len(name) + len(value) + 4 for name, value in headers.items())
    if size > max_payload - _ROOM_FOR_DEATH:
        reason = f"it has {size} bytes with its headers, and the server takes {max_payload}"
        raise MalformedMessageError(f"{reason} with room for a dead letter", message.message_id)
