"""The event archive port: events that were taken out of their streams and can still be read."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cqrs_ddd_core.ports.event_store import EventFilter, StoredEvent, StreamId

__all__ = ["IEventArchive"]


class IEventArchive(Protocol):
    """Keeps old events exactly as the event store had them, with their versions and positions.

    Inside a unit of work of the same database everything commits or vanishes with it, so that
    copying an event here and removing it from its stream are one step. All calls see the tenant
    of the current context only.
    """

    @abstractmethod
    async def add_events(self, stream: StreamId, events: Sequence[StoredEvent]) -> None:
        """Keep events of a stream; those that are kept already stay as they are.

        When it returns, all of them can be read.

        Raises:
            EventStoreError: Another event is kept under the version of one of them.
        """
        ...

    @abstractmethod
    async def get_events(
        self,
        stream: StreamId,
        *,
        after_version: int = 0,
        up_to_version: int | None = None,
        limit: int | None = None,
        event_filter: EventFilter | None = None,
    ) -> list[StoredEvent]:
        """Return the kept events of a stream in version order.

        Args:
            stream: Whose events.
            after_version: Only events behind this version.
            up_to_version: Only events up to this version, inclusive.
            limit: How many at most, the oldest of them.
            event_filter: Only events that meet it.
        """
        ...

    @abstractmethod
    async def read_positions(
        self,
        after_position: int,
        up_to_position: int,
        *,
        limit: int,
        event_filter: EventFilter | None = None,
    ) -> list[StoredEvent]:
        """Return the kept events of all streams in position order.

        Args:
            after_position: Only events behind this position.
            up_to_position: Only events up to this position, inclusive.
            limit: How many at most, the first of them.
            event_filter: Only events that meet it.
        """
        ...

    @abstractmethod
    async def delete_events(self, stream: StreamId, *, up_to_version: int | None = None) -> int:
        """Remove kept events of a stream for good, all or up to a version; return how many."""
        ...
