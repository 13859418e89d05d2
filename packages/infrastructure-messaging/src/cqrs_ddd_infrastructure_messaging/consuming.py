"""What transports that deliver many messages at a time have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Protocol, TypeAlias

from cqrs_ddd_core.ports.consumer import IMessageConsumer
from cqrs_ddd_core.ports.outbox import OutboxMessage

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["BatchHandler", "IBatchMessageConsumer"]

#: Handles messages in the order given and says of each, in that order, why it failed, or ``None``
#: when its effect is committed. After a failure, later messages of the same stream are not
#: handled and get the same outcome. Raising means that none of them was handled; they are then
#: delivered in batches of one, to find out which one it was.
BatchHandler: TypeAlias = Callable[[Sequence[OutboxMessage]], Awaitable[Sequence[Exception | None]]]


class IBatchMessageConsumer(IMessageConsumer, Protocol):
    """A consumer that can deliver what has arrived as one batch."""

    @abstractmethod
    async def subscribe_batch(
        self,
        message_types: Collection[str],
        handler: BatchHandler,
        *,
        consumer: str,
        batch_size: int = 200,
    ) -> None:
        """Deliver messages of these types in batches under a consumer name.

        A batch is what has arrived, up to ``batch_size``; nothing waits for it to fill. Its
        messages are acknowledged together when the handler returned; those that failed are
        delivered again or become dead letters one by one, as with ``subscribe``.
        """
        ...
