"""What is read from streams: events, and which stream they are of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pydantic_core import from_json

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

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


class _LateParts:
    """What a stored event is given instead of its stream and metadata, and its parsed payload."""

    __slots__ = ("_aggregate_id", "_aggregate_type", "_metadata", "_payload")

    _aggregate_id: str
    _aggregate_type: str
    _metadata: str | bytes
    _payload: dict[str, Any]


@dataclass(frozen=True, slots=True)
class StoredEvent(_LateParts):
    """An event as it stands in a stream; it never changes again.

    An adapter that fills in an event without its constructor may leave ``stream`` and
    ``metadata`` to be made when somebody asks for them: of ``_aggregate_type`` and
    ``_aggregate_id``, and of JSON in ``_metadata``.

    Attributes:
        position: Place in the order of all events, from 1, increasing, with holes.
        version: Place in its stream, from 1, without gaps, also when older ones were removed.
        payload_bytes: The stored JSON, exactly as written.
        recorded_at: When the store wrote it, aware UTC.
    """

    position: int
    stream: StreamId
    version: int
    event_id: UUID
    event_type: str
    schema_version: int
    payload_bytes: bytes
    occurred_at: datetime
    recorded_at: datetime
    correlation_id: str | None = None
    causation_id: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            # Whoever reads many events seldom looks at these. Neither keeping nor making them
            # costs the garbage collector anything until then.
            make = _LATE.get(name)
            if make is None:
                msg = f"{type(self).__name__!r} has no attribute {name!r}"
                raise AttributeError(msg)
            found = make(self)
            object.__setattr__(self, name, found)
            return found

    @property
    def payload(self) -> dict[str, Any]:
        """The payload as JSON values, parsed on first use."""
        return self._payload

    @property
    def aggregate_type(self) -> str:
        """Type name of the aggregate whose stream this is."""
        return self.stream.aggregate_type

    @property
    def aggregate_id(self) -> str:
        """Id of the aggregate whose stream this is."""
        return self.stream.aggregate_id


_LATE: Final[Mapping[str, Callable[[StoredEvent], Any]]] = {
    "stream": lambda event: StreamId(event._aggregate_type, event._aggregate_id),  # noqa: SLF001
    "metadata": lambda event: from_json(event._metadata),  # noqa: SLF001
    "_payload": lambda event: from_json(event.payload_bytes),
}
