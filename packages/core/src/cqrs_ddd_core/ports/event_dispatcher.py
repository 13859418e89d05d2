"""The dispatcher port: tell handlers in this process what happened."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cqrs_ddd_core.domain.events import DomainEvent

__all__ = ["IEventDispatcher"]


class IEventDispatcher(Protocol):
    """Calls the handlers of events, one after the other, in order of events and registration."""

    @abstractmethod
    def register(
        self, event_type: type[DomainEvent], handler: Any, *, synchronous: bool = True
    ) -> None:
        """Call a handler for every event of that class or its subclasses.

        Args:
            event_type: The class whose events it sees.
            handler: An async function, an object with an async ``handle``, or a class of such.
            synchronous: In the transaction, where raising vetoes the command; otherwise after
                the commit, where raising is logged and changes nothing.
        """
        ...

    @abstractmethod
    async def dispatch(self, events: Sequence[DomainEvent]) -> None:
        """Call the synchronous handlers; the first exception stops everything and propagates."""
        ...

    @abstractmethod
    async def dispatch_committed(self, events: Sequence[DomainEvent]) -> None:
        """Call the asynchronous handlers; exceptions are logged and counted."""
        ...
