"""The repository of event-sourced aggregates."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from cqrs_ddd_advanced_core.conflict import EventRebase
from cqrs_ddd_advanced_core.domain.lifecycle import AggregateDeleted, AggregateRestored
from cqrs_ddd_advanced_core.event_sourcing.loader import EventSourcedLoader
from cqrs_ddd_core.correlation import get_context
from cqrs_ddd_core.cqrs.event_recorder import EventRecorder
from cqrs_ddd_core.cqrs.event_serializer import EventWriter, serialize_event
from cqrs_ddd_core.domain.aggregate import AggregateRoot
from cqrs_ddd_core.domain.events import enrich_event
from cqrs_ddd_core.ports.pending_stream import PendingStream
from cqrs_ddd_core.ports.unit_of_work_scope import get_current_uow
from cqrs_ddd_core.primitives.exceptions import EntityNotFoundError, UnitOfWorkError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from cqrs_ddd_advanced_core.conflict import EventConflictPolicy
    from cqrs_ddd_advanced_core.domain.event_validation import EventValidator
    from cqrs_ddd_advanced_core.event_sourcing.cache import AggregateCache
    from cqrs_ddd_advanced_core.ports.snapshot_store import ISnapshotStore
    from cqrs_ddd_advanced_core.snapshots import SnapshotStore, SnapshotStrategyRegistry
    from cqrs_ddd_core.domain.event_registry import EventTypeRegistry
    from cqrs_ddd_core.ports.event_store import IEventStore
    from cqrs_ddd_core.ports.unit_of_work import UnitOfWork
    from cqrs_ddd_core.ports.upcasting import IUpcasterRegistry

__all__ = ["EventSourcedRepository"]

T = TypeVar("T", bound=AggregateRoot[Any])


class EventSourcedRepository(Generic[T]):
    """Loads aggregates from their events and appends the new ones.

    Guarantees (G1, G2): in a unit of work the events of all saved aggregates are appended when it
    commits, each stream at exactly the version it was loaded at, together with everything else;
    until then the unit of work reads its own saved events. Of several writers that loaded one
    version exactly one commits, the others get ``OptimisticConcurrencyError``. Outside of a unit
    of work each save is an append of its own.

    What is returned is a copy: changing it changes nothing until it is saved. All calls see the
    tenant of the current context only.

    Args:
        event_store: Has the streams.
        aggregate_type: The class, with ``EventSourcedAggregateMixin``.
        event_registry: The events that may be read; those the handlers name when not given.
        snapshot_store: Saves replaying what a snapshot holds, and is told of every commit.
        upcaster_registry: How events of older shapes are read.
        snapshot_strategy_registry: When to take snapshots, for a bare ``ISnapshotStore``.
        cache: Saves replaying what this process has committed or loaded before.
        conflict_policy: Which events may be stored after which others, although the aggregate
            was loaded before those; without one, every lost race is a conflict.
        create_aggregate: Makes the aggregate of an id before its first event.
        validator: What becomes of events without a handler, other than the class says.
        serialize: How events are written where no mediator does it; ``EventSerializer.serialize``
            keeps some at an older version.

    Raises:
        EventSourcedAggregateRequiredError: The class lacks the mixin.
        EventSourcingConfigurationError: Nothing says which events the class has.
    """

    def __init__(
        self,
        event_store: IEventStore,
        aggregate_type: type[T],
        event_registry: EventTypeRegistry | None = None,
        *,
        snapshot_store: SnapshotStore | ISnapshotStore | None = None,
        upcaster_registry: IUpcasterRegistry | None = None,
        snapshot_strategy_registry: SnapshotStrategyRegistry | None = None,
        cache: AggregateCache | None = None,
        conflict_policy: EventConflictPolicy | None = None,
        create_aggregate: Callable[[Any], T] | None = None,
        validator: EventValidator | None = None,
        serialize: EventWriter = serialize_event,
    ) -> None:
        self._event_store = event_store
        self._aggregate_type = aggregate_type
        self._loader = EventSourcedLoader(
            aggregate_type,
            event_store,
            event_registry,
            snapshot_store=snapshot_store,
            upcaster_registry=upcaster_registry,
            snapshot_strategy_registry=snapshot_strategy_registry,
            cache=cache,
            create_aggregate=create_aggregate,
            validator=validator,
        )
        self._conflict_policy = conflict_policy
        self._serialize = serialize
        self._recorder = EventRecorder((), event_store=event_store, serialize=serialize)

    @property
    def aggregate_type(self) -> type[T]:
        """The class of its aggregates."""
        return self._aggregate_type

    async def get(self, entity_id: object) -> T:
        """Return the aggregate with that id.

        Raises:
            EntityNotFoundError: It has no events or was deleted; use ``get_by_id`` where that is
                no error.
        """
        aggregate = await self.get_by_id(entity_id)
        if aggregate is None:
            raise EntityNotFoundError(self._aggregate_type.aggregate_type, entity_id)
        return aggregate

    async def get_by_id(self, entity_id: object) -> T | None:
        """Return the aggregate with that id, ``None`` when it has no events or was deleted.

        Raises:
            UnknownEventTypeError: A stored event has a type the registry does not know.
            EventPayloadError: A stored payload cannot be read.
            MissingEventHandlerError: The class does not handle one of the events.
            StreamGapError: Events of the stream are missing.
        """
        return self._watch(await self._loader.load(entity_id))

    async def get_or_blank(self, entity_id: object) -> T:
        """Return the aggregate with that id, a blank one if it has no events.

        It is for commands that may be the first. A deleted aggregate is blank too; saving it is
        refused as a lost race, because its stream goes on.
        """
        aggregate = await self.get_by_id(entity_id)
        return self._loader.blank(entity_id) if aggregate is None else aggregate

    async def exists(self, entity_id: object) -> bool:
        """Whether there is an aggregate with that id that was not deleted."""
        return await self._loader.load(entity_id) is not None

    async def get_all(self) -> AsyncIterator[T]:
        """Yield all aggregates of the class in the order of their ids, one at a time."""
        async for stream in self._event_store.read_streams(self._aggregate_type.aggregate_type):
            aggregate = await self.get_by_id(stream.aggregate_id)
            if aggregate is not None:
                yield aggregate

    async def save(self, entity: T) -> None:
        """Append the new events of an aggregate; without any, nothing is written.

        Raises:
            OptimisticConcurrencyError: Another writer was faster. In a unit of work it comes
                at the commit, except when two copies of the aggregate are saved there.
            EntityNotFoundError: It was deleted in this unit of work.
        """
        await self._save(entity)

    async def delete(self, entity: T, *, hard: bool = False, reason: str = "") -> None:
        """End an aggregate with a tombstone, after which it is not found any more.

        The stream goes on to exist, so that nobody can take its id or its versions.

        Args:
            entity: As it was loaded; what it raised before is appended first.
            hard: Whether to remove all events before the tombstone for good, and the snapshots.
                Copies elsewhere, such as the outbox, archives and read models, stay.
            reason: For the audit trail.

        Raises:
            UnitOfWorkError: A hard delete outside of a unit of work, where tombstone and removal
                could not commit together.
            OptimisticConcurrencyError: Another writer was faster.
        """
        uow = get_current_uow()
        if hard and uow is None:
            msg = "a hard delete removes events: run it in a command or another unit of work"
            raise UnitOfWorkError(msg)
        # Not the mixin's: no handler applies a tombstone.
        AggregateRoot.raise_event(entity, AggregateDeleted(hard=hard, reason=reason))
        await self._save(entity, ends=True)
        if hard and uow is not None:
            uow.after_record(partial(self._erase, entity))

    async def restore(self, entity_id: object) -> T:
        """Make a deleted aggregate be found again, and return it.

        Raises:
            EntityNotFoundError: It has no events, or was not deleted.
        """
        aggregate = await self._loader.load_deleted(entity_id)
        if aggregate is None or await self.exists(entity_id):
            raise EntityNotFoundError(f"deleted {self._aggregate_type.aggregate_type}", entity_id)
        self._watch(aggregate)
        AggregateRoot.raise_event(aggregate, AggregateRestored())
        await self.save(aggregate)
        return aggregate

    def _watch(self, aggregate: T | None) -> T | None:
        uow = get_current_uow()
        if uow is not None and aggregate is not None:
            uow.expect_stream(aggregate, self._event_store)
        return aggregate

    async def _save(self, entity: T, *, ends: bool = False) -> None:
        uow, before = get_current_uow(), entity.version
        if uow is None:
            pending = PendingStream(self._loader.stream_of(entity.id), self._event_store, before)
            pending.has_ended = ends
            await self._append(entity, pending)
            self._after_commit(entity, pending, before)
            return
        pending = uow.expect_stream(entity, self._event_store)
        if pending.has_ended:
            raise EntityNotFoundError(entity.aggregate_type, entity.id)
        is_first = not pending.events
        uow.save_stream(entity, self._event_store)
        uow.record_with(self._recorder.record, fallback=True)
        pending.has_ended = ends
        if is_first and pending.events:
            self._resolve_conflicts(pending)
            uow.on_commit(partial(self._after_commit_of, entity, pending, before))

    async def _append(self, entity: T, pending: PendingStream) -> None:
        events = entity.get_uncommitted_events()
        if not events:
            return
        for event in events:
            enrich_event(event, get_context())
        pending.events += events
        self._resolve_conflicts(pending)
        version = pending.next_version
        await pending.append([self._serialize(event) for event in events])
        entity.mark_events_as_committed()
        entity.set_version(version)

    def _resolve_conflicts(self, pending: PendingStream) -> None:
        if self._conflict_policy is not None:
            pending.on_conflict = EventRebase(
                self._conflict_policy, pending, self._loader.serializer
            )

    async def _after_commit_of(self, entity: T, pending: PendingStream, before: int) -> None:
        self._after_commit(entity, pending, before)

    def _after_commit(self, entity: T, pending: PendingStream, before: int) -> None:
        if entity.version != pending.version:
            # Merged, the object lacks the others' events: it is no state to keep, and at the
            # version it was loaded at, its next save meets all of them.
            entity.set_version(before)
        elif before < entity.version and not pending.has_ended:
            self._loader.committed(entity, before)

    async def _erase(self, entity: T, uow: UnitOfWork) -> None:  # noqa: ARG002 - a hook's argument
        stream = self._loader.stream_of(entity.id)
        await self._event_store.delete_events(stream, up_to_version=entity.version - 1)
        await self._loader.erase(stream)
