"""Where messages are taken, harmed by plan, and put into the queues of those who want them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cqrs_ddd_core.adapters.memory.message_bus import InMemoryMessageBus
from cqrs_ddd_infrastructure_messaging.routing import topic_matches

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from cqrs_ddd_core.ports.outbox import OutboxMessage
    from cqrs_ddd_infrastructure_messaging.memory._timeline import Timeline
    from cqrs_ddd_infrastructure_messaging.memory.faults import Faults
    from cqrs_ddd_infrastructure_messaging.routing import TopicRouter
    from cqrs_ddd_infrastructure_messaging.serialization import EnvelopeSerializer

__all__ = ["Exchange"]


class Exchange(InMemoryMessageBus):
    """Core's bus, with topics, bytes and faults.

    Args:
        router: Says to which topic a message goes.
        serializer: Writes and reads messages.
        faults: What goes wrong.
        timeline: When messages arrive.
        on_change: Called when messages may have arrived.
        max_queued: How many messages may wait for one consumer name.
    """

    def __init__(
        self,
        router: TopicRouter,
        serializer: EnvelopeSerializer,
        faults: Faults,
        timeline: Timeline,
        *,
        on_change: Callable[[], None],
        max_queued: int,
    ) -> None:
        super().__init__(
            is_wanted=self._matches,
            max_queued=max_queued,
            max_payload_bytes=serializer.limits.max_bytes,
        )
        self._router = router
        self._serializer = serializer
        self._faults = faults
        self._timeline = timeline
        self._on_change = on_change

    def accept(self, message: OutboxMessage) -> None:
        self._faults.refuse(message)
        arrived = self._serializer.decode(*self._serializer.encode(message)).message
        for seconds in self._faults.deliveries(message):
            if seconds:
                self._timeline.plan(seconds, lambda: self._distribute(arrived))
            else:
                self._distribute(arrived)
        self._on_change()
        self._faults.lose_confirmation(message)

    def _distribute(self, message: OutboxMessage) -> None:
        super().accept(message)

    def _matches(self, message: OutboxMessage, patterns: Collection[str]) -> bool:
        topic = self._router.topic_of(message)
        return any(topic_matches(pattern, topic) for pattern in patterns)
