"""Versions of a stream at a point in time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cqrs_ddd_core.ports.event_store import EventFilter

if TYPE_CHECKING:
    from datetime import datetime

    from cqrs_ddd_core.ports.event_store import IEventStore, StreamId

__all__ = ["version_before"]


async def version_before(store: IEventStore, stream: StreamId, moment: datetime) -> int:
    """Return the version a stream had before anything of it happened at that moment or later.

    What was stored after such an event is not part of it, even if it says it happened earlier.
    """
    later = await store.get_events(stream, limit=1, event_filter=EventFilter(occurred_from=moment))
    return later[0].version - 1 if later else await store.get_stream_version(stream)
