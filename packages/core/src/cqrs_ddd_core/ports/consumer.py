"""The consumer port: receive messages and acknowledge them after their effect is committed."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Protocol, TypeAlias

from cqrs_ddd_core.ports.outbox import OutboxMessage

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["IMessageConsumer", "MessageHandler"]

#: Handles one message; returning acknowledges it, raising does not.
MessageHandler: TypeAlias = Callable[[OutboxMessage], Awaitable[None]]


class IMessageConsumer(Protocol):
    """Delivers messages of some types to a handler, at least once."""

    @abstractmethod
    async def subscribe(
        self, message_types: Collection[str], handler: MessageHandler, *, consumer: str
    ) -> None:
        """Deliver messages of these types to the handler under a consumer name.

        A message is acknowledged when the handler returns. When it raises, the message is
        delivered again later, and goes to the dead letters after the last try: an error is never
        swallowed.
        """
        ...

    @abstractmethod
    async def start(self) -> None:
        """Begin to deliver."""
        ...

    @abstractmethod
    async def stop(self) -> None:
        """Stop delivering and wait for the handlers under way."""
        ...
