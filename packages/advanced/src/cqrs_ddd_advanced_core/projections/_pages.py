"""Pages of the feed, the next of which is read while one is worked off."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cqrs_ddd_core.ports.event_store import EventFilter, EventPage, IEventStore

__all__ = ["FeedPages"]


class FeedPages:
    """Reads pages of the events that meet a filter, and one of them ahead.

    What was read ahead is settled like everything else, so it is the page that would be read
    later, unless more events have come to its end.

    Args:
        event_store: Has the events.
        event_filter: Which of them.
        limit: How many events a page has at most.
    """

    def __init__(self, event_store: IEventStore, event_filter: EventFilter, *, limit: int) -> None:
        self._event_store = event_store
        self._event_filter = event_filter
        self._limit = limit
        self._position = 0
        self._ahead: asyncio.Task[EventPage] | None = None

    async def after(self, position: int) -> EventPage:
        """Return the page behind a position."""
        ahead, is_it = self._ahead, self._position == position
        if ahead is None or not is_it:
            await self.close()
            return await self._read(position)
        self._ahead = None
        return await ahead

    def read_ahead(self, position: int) -> None:
        """Begin to read the page behind a position, which is the one asked for next."""
        self._position = position
        self._ahead = asyncio.create_task(self._read(position), name="projection feed")

    async def close(self) -> None:
        """Give up what was read ahead."""
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            ahead.cancel()
            await asyncio.wait([ahead])
            if not ahead.cancelled():
                # Why it failed will show again, to who asks for the page.
                ahead.exception()

    async def _read(self, position: int) -> EventPage:
        return await self._event_store.read_page(
            position, limit=self._limit, event_filter=self._event_filter
        )
