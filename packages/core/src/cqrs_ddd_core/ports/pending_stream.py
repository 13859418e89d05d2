"""What a unit of work is going to append to one stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from cqrs_ddd_core.primitives.exceptions import OptimisticConcurrencyError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from cqrs_ddd_core.domain.events import DomainEvent
    from cqrs_ddd_core.ports.event_store import AppendResult, IEventStore, NewEvent, StreamId

__all__ = ["ConflictResolution", "PendingStream"]

#: Told of a lost race and of the events that lost it; returns the version to append them after,
#: or raises.
ConflictResolution: TypeAlias = (
    "Callable[[OptimisticConcurrencyError, Sequence[NewEvent]], Awaitable[int]]"
)


class PendingStream:
    """The events of an event-sourced aggregate between its save and the commit.

    Args:
        stream: Where they go.
        store: The event store that has the stream.
        version: The version the stream is expected at, which is that of the loaded aggregate.

    Attributes:
        events: Saved and not appended yet, in the order they were raised.
        on_conflict: What becomes of them when the stream is at another version; the conflict is
            raised when not set.
        has_ended: Whether the last event is a tombstone, after which nothing is saved any more.
    """

    __slots__ = ("events", "has_ended", "on_conflict", "store", "stream", "version")

    def __init__(self, stream: StreamId, store: IEventStore, version: int) -> None:
        self.stream: StreamId = stream
        self.store: IEventStore = store
        self.version: int = version
        self.events: list[DomainEvent] = []
        self.on_conflict: ConflictResolution | None = None
        self.has_ended: bool = False

    @property
    def next_version(self) -> int:
        """The version of the stream once all of it is appended."""
        return self.version + len(self.events)

    def expect(self, version: int) -> None:
        """Take over the version of an aggregate that is about to be saved.

        Raises:
            OptimisticConcurrencyError: Another copy of it was saved in this unit of work after
                this one was loaded.
        """
        if not self.events:
            self.version = version
        elif version != self.next_version:
            raise OptimisticConcurrencyError(self.stream, version, self.next_version)

    async def append(self, events: Sequence[NewEvent]) -> AppendResult:
        """Append events at exactly the expected version, or after the one a resolution returns.

        The resolution is asked again when others go on appending meanwhile; it ends that by
        raising.

        Raises:
            OptimisticConcurrencyError: The stream is at another version, and the conflict was
                not resolved.
        """
        result, version = None, self.version
        while result is None:
            try:
                result = await self.store.append(self.stream, events, expected_version=version)
            except OptimisticConcurrencyError as conflict:
                if self.on_conflict is None:
                    raise
                version = await self.on_conflict(conflict, events)
        appended = {event.event_id for event in events}
        self.events = [event for event in self.events if event.event_id not in appended]
        self.version = result.version
        return result
