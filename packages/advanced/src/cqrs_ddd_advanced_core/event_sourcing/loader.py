"""Aggregates rebuilt from their events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, cast

from cqrs_ddd_advanced_core.domain.aggregate_mixin import EventSourcedAggregateMixin
from cqrs_ddd_advanced_core.domain.exceptions import (
    EventSourcedAggregateRequiredError,
    EventSourcingConfigurationError,
)
from cqrs_ddd_advanced_core.domain.lifecycle import LIFECYCLE_EVENTS, AggregateDeleted
from cqrs_ddd_advanced_core.event_sourcing._rebuilding import Rebuilding
from cqrs_ddd_advanced_core.snapshots import SnapshotStore, SnapshotStrategyRegistry
from cqrs_ddd_core.cqrs.event_serializer import EventSerializer
from cqrs_ddd_core.domain.aggregate import AggregateRoot
from cqrs_ddd_core.domain.event_registry import EventTypeRegistry
from cqrs_ddd_core.ports.event_store import StreamId
from cqrs_ddd_core.ports.unit_of_work_scope import get_current_uow

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from cqrs_ddd_advanced_core.domain.event_validation import EventValidator
    from cqrs_ddd_advanced_core.event_sourcing.cache import AggregateCache
    from cqrs_ddd_advanced_core.ports.snapshot_store import ISnapshotStore
    from cqrs_ddd_core.domain.events import DomainEvent
    from cqrs_ddd_core.ports.event_store import IEventStore, StoredEvent
    from cqrs_ddd_core.ports.upcasting import IUpcasterRegistry

__all__ = ["EventSourcedLoader", "with_lifecycle"]

T = TypeVar("T", bound=AggregateRoot[Any])

#: Events that are in memory at once.
_BATCH: Final = 1000


class EventSourcedLoader(Generic[T]):
    """Rebuilds aggregates of one class from their streams.

    What comes out is exactly what all events of the stream make of a blank aggregate, or an
    error: an unknown event type, a payload that does not fit or a missing event is never passed
    over. In a unit of work it includes the events that are saved there and not committed yet.

    Args:
        aggregate_type: The class, with ``EventSourcedAggregateMixin``.
        event_store: Has the streams.
        event_registry: The events that may be read; those the handlers name when not given.
        snapshot_store: Saves replaying what a snapshot holds.
        upcaster_registry: How events of older shapes are read.
        snapshot_strategy_registry: When to take snapshots, for a bare ``ISnapshotStore``.
        cache: Saves replaying what this process has loaded before.
        create_aggregate: Makes the aggregate of an id before its first event; ``blank`` of the
            class when not given.
        validator: What becomes of events without a handler, other than the class says.

    Raises:
        EventSourcedAggregateRequiredError: The class lacks the mixin.
        EventSourcingConfigurationError: Nothing says which events the class has.
    """

    def __init__(
        self,
        aggregate_type: type[T],
        event_store: IEventStore,
        event_registry: EventTypeRegistry | None = None,
        *,
        snapshot_store: SnapshotStore | ISnapshotStore | None = None,
        upcaster_registry: IUpcasterRegistry | None = None,
        snapshot_strategy_registry: SnapshotStrategyRegistry | None = None,
        cache: AggregateCache | None = None,
        create_aggregate: Callable[[Any], T] | None = None,
        validator: EventValidator | None = None,
    ) -> None:
        mixed = _require_mixin(aggregate_type)
        self._aggregate_type = aggregate_type
        self._event_store = event_store
        self._snapshots = _snapshots(snapshot_store, snapshot_strategy_registry)
        self._cache = cache
        self._create = create_aggregate or cast("Callable[[Any], T]", mixed.blank)
        self._handlers = (
            mixed.__event_handlers__ if validator is None else validator.table_of(mixed)
        )
        self._serializer = EventSerializer(
            with_lifecycle(event_registry or _registry_of(mixed)), upcaster_registry
        )

    @property
    def serializer(self) -> EventSerializer:
        """Reads the stored events of the class."""
        return self._serializer

    @property
    def snapshots(self) -> SnapshotStore | None:
        """Its snapshots, if there are any; ``drain`` them at the end of the program."""
        return self._snapshots

    def stream_of(self, aggregate_id: object) -> StreamId:
        """Return the stream of an id."""
        return StreamId(self._aggregate_type.aggregate_type, str(aggregate_id))

    def blank(self, aggregate_id: object) -> T:
        """Return the aggregate of an id as it is before its first event."""
        return self._create(aggregate_id)

    async def load(self, aggregate_id: object) -> T | None:
        """Return the aggregate with that id; ``None`` when it has no events or was deleted.

        Raises:
            UnknownEventTypeError: A stored event has a type the registry does not know.
            EventPayloadError: A stored payload cannot be read.
            MissingEventHandlerError: The class does not handle one of the events.
            IncompleteAggregateError: The events gave a required field no value.
            StreamGapError: Events of the stream are missing.
        """
        aggregate = await self._rebuild(aggregate_id)
        if aggregate is not None and self._cache is not None and get_current_uow() is None:
            self._cache.put(aggregate)
        return aggregate

    async def load_deleted(self, aggregate_id: object) -> T | None:
        """Return the aggregate with that id, deleted or not; ``None`` when it has no events."""
        return await self._rebuild(aggregate_id, deleted=True)

    async def load_version(self, aggregate_id: object, version: int) -> T | None:
        """Return the aggregate as it was right after its event of that version.

        ``None`` when it had no events yet or was deleted then. A version beyond the last
        committed event gives the last committed state.
        """
        return await self._rebuild(aggregate_id, up_to_version=version)

    def committed(self, aggregate: T, previous_version: int) -> None:
        """Remember a committed state, in cache and snapshots; for repositories."""
        if self._cache is not None:
            self._cache.put(aggregate)
        if self._snapshots is not None:
            self._snapshots.after_commit(aggregate, previous_version)

    async def erase(self, stream: StreamId) -> None:
        """Forget all states of a stream, for good, in the current unit of work."""
        if self._cache is not None:
            self._cache.drop(stream)
        if self._snapshots is not None:
            await self._snapshots.delete(stream)

    async def _rebuild(
        self, aggregate_id: object, *, up_to_version: int | None = None, deleted: bool = False
    ) -> T | None:
        stream = self.stream_of(aggregate_id)
        state = await self._resume(stream, up_to_version)
        if state is None:
            state = self._rebuilding(stream, self._create(aggregate_id))
            async for batch in self._batches(stream, 0, up_to_version):
                if _is_erased(batch):
                    return None
                state.replay(batch)
        if up_to_version is None:
            state.apply(_pending_events(stream))
        if state.version == 0 or (state.is_deleted and not deleted):
            return None
        return state.finish()

    async def _resume(self, stream: StreamId, up_to_version: int | None) -> Rebuilding[T] | None:
        """Go on from a kept state, unless the event it ends with is gone."""
        start = await self._start(stream, up_to_version)
        if start is None:
            return None
        state = None
        async for batch in self._batches(stream, start.version - 1, up_to_version):
            if state is not None:
                state.replay(batch)
            elif batch[0].version != start.version:
                break
            else:
                state = self._rebuilding(stream, start)
                state.replay(batch[1:])
        if state is None:
            self._discard(stream)
        return state

    def _discard(self, stream: StreamId) -> None:
        """Drop kept states: they are of another history, such as before a backup came back."""
        if self._cache is not None:
            self._cache.drop(stream)
        if self._snapshots is not None:
            self._snapshots.discard(stream)

    def _rebuilding(self, stream: StreamId, aggregate: T) -> Rebuilding[T]:
        return Rebuilding(stream, aggregate, self._handlers, self._serializer)

    async def _start(self, stream: StreamId, up_to_version: int | None) -> T | None:
        """Return a state to start from that is really of this stream, if there is one."""
        start = self._cached(stream) if up_to_version is None else None
        if start is None and self._snapshots is not None:
            start = await self._snapshots.load(
                self._aggregate_type, stream, up_to_version=up_to_version
            )
        return start

    def _cached(self, stream: StreamId) -> T | None:
        return None if self._cache is None else self._cache.get(self._aggregate_type, stream)

    async def _batches(
        self, stream: StreamId, after_version: int, up_to_version: int | None
    ) -> AsyncIterator[Sequence[StoredEvent]]:
        is_last = False
        while not is_last:
            batch = await self._event_store.get_events(
                stream,
                after_version=after_version,
                up_to_version=up_to_version,
                limit=_BATCH,
            )
            is_last = len(batch) < _BATCH
            if batch:
                yield batch
                after_version = batch[-1].version


def _require_mixin(aggregate_type: type[Any]) -> type[EventSourcedAggregateMixin]:
    if not issubclass(aggregate_type, EventSourcedAggregateMixin):
        remedy = f"write class {aggregate_type.__name__}(EventSourcedAggregateMixin, AggregateRoot)"
        raise EventSourcedAggregateRequiredError(aggregate_type.__name__, remedy)
    return aggregate_type


def _registry_of(aggregate_type: type[EventSourcedAggregateMixin]) -> EventTypeRegistry:
    classes = aggregate_type.supported_event_types()
    if not classes:
        msg = (
            f"the handlers of {aggregate_type.__name__} do not name their event classes: annotate "
            "them, or give event_registry=EventTypeRegistry([...])"
        )
        raise EventSourcingConfigurationError(msg)
    return EventTypeRegistry(classes)


def with_lifecycle(registry: EventTypeRegistry) -> EventTypeRegistry:
    """Return a registry that also reads tombstones."""
    known = EventTypeRegistry()
    for name in registry.registered_types():
        known.register_alias(name, registry.get(name))
    for event_class in LIFECYCLE_EVENTS:
        if event_class.event_type not in known:
            known.register(event_class)
    return known


def _snapshots(
    store: SnapshotStore | ISnapshotStore | None, strategies: SnapshotStrategyRegistry | None
) -> SnapshotStore | None:
    if store is None or isinstance(store, SnapshotStore):
        return store
    return SnapshotStore(store, strategies)


def _pending_events(stream: StreamId) -> list[DomainEvent]:
    uow = get_current_uow()
    pending = None if uow is None else uow.pending_stream(stream)
    return [] if pending is None else pending.events


def _is_erased(batch: Sequence[StoredEvent]) -> bool:
    """Whether nothing is left but the tombstone of a hard delete."""
    return batch[0].event_type == AggregateDeleted.event_type
