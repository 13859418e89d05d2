"""The publisher of the in-memory message bus."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cqrs_ddd_core.ports.publisher import IMessagePublisher, PublishOutcome
from cqrs_ddd_core.primitives.exceptions import MessagingError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cqrs_ddd_core.adapters.memory.message_bus import InMemoryMessageBus
    from cqrs_ddd_core.ports.outbox import OutboxMessage

__all__ = ["InMemoryMessagePublisher"]


class InMemoryMessagePublisher(IMessagePublisher):
    """Publishes to consumers in the same process.

    Args:
        bus: Shared with the consumers.
    """

    def __init__(self, bus: InMemoryMessageBus) -> None:
        self._bus = bus

    async def publish(self, messages: Sequence[OutboxMessage]) -> Sequence[PublishOutcome]:
        failed: dict[tuple[str, str], PublishOutcome] = {}
        return [self._publish(message, failed) for message in messages]

    def _publish(
        self, message: OutboxMessage, failed: dict[tuple[str, str], PublishOutcome]
    ) -> PublishOutcome:
        stream = message.tenant_id, message.stream
        if stream not in failed:
            try:
                self._bus.accept(message)
            except MessagingError as error:
                failed[stream] = error
        return failed.get(stream)
