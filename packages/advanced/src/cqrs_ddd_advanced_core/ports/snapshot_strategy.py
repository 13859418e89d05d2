"""The snapshot strategy port: when a snapshot is worth its writing."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from datetime import datetime

    from cqrs_ddd_core.domain.aggregate import AggregateRoot

__all__ = ["ISnapshotStrategy", "SnapshotProgress"]


@dataclass(frozen=True, slots=True)
class SnapshotProgress:
    """How far a stream has come since its last usable snapshot, as this process knows it.

    Attributes:
        previous_version: The version of the stream before the commit.
        version: Its version now.
        snapshot_version: The version of the last snapshot; 0 when there is none.
        snapshot_at: When that was taken, aware UTC; ``None`` when there is none.
    """

    previous_version: int
    version: int
    snapshot_version: int = 0
    snapshot_at: datetime | None = None


class ISnapshotStrategy(Protocol):
    """Decides after each commit whether to take a snapshot.

    It is asked between a command and its answer, so it may not wait for anything. A wrong answer
    costs time only.
    """

    @abstractmethod
    def should_snapshot(self, aggregate: AggregateRoot[Any], progress: SnapshotProgress) -> bool:
        """Whether to take a snapshot now.

        Args:
            aggregate: As it was committed; not to be changed.
            progress: How far its stream has come.
        """
        ...
