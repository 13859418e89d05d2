"""The past of aggregates: history, states, audit trail, search, causes."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

from cqrs_ddd_advanced_core.domain.exceptions import (
    DeletedAggregateError,
    EventSourcingConfigurationError,
    HistoryRemovedError,
)
from cqrs_ddd_advanced_core.domain.lifecycle import AggregateDeleted
from cqrs_ddd_advanced_core.event_sourcing._moments import version_before
from cqrs_ddd_advanced_core.event_sourcing.audit_trail import AuditEntry
from cqrs_ddd_advanced_core.event_sourcing.causation import CausationTree
from cqrs_ddd_advanced_core.event_sourcing.loader import EventSourcedLoader, with_lifecycle
from cqrs_ddd_advanced_core.event_sourcing.search import EventSearch
from cqrs_ddd_core.cqrs.event_serializer import EventSerializer
from cqrs_ddd_core.domain.aggregate import AggregateRoot
from cqrs_ddd_core.ports.event_store import EventFilter, StreamId

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from cqrs_ddd_advanced_core.ports.snapshot_store import ISnapshotStore
    from cqrs_ddd_advanced_core.snapshots import SnapshotStore
    from cqrs_ddd_core.domain.event_registry import EventTypeRegistry
    from cqrs_ddd_core.domain.events import DomainEvent
    from cqrs_ddd_core.domain.specification import Specification
    from cqrs_ddd_core.ports.event_store import IEventStore
    from cqrs_ddd_core.ports.upcasting import IUpcasterRegistry

__all__ = ["EventReplayService"]

T = TypeVar("T", bound=AggregateRoot[Any])

#: A class of aggregates, or the type name of its streams.
_AggregateType: TypeAlias = type[AggregateRoot[Any]] | str

_INSTANT: Final = timedelta.resolution


class EventReplayService:
    """Answers what an aggregate looked like, what happened to it, and why.

    It only reads. Everything of one stream comes in version order, everything of several in the
    order of positions; whatever yields events holds one batch in memory. States and histories
    of a stream include what the current unit of work has appended. All calls see the tenant of
    the current context only.

    Archived events are found through an ``ArchivedEventStore``.

    Args:
        event_store: Has the events.
        event_registry: The events that may be read; for a class of aggregates those its handlers
            name, when not given.
        upcaster_registry: How events of older shapes are read.
        snapshot_store: Saves replaying what a snapshot holds.
    """

    def __init__(
        self,
        event_store: IEventStore,
        event_registry: EventTypeRegistry | None = None,
        *,
        upcaster_registry: IUpcasterRegistry | None = None,
        snapshot_store: SnapshotStore | ISnapshotStore | None = None,
    ) -> None:
        self._event_store = event_store
        self._registry = None if event_registry is None else with_lifecycle(event_registry)
        self._upcasters = upcaster_registry
        self._snapshots = snapshot_store
        self._serializer = (
            None if self._registry is None else EventSerializer(self._registry, upcaster_registry)
        )
        self._loaders: dict[type[AggregateRoot[Any]], EventSourcedLoader[Any]] = {}

    # --- history ------------------------------------------------------------------------------

    async def get_history(
        self, aggregate_type: _AggregateType, aggregate_id: object
    ) -> AsyncIterator[DomainEvent]:
        """Yield all events of an aggregate, oldest first, as they are read today.

        Args:
            aggregate_type: Its class, or its type name when there is an event registry.
            aggregate_id: Its id.

        Raises:
            UnknownEventTypeError: A stored event has a type the registry does not know.
            EventPayloadError: A stored payload cannot be read.
        """
        async for event in self._read(aggregate_type, aggregate_id, None):
            yield event

    async def get_history_in_range(
        self,
        aggregate_type: _AggregateType,
        aggregate_id: object,
        from_time: datetime | None = None,
        until_time: datetime | None = None,
    ) -> AsyncIterator[DomainEvent]:
        """Yield the events of an aggregate that occurred in a span of time.

        Args:
            aggregate_type: Its class, or its type name when there is an event registry.
            aggregate_id: Its id.
            from_time: At or after, aware; from the beginning when not given.
            until_time: Before, aware; to the end when not given.

        Raises:
            EventStoreError: A time has no time zone.
            UnknownEventTypeError: A stored event has a type the registry does not know.
            EventPayloadError: A stored payload cannot be read.
        """
        wanted = EventFilter(occurred_from=from_time, occurred_until=until_time)
        async for event in self._read(aggregate_type, aggregate_id, wanted):
            yield event

    async def get_audit_trail(self, aggregate_type: _AggregateType, aggregate_id: object) -> str:
        """Return what happened to an aggregate, one line per event, oldest first.

        It shows payloads as they are stored, so it needs no event registry.
        """
        entries = self.get_audit_entries(aggregate_type, aggregate_id)
        return "\n".join([str(entry) async for entry in entries])

    async def get_audit_entries(
        self,
        aggregate_type: _AggregateType,
        aggregate_id: object,
        *,
        event_filter: EventFilter | None = None,
    ) -> AsyncIterator[AuditEntry]:
        """Yield who did what to an aggregate and when, oldest first."""
        stream = _stream(aggregate_type, aggregate_id)
        async for stored in self._event_store.read_stream(stream, event_filter=event_filter):
            yield AuditEntry.of(stored)

    # --- states -------------------------------------------------------------------------------

    async def get_snapshot_at_version(
        self, aggregate_class: type[T], aggregate_id: object, version: int
    ) -> T | None:
        """Return an aggregate as it was right after its event of that version.

        ``None`` when nothing had happened to it. A version beyond the last event gives the last
        state.

        Raises:
            DeletedAggregateError: It was deleted then.
            HistoryRemovedError: The events up to there were removed.
            StreamGapError: Events are missing in between.
        """
        loader = self._loader(aggregate_class)
        found = await loader.load_version(aggregate_id, version)
        if found is None:
            await self._explain(loader, aggregate_id, version)
        return found

    async def get_state_at(
        self, aggregate_class: type[T], aggregate_id: object, moment: datetime
    ) -> T | None:
        """Return an aggregate as it was at a point in time.

        Events count up to the first one that occurred after the moment. ``None`` when nothing had
        happened to it by then.

        Raises:
            DeletedAggregateError: It was deleted then.
            HistoryRemovedError: The events up to there were removed.
            EventStoreError: The moment has no time zone.
        """
        stream = _stream(aggregate_class, aggregate_id)
        version = await version_before(self._event_store, stream, moment + _INSTANT)
        return await self.get_snapshot_at_version(aggregate_class, aggregate_id, version)

    # --- across aggregates --------------------------------------------------------------------

    async def search_events(
        self,
        predicate: Callable[[DomainEvent], bool] | None = None,
        *,
        event_filter: EventFilter | None = None,
        payload: Specification | None = None,
    ) -> AsyncIterator[DomainEvent]:
        """Yield the settled events that meet all conditions, in position order.

        The filter and the condition on the payload go to the database. A payload it cannot look
        into, because it is encoded or of an older shape, is read and checked here, which is
        exact and slower. Name the event types in the filter where you can.

        Args:
            predicate: Any condition on an event as it is read today.
            event_filter: Conditions on type, time, correlation and metadata.
            payload: Condition on the event's own fields, such as ``field("amount") > 100``.

        Raises:
            EventSourcingConfigurationError: There is no event registry.
            UnknownFieldError: No event class has such a field.
            UnknownEventTypeError: A stored event has a type the registry does not know.
            EventPayloadError: A stored payload cannot be read.
        """
        registry, serializer = self._readable()
        search = EventSearch(
            registry, event_filter, payload, predicate, upcasts=self._upcasters is not None
        )
        async for stored in self._event_store.read_all(event_filter=search.filter):
            for event in serializer.hydrate(stored):
                if search.finds(event):
                    yield event

    async def get_causation_tree(self, correlation_id: str) -> CausationTree:
        """Return everything that came of one request, as a tree of causes and effects."""
        wanted = EventFilter(correlation_id=correlation_id)
        stored = [event async for event in self._event_store.read_all(event_filter=wanted)]
        return CausationTree.of(correlation_id, stored)

    # --- reading ------------------------------------------------------------------------------

    async def _read(
        self, aggregate_type: _AggregateType, aggregate_id: object, wanted: EventFilter | None
    ) -> AsyncIterator[DomainEvent]:
        serializer = self._serializer_of(aggregate_type)
        stream = _stream(aggregate_type, aggregate_id)
        async for stored in self._event_store.read_stream(stream, event_filter=wanted):
            for event in serializer.hydrate(stored):
                yield event

    def _loader(self, aggregate_class: type[T]) -> EventSourcedLoader[T]:
        loader = self._loaders.get(aggregate_class)
        if loader is None:
            loader = self._loaders[aggregate_class] = EventSourcedLoader(
                aggregate_class,
                self._event_store,
                self._registry,
                snapshot_store=self._snapshots,
                upcaster_registry=self._upcasters,
            )
        return loader

    def _serializer_of(self, aggregate_type: _AggregateType) -> EventSerializer:
        if self._serializer is None and not isinstance(aggregate_type, str):
            return self._loader(aggregate_type).serializer
        return self._readable()[1]

    def _readable(self) -> tuple[EventTypeRegistry, EventSerializer]:
        if self._registry is None or self._serializer is None:
            msg = (
                "nothing says which event classes to read: give EventReplayService an "
                "event_registry, or ask by the class of the aggregate"
            )
            raise EventSourcingConfigurationError(msg)
        return self._registry, self._serializer

    async def _explain(
        self, loader: EventSourcedLoader[Any], aggregate_id: object, version: int
    ) -> None:
        """Raise if there is another reason for no state than that nothing had happened."""
        stream = loader.stream_of(aggregate_id)
        first = await self._event_store.get_events(stream, limit=1)
        if first and first[0].version > max(version, 1):
            raise HistoryRemovedError(stream, version, first[0].version)
        tombstones = EventFilter(event_types=frozenset({AggregateDeleted.event_type}))
        found = await self._event_store.get_events(
            stream, up_to_version=version, event_filter=tombstones
        )
        if found:
            [deleted] = loader.serializer.hydrate(found[-1])
            reason = deleted.reason if isinstance(deleted, AggregateDeleted) else ""
            raise DeletedAggregateError(stream, found[-1].version, found[-1].occurred_at, reason)


def _stream(aggregate_type: _AggregateType, aggregate_id: object) -> StreamId:
    if not isinstance(aggregate_type, str):
        aggregate_type = aggregate_type.aggregate_type
    return StreamId(aggregate_type, str(aggregate_id))
