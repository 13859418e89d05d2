"""Whether there are events that a view does not show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cqrs_ddd_advanced_core.ports.checkpoint_store import CheckpointState

if TYPE_CHECKING:
    from datetime import datetime

    from cqrs_ddd_advanced_core.ports.checkpoint_store import ICheckpointStore
    from cqrs_ddd_core.ports.event_store import IEventStore, StoredEvent
    from cqrs_ddd_persistence_sqlalchemy.materialized_view.definition import MaterializedView

__all__ = ["Sources", "Watch"]


@dataclass(slots=True)
class Watch:
    """What a refresher has seen of one tenant's events since a view was last refreshed.

    Attributes:
        shown: Position up to which the view shows everything.
        seen: Position up to which events were looked at.
        stale_since: When the first event came that the view does not show.
        changed_at: When the last one was seen.
    """

    shown: int
    seen: int
    stale_since: datetime | None = None
    changed_at: datetime | None = None

    def note(self, event: StoredEvent, now: datetime) -> None:
        """Remember an event that concerns the view."""
        self.stale_since = min(self.stale_since or event.recorded_at, event.recorded_at)
        self.changed_at = now


class Sources:
    """Reads what views depend on, for the tenant of the current context.

    Args:
        event_store: The feed.
        checkpoints: How far projections have come.
    """

    def __init__(self, event_store: IEventStore, checkpoints: ICheckpointStore) -> None:
        self._event_store = event_store
        self._checkpoints = checkpoints

    async def position(self, view: MaterializedView) -> int:
        """Return the position up to which everything is there that the view reads.

        What reads the tables afterwards sees at least that.
        """
        reached = await self._event_store.get_latest_position()
        for projection in view.after:
            reached = min(reached, await self._reached(projection, reached))
        return reached

    async def versions(self, view: MaterializedView) -> dict[str, int]:
        """Return which versions serve of the projections whose tables a view reads."""
        return {
            projection: await self._checkpoints.serving_version(projection) or 0
            for projection in view.after
        }

    async def _reached(self, projection: str, latest: int) -> int:
        """Return how far the serving version of a projection has come, in all its partitions."""
        version = await self._checkpoints.serving_version(projection)
        found = await self._checkpoints.get(projection, version)
        # Until one was chosen, the oldest serves; newer ones are being built beside it.
        oldest = min((one.key.version for one in found), default=0)
        return min(
            (
                # Its rows are written with the events.
                latest if one.state is CheckpointState.INLINE else one.position
                for one in found
                if one.key.version == oldest
            ),
            default=0,
        )

    async def first_change(
        self, view: MaterializedView, after: int, up_to: int
    ) -> tuple[StoredEvent | None, int]:
        """Return the first settled event of a range that concerns a view, if there is one.

        Args:
            view: Which view.
            after: Only events behind this position.
            up_to: Only events up to this position.

        Returns:
            The event, and how far was looked.
        """
        while after < up_to:
            page = await self._event_store.read_page(after, limit=1, event_filter=view.event_filter)
            for event in page.events:
                return (event, event.position) if event.position <= up_to else (None, up_to)
            after = page.position
            if page.is_last:
                break
        return None, min(after, up_to)

    async def head(self) -> int:
        """Return the position of the last settled event."""
        return await self._event_store.get_latest_position()
