"""How long events have been waiting."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from cqrs_ddd_core.ports.event_store import EventFilter, IEventStore

__all__ = ["lag_seconds"]


async def lag_seconds(
    event_store: IEventStore, position: int, event_filter: EventFilter | None, now: datetime
) -> float:
    """Return for how long the first settled event behind a position has been stored.

    0 when none waits. Never negative, although two clocks are compared.
    """
    page = await event_store.read_page(position, limit=1, event_filter=event_filter)
    while not (page.events or page.is_last):
        page = await event_store.read_page(page.position, limit=1, event_filter=event_filter)
    if not page.events:
        return 0.0
    return max((now - page.events[0].recorded_at).total_seconds(), 0.0)
