"""Rows of the events table as stored events."""

from __future__ import annotations

from collections.abc import Callable
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
#: What a reader selects, in the order ``stored_events`` expects; ``{metadata}`` as text, and
#: ``{stream}`` two columns, which may be NULL where all events are of one stream.
COLUMNS: Final = (
    "position, {stream}, version, event_id, event_type, schema_version, "
    "payload, {metadata}, correlation_id, causation_id, occurred_at, recorded_at"
)

_new_event: Final = StoredEvent.__new__


def _setter(name: str) -> Callable[[StoredEvent, Any], None]:
    setter: Callable[[StoredEvent, Any], None] = getattr(StoredEvent, name).__set__
    return setter


_set_position: Final = _setter("position")
_set_stream: Final = _setter("stream")
_set_aggregate_type: Final = _setter("_aggregate_type")
_set_aggregate_id: Final = _setter("_aggregate_id")
_set_version: Final = _setter("version")
_set_event_id: Final = _setter("event_id")
_set_event_type: Final = _setter("event_type")
_set_schema_version: Final = _setter("schema_version")
_set_payload_bytes: Final = _setter("payload_bytes")
_set_metadata: Final = _setter("_metadata")
_set_correlation_id: Final = _setter("correlation_id")
_set_causation_id: Final = _setter("causation_id")
_set_occurred_at: Final = _setter("occurred_at")
_set_recorded_at: Final = _setter("recorded_at")


def stored_events(rows: Iterable[Sequence[Any]], stream: StreamId | None) -> list[StoredEvent]:
    """Return the events of rows of ``COLUMNS``.

    Args:
        rows: What the driver fetched, with ids and times as such.
        stream: Whose events all of them are; ``None`` when each row says it.
    """
    # The constructor of a frozen dataclass costs three times as much as its slots, and what is
    # left to be made later keeps the garbage collector away from pages of events.
    events = []
    for row in rows:
        event = _new_event(StoredEvent)
        (
            position,
            aggregate_type,
            aggregate_id,
            version,
            event_id,
            event_type,
            schema_version,
            payload,
            metadata,
            correlation_id,
            causation_id,
            occurred_at,
            recorded_at,
        ) = row
        _set_position(event, position)
        if stream is None:
            _set_aggregate_type(event, aggregate_type)
            _set_aggregate_id(event, aggregate_id)
        else:
            _set_stream(event, stream)
        _set_version(event, version)
        _set_event_id(event, event_id)
        _set_event_type(event, event_type)
        _set_schema_version(event, schema_version)
        _set_payload_bytes(event, payload)
        _set_metadata(event, "{}" if metadata is None else metadata)
        _set_correlation_id(event, correlation_id)
        _set_causation_id(event, causation_id)
        _set_occurred_at(event, occurred_at)
        _set_recorded_at(event, recorded_at)
        events.append(event)
    return events
