"""The snapshot store port: states of aggregates, so that not every event has to be replayed."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from datetime import datetime

    from cqrs_ddd_core.ports.event_store import StreamId

__all__ = ["ISnapshotStore", "Snapshot"]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state of an aggregate after so many events.

    Attributes:
        stream: Whose state it is.
        version: The version of the last event in it.
        fingerprint: Says which shape the state has; a state of another shape is not used.
        state: JSON as UTF-8 bytes.
        created_at: When it was taken, aware UTC.
    """

    stream: StreamId
    version: int
    fingerprint: str
    state: bytes
    created_at: datetime


@runtime_checkable
class ISnapshotStore(Protocol):
    """Keeps snapshots beside the events they can be rebuilt from.

    A snapshot is a copy: losing one costs time, never data. There is at most one of each stream
    and version. All calls see the tenant of the current context only, and belong to the current
    unit of work when there is one.
    """

    @abstractmethod
    async def save_snapshot(self, snapshot: Snapshot) -> None:
        """Keep a snapshot; one of the same stream and version is replaced."""
        ...

    @abstractmethod
    async def get_latest_snapshot(
        self, stream: StreamId, *, fingerprint: str | None = None, up_to_version: int | None = None
    ) -> Snapshot | None:
        """Return the snapshot of a stream with the highest version, ``None`` when there is none.

        Args:
            stream: Whose.
            fingerprint: Only one of this shape, when given.
            up_to_version: None newer than this, when given.
        """
        ...

    @abstractmethod
    async def delete_snapshots(self, stream: StreamId, *, keep: int = 0) -> int:
        """Remove the snapshots of a stream, but for those with the highest versions.

        Args:
            stream: Whose.
            keep: How many stay.

        Returns:
            How many were removed.
        """
        ...

    @abstractmethod
    async def clear(self, aggregate_type: str | None = None) -> int:
        """Remove all snapshots, or those of one type of aggregates; return how many.

        Needed after the events were restored from a backup and the snapshots were not.
        """
        ...

    @abstractmethod
    async def get_snapshot_count(self, aggregate_type: str | None = None) -> int:
        """Return how many snapshots there are, of all types or of one."""
        ...
