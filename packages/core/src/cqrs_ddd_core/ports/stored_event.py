"""What is read from streams: events, and which stream they are of."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import cached_property
from typing import Any, NamedTuple
from uuid import UUID

from pydantic_core import from_json

__all__ = ["StoredEvent", "StreamId"]


class StreamId(NamedTuple):
    """A stream is one aggregate's events: type name and id."""

    aggregate_type: str
    aggregate_id: str

    def __str__(self) -> str:
        aggregate_type = self.aggregate_type
        if "-" in aggregate_type or "%" in aggregate_type:
            aggregate_type = aggregate_type.replace("%", "%25").replace("-", "%2D")
        return f"{aggregate_type}-{self.aggregate_id}"

    @classmethod
    def parse(cls, text: str) -> StreamId | None:
        """Return the stream that is written like that; ``None`` when none is."""
        aggregate_type, dash, aggregate_id = text.partition("-")
        if not dash:
            return None
        return cls(aggregate_type.replace("%2D", "-").replace("%25", "%"), aggregate_id)


class _Columns(NamedTuple):
    position: int
    aggregate_type: str
    aggregate_id: str
    version: int
    event_id: UUID
    event_type: str
    schema_version: int
    payload_bytes: bytes
    occurred_at: datetime
    recorded_at: datetime
    correlation_id: str | None = None
    causation_id: str | None = None
    metadata_json: str | bytes | None = None


class StoredEvent(_Columns):
    """An event as it stands in a stream; it never changes again.

    It is a tuple of what a store keeps, so that a page of events costs next to nothing to make:
    an adapter that selects the columns in this order makes them with ``StoredEvent._make(row)``.
    What is read from them is read when somebody asks for it.

    Attributes:
        position: Place in the order of all events, from 1, increasing, with holes.
        aggregate_type: Type name of the aggregate whose stream this is.
        aggregate_id: Id of the aggregate whose stream this is.
        version: Place in its stream, from 1, without gaps, also when older ones were removed.
        payload_bytes: The stored JSON, exactly as written.
        recorded_at: When the store wrote it, aware UTC.
        metadata_json: The metadata as JSON; ``None`` when there is none.
    """

    @property
    def stream(self) -> StreamId:
        """The stream it is in."""
        return StreamId(self.aggregate_type, self.aggregate_id)

    @cached_property
    def payload(self) -> dict[str, Any]:
        """The payload as JSON values, parsed on first use."""
        return from_json(self.payload_bytes)  # type: ignore[no-any-return]

    @cached_property
    def metadata(self) -> Mapping[str, Any]:
        """The metadata, parsed on first use."""
        return {} if self.metadata_json is None else from_json(self.metadata_json)
