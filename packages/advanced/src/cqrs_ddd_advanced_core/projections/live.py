"""Projections that are folded when somebody asks, and kept nowhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from cqrs_ddd_advanced_core.domain.projection_exceptions import LiveProjectionLimitError
from cqrs_ddd_advanced_core.projections._handled_events import HandledEvents
from cqrs_ddd_core.domain.events import DomainEvent
from cqrs_ddd_core.ports.event_store import EventFilter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from cqrs_ddd_advanced_core.upcasting import UpcasterRegistry
    from cqrs_ddd_core.domain.event_registry import EventTypeRegistry
    from cqrs_ddd_core.ports.event_store import IEventStore, StoredEvent, StreamId

__all__ = ["LiveProjection"]

S = TypeVar("S")


class LiveProjection(Generic[S]):
    """An answer folded from events at the moment it is asked for: always current, never stored.

    For short streams and rare questions; whatever many ask for is cheaper as rows. It reads the
    tenant of the current context. A stream is read as the current unit of work sees it, a filter
    up to the last settled event.

    Args:
        name: For errors.
        event_store: Has the events.
        initial: Returns the state before the first event.
        handlers: Per event class, a function that takes the state and the event and returns the
            new state; for the classes derived from it too.
        event_registry: The events that may be read; those with a handler when not given.
        upcaster_registry: How events of older shapes are read.
        max_events: How many events an answer may cost.

    Raises:
        ProjectionDefinitionError: There are no handlers, or one for an event that cannot be read.
    """

    def __init__(
        self,
        name: str,
        event_store: IEventStore,
        *,
        initial: Callable[[], S],
        handlers: Mapping[type[DomainEvent], Callable[[S, Any], S]],
        event_registry: EventTypeRegistry | None = None,
        upcaster_registry: UpcasterRegistry | None = None,
        max_events: int = 10_000,
    ) -> None:
        self._name = name
        self._event_store = event_store
        self._initial = initial
        self._handlers = dict(handlers)
        self._handled = HandledEvents(name, handlers, event_registry, upcaster_registry)
        self._max_events = max_events

    async def of_stream(self, stream: StreamId, *, up_to_version: int | None = None) -> S:
        """Return what the events of one stream make, in version order.

        Args:
            stream: Whose events; one that does not exist gives the initial state.
            up_to_version: Leave out later events.

        Raises:
            LiveProjectionLimitError: There are more events than an answer may cost.
            UnknownEventTypeError: A stored event has a type the registry does not know.
            EventPayloadError: A stored payload cannot be read.
        """
        events = await self._event_store.get_events(
            stream,
            up_to_version=up_to_version,
            limit=self._max_events + 1,
            event_filter=self._narrowed(None),
        )
        return await self._fold(_each(events))

    async def of(self, event_filter: EventFilter | None = None) -> S:
        """Return what all settled events make that meet a filter, in position order.

        Args:
            event_filter: Which of the events that have a handler; all of them when not given.

        Raises:
            LiveProjectionLimitError: There are more events than an answer may cost.
            UnknownEventTypeError: A stored event has a type the registry does not know.
            EventPayloadError: A stored payload cannot be read.
        """
        return await self._fold(
            self._event_store.read_all(event_filter=self._narrowed(event_filter))
        )

    def _narrowed(self, event_filter: EventFilter | None) -> EventFilter:
        wanted, types = event_filter or EventFilter(), self._handled.event_types
        if wanted.event_types is not None:
            types &= wanted.event_types
        return replace(wanted, event_types=types)

    async def _fold(self, events: AsyncIterator[StoredEvent]) -> S:
        state, count = self._initial(), 0
        hydrate = self._handled.serializer.hydrate
        async for stored in events:
            count += 1
            if count > self._max_events:
                raise LiveProjectionLimitError(self._name, self._max_events)
            for event in hydrate(stored):
                handled = self._handled.handled_class(type(event))
                if handled is not None:
                    state = self._handlers[handled](state, event)
        return state


async def _each(events: list[StoredEvent]) -> AsyncIterator[StoredEvent]:
    for event in events:
        yield event
