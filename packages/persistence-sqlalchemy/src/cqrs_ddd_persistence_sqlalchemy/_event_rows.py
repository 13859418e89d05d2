"""Rows of the events table as stored events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pydantic_core import from_json

from cqrs_ddd_core.ports.event_store import StoredEvent, StreamId

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

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
_new_tuple: Final = tuple.__new__


def stored_events(
    rows: Iterable[Sequence[Any]],
    stream: StreamId | None,
    decode: Callable[[dict[str, Any]], None] | None = None,
) -> list[StoredEvent]:
    """Return the events of rows of ``COLUMNS``.

    Args:
        rows: What the driver fetched.
        stream: Whose events all of them are; ``None`` when each row says it.
        decode: Turns the values of one row, in place, into ids and times where the driver does
            not do it.
    """
    # The constructor of a frozen dataclass costs three times as much as filling in its fields.
    events = []
    for row in rows:
        event = _new_event(StoredEvent)
        fields = event.__dict__
        (
            fields["position"],
            aggregate_type,
            aggregate_id,
            fields["version"],
            fields["event_id"],
            fields["event_type"],
            fields["schema_version"],
            fields["payload_bytes"],
            metadata,
            fields["correlation_id"],
            fields["causation_id"],
            fields["occurred_at"],
            fields["recorded_at"],
        ) = row
        fields["stream"] = stream or _new_tuple(StreamId, (aggregate_type, aggregate_id))
        fields["metadata"] = {} if metadata is None else from_json(metadata)
        if decode is not None:
            decode(fields)
        events.append(event)
    return events
