"""The parked events port: events a projection could not apply, kept until somebody decides."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime

    from cqrs_ddd_advanced_core.ports.checkpoint_store import CheckpointKey
    from cqrs_ddd_core.ports.event_store import StoredEvent, StreamId

__all__ = ["IParkedEvents", "ParkedEvent"]


@dataclass(frozen=True, slots=True)
class ParkedEvent:
    """An event a projection gave up, or one that waits behind such an event of its stream.

    Attributes:
        key: Of which projection.
        position: Of the event.
        stream: Its stream.
        event_type: Its registered type name.
        error: Why it could not be applied; ``None`` when it only waits behind another.
        parked_at: When, aware UTC.
    """

    key: CheckpointKey
    position: int
    stream: StreamId
    event_type: str
    error: str | None
    parked_at: datetime


class IParkedEvents(Protocol):
    """Parked events, in the database of the checkpoints.

    What is written in a unit of work commits or vanishes with it. Events themselves are in the
    event store; only where they are is kept here. All calls see the tenant of the current context
    only.
    """

    @abstractmethod
    async def park(self, key: CheckpointKey, event: StoredEvent, error: str | None) -> None:
        """Keep an event in the current unit of work; parking it again replaces the error."""
        ...

    @abstractmethod
    async def held_streams(self, key: CheckpointKey) -> set[StreamId]:
        """Return the streams that have a parked event, whose later events have to wait."""
        ...

    @abstractmethod
    async def list_parked(
        self, projection: str, *, version: int | None = None, limit: int = 100, after: int = 0
    ) -> Sequence[ParkedEvent]:
        """Return parked events behind a position, in position order."""
        ...

    @abstractmethod
    async def list_stream(self, key: CheckpointKey, stream: StreamId) -> Sequence[ParkedEvent]:
        """Return what is parked of one stream, in position order."""
        ...

    @abstractmethod
    async def remove(self, key: CheckpointKey, positions: Collection[int]) -> int:
        """Forget parked events in the current unit of work; return how many there were."""
        ...

    @abstractmethod
    async def count(self, projection: str, version: int) -> int:
        """Return how many events of a projection are parked, those that only wait included."""
        ...

    @abstractmethod
    async def clear(self, projection: str, version: int) -> int:
        """Forget all that a version has parked, in the current unit of work; return how many."""
        ...

    @abstractmethod
    async def move(self, projection: str, version: int, to_version: int) -> int:
        """Keep all that a version has parked under another one, in the current unit of work.

        Args:
            projection: Which one.
            version: What it was parked under.
            to_version: What nothing is parked under yet.

        Returns:
            How many events there were.
        """
        ...
