"""The middleware port: code around every command and query."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Awaitable, Callable
from enum import Enum
from typing import Any, ClassVar, Protocol, TypeAlias

__all__ = ["IMiddleware", "MiddlewareScope", "NextHandler"]

#: The rest of the pipeline: takes the message, returns the response.
NextHandler: TypeAlias = Callable[[Any], Awaitable[Any]]


class MiddlewareScope(Enum):
    """Where a middleware stands to the unit of work."""

    #: Around the unit of work: sees the outcome of the commit; retries get a fresh one.
    OUTSIDE = "outside"
    #: In the unit of work of a command: what it writes commits with it. A query has none; there
    #: it only means nearer to the handler than those outside.
    INSIDE = "inside"


class IMiddleware(Protocol):
    """Runs around the handler of every message.

    One instance serves all messages at once, so it keeps no state of a single call on itself.

    Attributes:
        scope: Around or in the unit of work.
    """

    scope: ClassVar[MiddlewareScope] = MiddlewareScope.OUTSIDE

    def applies_to(self, message_type: type[Any]) -> bool:  # noqa: ARG002 - asked of subclasses
        """Whether to run for messages of this type; asked once, when the pipeline is built."""
        return True

    @abstractmethod
    async def __call__(self, message: Any, next_handler: NextHandler) -> Any:
        """Do something, ``await next_handler(message)``, return the response.

        In a unit of work ``next_handler`` is awaited at most once.
        """
        ...
