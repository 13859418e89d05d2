"""One consumer name between a start and a stop."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from cqrs_ddd_infrastructure_messaging._lanes import StreamLanes
from cqrs_ddd_infrastructure_messaging.nats._delivery import Hands, NATSDelivery
from cqrs_ddd_infrastructure_messaging.nats._subscription import Subscription
from cqrs_ddd_infrastructure_messaging.routing import topic_matches

if TYPE_CHECKING:
    from collections.abc import Collection

    from cqrs_ddd_infrastructure_messaging._handling import Handling
    from cqrs_ddd_infrastructure_messaging.nats._driver import Msg
    from cqrs_ddd_infrastructure_messaging.nats.connection import NATSConnection
    from cqrs_ddd_infrastructure_messaging.nats.topology import NATSTopology
    from cqrs_ddd_infrastructure_messaging.serialization import EnvelopeSerializer

__all__ = ["Running"]

_logger = logging.getLogger(__name__)


class Running:
    """Takes what arrives for a consumer name and has it settled in the lanes of its streams.

    Args:
        consumer: Its name.
        connection: To the server.
        topology: Names the streams.
        patterns: Topics it asks for.
        partitions: Over how many places its streams are spread.
        prefetch: How many deliveries it holds.
        serializer: Reads them.
        handling: Settles them.
        limit: How often a message may be delivered.
    """

    def __init__(
        self,
        consumer: str,
        connection: NATSConnection,
        topology: NATSTopology,
        *,
        patterns: Collection[str],
        partitions: int,
        prefetch: int,
        serializer: EnvelopeSerializer,
        handling: Handling[NATSDelivery],
        limit: int,
    ) -> None:
        self._consumer = consumer
        self._topology = topology
        self._patterns = patterns
        self._serializer = serializer
        self._limit = limit
        self._hands = Hands(connection, topology, size=prefetch)
        self._lanes = StreamLanes(handling.settle, name=f"handlers of {consumer}")
        self._subscription = Subscription(
            consumer,
            connection,
            topology,
            topology.durables(consumer, patterns, partitions=partitions, prefetch=prefetch),
            hands=self._hands,
            arrived=self._take,
        )

    @property
    def is_consuming(self) -> bool:
        """Whether messages arrive at this moment, as far as anybody can know."""
        return self._subscription.is_consuming

    async def start(self) -> None:
        """Begin to take messages."""
        await self._subscription.start()

    async def stop(self, *, timeout: float) -> None:
        """Take no more, let handlers end within so many seconds, and give the rest back."""
        await self._subscription.stop_pulling()
        self._hands.closed.set()
        if not await self._lanes.drain(timeout=timeout):
            _logger.warning("%s: handlers did not end in %g s: cancelled", self._consumer, timeout)
        await self._subscription.close()

    async def _take(self, incoming: Msg) -> None:
        delivery = NATSDelivery(incoming, self._hands, self._serializer, limit=self._limit)
        self._hands.take(delivery)
        if self._is_asked_for(incoming.subject):
            self._lanes.put(delivery.stream, delivery)
        else:
            await delivery.acknowledge()

    def _is_asked_for(self, subject: str) -> bool:
        """Whether it matches a topic: the server looks at one filter, and there may be more."""
        if self._topology.is_replay(subject):
            return True
        topic = self._topology.topic_in(subject)
        return any(topic_matches(pattern, topic) for pattern in self._patterns)
