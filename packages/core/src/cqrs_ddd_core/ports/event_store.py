"""The event store port: append to streams, read them back, follow everything in one order."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, TypeAlias

from cqrs_ddd_core.ports.stored_event import StoredEvent, StreamId
from cqrs_ddd_core.primitives.exceptions import EventStoreError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from datetime import datetime
    from uuid import UUID

    from cqrs_ddd_core.ports.payload_condition import PayloadCondition

__all__ = [
    "ANY",
    "NO_STREAM",
    "STREAM_EXISTS",
    "AppendResult",
    "EventFilter",
    "EventPage",
    "ExpectedVersion",
    "IEventStore",
    "NewEvent",
    "StoredEvent",
    "StreamId",
    "StreamState",
]


class StreamState(Enum):
    """What a writer may expect of a stream when it does not know its exact version."""

    ANY = "any"
    NO_STREAM = "no_stream"
    STREAM_EXISTS = "stream_exists"

    def __str__(self) -> str:
        return self.name


ANY: Final = StreamState.ANY
NO_STREAM: Final = StreamState.NO_STREAM
STREAM_EXISTS: Final = StreamState.STREAM_EXISTS

#: An exact version (0 is the same as ``NO_STREAM``) or a stream state.
ExpectedVersion: TypeAlias = int | StreamState


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event on its way into a stream.

    Attributes:
        event_id: Unique for ever; an append that repeats known ids is recognised as done.
        event_type: Registered type name.
        payload: JSON object as UTF-8 bytes.
        occurred_at: Aware UTC.
        schema_version: Version of the payload's shape.
        metadata: Open keys with JSON values.
    """

    event_id: UUID
    event_type: str
    payload: bytes
    occurred_at: datetime
    schema_version: int = 1
    correlation_id: str | None = None
    causation_id: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


class AppendResult(NamedTuple):
    """Where an append ended: the stream's new version and the last event's position."""

    version: int
    position: int


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events a reader wants; conditions that are set must all hold.

    Attributes:
        aggregate_types: Only streams of these types.
        event_types: Only these event types.
        correlation_id: Only events of that request.
        occurred_from: At or after, aware UTC.
        occurred_until: Before, aware UTC.
        metadata: Top-level metadata keys with the JSON values they must have.
        payload: Leave out events whose payload tells that they do not match. A store may pass on
            what it cannot look into, so that the reader has to check again.

    Raises:
        EventStoreError: A time has no time zone, so nobody knows which moment it means.
    """

    aggregate_types: frozenset[str] | None = None
    event_types: frozenset[str] | None = None
    correlation_id: str | None = None
    occurred_from: datetime | None = None
    occurred_until: datetime | None = None
    metadata: Mapping[str, Any] | None = None
    payload: Sequence[PayloadCondition] = ()

    def __post_init__(self) -> None:
        for moment in (self.occurred_from, self.occurred_until):
            if moment is not None and moment.tzinfo is None:
                msg = f"{moment!r} has no time zone; give an aware datetime such as utc_now()"
                raise EventStoreError(msg)

    def matches(self, event: StoredEvent) -> bool:
        """Whether an event meets all conditions, for stores that cannot ask a database."""
        return (
            (self.aggregate_types is None or event.aggregate_type in self.aggregate_types)
            and (self.event_types is None or event.event_type in self.event_types)
            and (self.correlation_id is None or event.correlation_id == self.correlation_id)
            and (self.occurred_from is None or event.occurred_at >= self.occurred_from)
            and (self.occurred_until is None or event.occurred_at < self.occurred_until)
            and (self.metadata is None or self.metadata.items() <= event.metadata.items())
            and not any(condition.rejects(event) for condition in self.payload)
        )


class EventPage(NamedTuple):
    """Some events in position order, and how far the reader has now looked.

    Attributes:
        events: Those that match; may be fewer than asked for, or none.
        position: Ask for the next page after this one. Moves on past events that did not match.
        is_last: Nothing more could be read at that moment.
    """

    events: Sequence[StoredEvent]
    position: int
    is_last: bool


class IEventStore(Protocol):
    """Streams of immutable events in one total order.

    Guarantees (G2, G3): of several appends with one expected version exactly one succeeds; a
    stream's versions have no gaps; once a position was returned to any reader, no smaller one
    appears later; a stream's events are read in version order, and an event comes after
    everything its transaction had seen.

    An append inside a unit of work of the same database commits or vanishes with it, and is
    visible to ``get_events``, ``get_stream_version`` and ``get_streams`` of that unit of work at
    once. Outside one it is a transaction of its own. All calls see the tenant of the current
    context only.

    An adapter inherits ``read_stream``, ``read_streams`` and ``read_all``, which are made of the
    other calls.
    """

    @abstractmethod
    async def append(
        self,
        stream: StreamId,
        events: Sequence[NewEvent],
        *,
        expected_version: ExpectedVersion = ANY,
    ) -> AppendResult:
        """Add events to a stream, all or none.

        An empty sequence writes nothing and returns the stream's version and position 0. If all
        event ids stand in this stream already, in this order, the append was done before and its
        result is returned again; the expected version is not checked then.

        Raises:
            OptimisticConcurrencyError: The stream is at another version than expected.
            EventStoreError: Some event id is stored already, but not by the same append.
        """
        ...

    @abstractmethod
    async def get_events(
        self,
        stream: StreamId,
        *,
        after_version: int = 0,
        up_to_version: int | None = None,
        limit: int | None = None,
        event_filter: EventFilter | None = None,
    ) -> list[StoredEvent]:
        """Return a stream's events in version order; an unknown stream has none.

        Args:
            stream: Whose events.
            after_version: Only events behind this version.
            up_to_version: Only events up to this version, inclusive.
            limit: How many at most, the oldest of them.
            event_filter: Only events that meet it.
        """
        ...

    async def read_stream(
        self,
        stream: StreamId,
        *,
        after_version: int = 0,
        batch_size: int = 1000,
        event_filter: EventFilter | None = None,
    ) -> AsyncIterator[StoredEvent]:
        """Yield a stream's events in version order, holding one batch in memory."""
        while batch := await self.get_events(
            stream, after_version=after_version, limit=batch_size, event_filter=event_filter
        ):
            for event in batch:
                yield event
            after_version = batch[-1].version

    @abstractmethod
    async def get_stream_version(self, stream: StreamId) -> int:
        """Return the version of the stream's last event; 0 when there is no such stream."""
        ...

    @abstractmethod
    async def get_streams(
        self, aggregate_type: str, *, after_id: str = "", limit: int = 500
    ) -> list[StreamId]:
        """Return up to ``limit`` streams of a type, by aggregate id in code point order.

        Like ``get_events`` it sees what the current unit of work appended. It costs what it
        returns, however many events the streams have.

        Args:
            aggregate_type: Only streams of this type.
            after_id: Only ids behind this one: the last of the page before.
            limit: How many at most.
        """
        ...

    async def read_streams(
        self, aggregate_type: str, *, batch_size: int = 500
    ) -> AsyncIterator[StreamId]:
        """Yield the streams of a type by aggregate id, holding one batch in memory.

        A stream that begins meanwhile is met if its id is behind those already seen.
        """
        after_id = ""
        while batch := await self.get_streams(aggregate_type, after_id=after_id, limit=batch_size):
            for stream in batch:
                yield stream
            after_id = batch[-1].aggregate_id

    @abstractmethod
    async def delete_events(self, stream: StreamId, *, up_to_version: int) -> int:
        """Remove a stream's events up to a version for good, and return how many there were.

        This is for administrators: events are immutable in every other way. The newest event of
        a stream stays, so that its versions go on as before: the stream then begins at a version
        above 1. Readers that have seen the events are not told; readers of everything pass over
        the holes. A later repeat of the append that had stored them is a new append.

        Inside a unit of work of the same database it commits or vanishes with it. Repeating it
        removes nothing more.

        Raises:
            NewestEventError: It would remove the newest event; append a tombstone or a summary
                first. Nothing was removed.
        """
        ...

    @abstractmethod
    async def read_page(
        self, after_position: int = 0, *, limit: int = 500, event_filter: EventFilter | None = None
    ) -> EventPage:
        """Return up to ``limit`` settled events after a position, in position order.

        Committed events that could still be preceded by others are not returned yet.
        """
        ...

    async def read_all(
        self,
        after_position: int = 0,
        *,
        batch_size: int = 500,
        event_filter: EventFilter | None = None,
    ) -> AsyncIterator[StoredEvent]:
        """Yield settled events after a position in position order; ends when there are no more."""
        is_last = False
        while not is_last:
            events, after_position, is_last = await self.read_page(
                after_position, limit=batch_size, event_filter=event_filter
            )
            for event in events:
                yield event

    @abstractmethod
    async def get_latest_position(self) -> int:
        """Return the position of the last settled event; 0 when there is none."""
        ...

    @abstractmethod
    async def get_head_position(self) -> int:
        """Return the highest position that is committed, settled or not; 0 when there is none.

        Readers reach it once nothing before it can appear any more. What is committed when it is
        called stands at or below it, what begins to append afterwards stands behind it.
        """
        ...
