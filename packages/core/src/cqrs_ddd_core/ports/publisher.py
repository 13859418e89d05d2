"""The publisher port: hand a message to a broker and know that it has it."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cqrs_ddd_core.ports.outbox import OutboxMessage

__all__ = ["IMessagePublisher", "PublishOutcome"]

#: ``None`` when the broker has confirmed the message, otherwise why it has not.
PublishOutcome = Exception | None


class IMessagePublisher(Protocol):
    """Publishes outbox messages."""

    @abstractmethod
    async def publish(self, messages: Sequence[OutboxMessage]) -> Sequence[PublishOutcome]:
        """Publish messages in the order given and wait until each is confirmed or refused.

        Messages of one stream are sent in order. After a failure, later messages of the same
        stream in this call are not sent and get the same outcome.

        Returns:
            One outcome per message, in the same order. An unknown outcome counts as a failure:
            the message may then be published twice, never not at all. A message is given up
            after some failures of its own; ``BrokerUnavailableError`` is nobody's.

        Raises:
            BrokerUnavailableError: Instead of outcomes, when nothing was sent.
        """
        ...
