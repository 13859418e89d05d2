"""Which aggregates are event-sourced, and where their events are stored."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

from cqrs_ddd_advanced_core.decorators.event_sourcing import is_non_event_sourced
from cqrs_ddd_advanced_core.domain.exceptions import (
    EventSourcedAggregateRequiredError,
    EventSourcingConfigurationError,
)
from cqrs_ddd_core.correlation import get_context
from cqrs_ddd_core.cqrs.event_recorder import EventRecorder
from cqrs_ddd_core.cqrs.event_serializer import EventWriter, serialize_event
from cqrs_ddd_core.domain.events import enrich_event
from cqrs_ddd_core.ports.event_store import StreamId
from cqrs_ddd_core.ports.unit_of_work_scope import get_current_uow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cqrs_ddd_core.cqrs.command import CommandResponse
    from cqrs_ddd_core.domain.events import DomainEvent
    from cqrs_ddd_core.ports.event_store import IEventStore

__all__ = ["EventSourcedPersistenceOrchestrator"]


class EventSourcedPersistenceOrchestrator:
    """Knows for each aggregate type whether its events are stored, and in which event store.

    Guarantee (G1): events are appended in the unit of work of the command that raised them.

    Args:
        default_event_store: For all types that name no other.
        serialize: How events are written that ``persist_events`` is given.
        enforce_registration: Refuse events of types that nobody registered and nobody marked
            with ``@non_event_sourced``; otherwise they are not stored.
    """

    def __init__(
        self,
        default_event_store: IEventStore,
        *,
        serialize: EventWriter = serialize_event,
        enforce_registration: bool = True,
    ) -> None:
        self._default_event_store = default_event_store
        self._enforce_registration = enforce_registration
        self._stores: dict[str, IEventStore] = {}
        self._excluded: set[str] = set()
        self._serialize = serialize
        self._recorder = EventRecorder((), event_store=self.get_event_store, serialize=serialize)

    def register_event_sourced_type(
        self, aggregate_type_name: str, event_store: IEventStore | None = None
    ) -> None:
        """Store the events of an aggregate type.

        Args:
            aggregate_type_name: The ``aggregate_type`` of the class.
            event_store: Where, if not in the default one.

        Raises:
            EventSourcingConfigurationError: It is registered as not event-sourced.
        """
        if aggregate_type_name in self._excluded:
            raise EventSourcingConfigurationError(_contradiction(aggregate_type_name))
        self._stores[aggregate_type_name] = event_store or self._default_event_store

    def register_non_event_sourced_type(self, aggregate_type_name: str) -> None:
        """Keep the events of an aggregate type out of every event store.

        Raises:
            EventSourcingConfigurationError: It is registered as event-sourced.
        """
        if aggregate_type_name in self._stores:
            raise EventSourcingConfigurationError(_contradiction(aggregate_type_name))
        self._excluded.add(aggregate_type_name)

    def unregister_event_sourced_type(self, aggregate_type_name: str) -> None:
        """Forget a type, as if it had never been registered."""
        self._stores.pop(aggregate_type_name, None)
        self._excluded.discard(aggregate_type_name)

    def clear_registrations(self) -> None:
        """Forget all types."""
        self._stores.clear()
        self._excluded.clear()

    def is_event_sourced(self, aggregate_type_name: str) -> bool:
        """Whether events of that type are stored."""
        return aggregate_type_name in self._stores

    def get_event_store(self, aggregate_type_name: str) -> IEventStore | None:
        """Return where events of a type are stored; ``None`` when they are not.

        Raises:
            EventSourcedAggregateRequiredError: Nobody said what the type is, and that is enforced.
        """
        store = self._stores.get(aggregate_type_name)
        if store is None and self._enforce_registration and not self._excludes(aggregate_type_name):
            remedy = (
                f"call register_event_sourced_type({aggregate_type_name!r}), or "
                "register_non_event_sourced_type or @non_event_sourced if its events are not to "
                "be stored"
            )
            raise EventSourcedAggregateRequiredError(aggregate_type_name, remedy)
        return store

    async def persist_event(
        self, event: DomainEvent, command_response: CommandResponse[Any] | None = None
    ) -> None:
        """Store one event; see ``persist_events``."""
        await self.persist_events([event], command_response)

    async def persist_events(
        self, events: Sequence[DomainEvent], command_response: CommandResponse[Any] | None = None
    ) -> None:
        """Store events of aggregates that no repository saves, in the order given.

        In a unit of work they commit with it, each once, however often they are given. Outside
        of one the events of each stream are an append of their own.

        Args:
            events: Those of no aggregate, and of types that are not event-sourced, are left out.
            command_response: Told of the last position, outside of a unit of work.

        Raises:
            EventSourcedAggregateRequiredError: A type is not registered, and that is enforced.
        """
        stored = [event for event in events if self._store_of(event) is not None]
        uow = get_current_uow()
        if uow is not None:
            uow.add_events(stored)
            uow.record_with(self._recorder.record, fallback=True)
            return
        for stream, run in groupby(stored, key=_stream_of):
            position = await self._append(stream, list(run))
            if command_response is not None:
                command_response.position = position

    async def _append(self, stream: StreamId, events: Sequence[DomainEvent]) -> int:
        store = self._stores[stream.aggregate_type]
        for event in events:
            enrich_event(event, get_context())
        result = await store.append(stream, [self._serialize(event) for event in events])
        return result.position

    def _store_of(self, event: DomainEvent) -> IEventStore | None:
        if event.aggregate_type is None or event.aggregate_id is None:
            return None
        return self.get_event_store(event.aggregate_type)

    def _excludes(self, aggregate_type_name: str) -> bool:
        return aggregate_type_name in self._excluded or is_non_event_sourced(aggregate_type_name)


def _stream_of(event: DomainEvent) -> StreamId:
    return StreamId(str(event.aggregate_type), str(event.aggregate_id))


def _contradiction(aggregate_type_name: str) -> str:
    return (
        f"{aggregate_type_name!r} is registered as event-sourced and as not event-sourced: keep "
        "one, or call unregister_event_sourced_type first"
    )
