"""Rows of the events table as stored events."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from cqrs_ddd_core.ports.event_store import StoredEvent

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cqrs_ddd_core.ports.event_store import StreamId

__all__ = ["COLUMNS", "INSERTED", "stored_events"]

#: What an append writes, in this order.
INSERTED: Final = (
    "tenant_id, aggregate_type, aggregate_id, version, event_id, event_type, schema_version, "
    "payload, metadata, correlation_id, causation_id, occurred_at, recorded_at"
)
#: What a reader selects, in the order of ``StoredEvent``; ``{metadata}`` as text, and ``{stream}``
#: two columns, which may be NULL where all events are of one stream.
COLUMNS: Final = (
    "position, {stream}, version, event_id, event_type, schema_version, payload, "
    "occurred_at, recorded_at, correlation_id, causation_id, {metadata}"
)

# What StoredEvent._make does too, which also counts the columns, each time.
_make: Final = partial(tuple.__new__, StoredEvent)


def stored_events(rows: Iterable[Sequence[Any]], stream: StreamId | None) -> list[StoredEvent]:
    """Return the events of rows of ``COLUMNS``.

    Args:
        rows: What the driver fetched, with ids and times as such.
        stream: Whose events all of them are; ``None`` when each row says it.
    """
    if stream is None:
        return list(map(_make, rows))
    return [_make((row[0], *stream, *row[3:])) for row in rows]
