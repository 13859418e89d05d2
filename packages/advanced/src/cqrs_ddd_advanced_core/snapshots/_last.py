"""What this process knows of the newest snapshot of each stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from datetime import datetime

    from cqrs_ddd_advanced_core.snapshots._writer import SnapshotKey

__all__ = ["LastSnapshot", "LastSnapshots"]

_LIMIT: Final = 10_000


class LastSnapshot(NamedTuple):
    """The newest snapshot of a stream, found or tried to be taken; version 0 when none."""

    version: int
    taken_at: datetime | None


class LastSnapshots:
    """Remembers the newest snapshots of the streams that were used last.

    Args:
        limit: Of how many streams.
    """

    def __init__(self, limit: int = _LIMIT) -> None:
        self._limit = limit
        self._known: dict[SnapshotKey, LastSnapshot] = {}

    def get(self, key: SnapshotKey) -> LastSnapshot | None:
        """Return what is known of a stream's newest snapshot."""
        return self._known.get(key)

    def note(self, key: SnapshotKey, last: LastSnapshot) -> None:
        """Remember a snapshot, if it is not older than the one that is known.

        What could not be written counts as well: it would fail again after each commit.
        """
        known = self._known.pop(key, last)
        self._known[key] = last if last.version >= known.version else known
        if len(self._known) > self._limit:
            self._known.pop(next(iter(self._known)))

    def forget(self, key: SnapshotKey) -> None:
        """Know nothing of a stream any more."""
        self._known.pop(key, None)
