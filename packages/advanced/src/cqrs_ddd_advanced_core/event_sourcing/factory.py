"""Puts an event-sourced mediator together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cqrs_ddd_advanced_core.event_sourcing.mediator import EventSourcedMediator
from cqrs_ddd_advanced_core.event_sourcing.persistence import EventSourcedPersistenceOrchestrator
from cqrs_ddd_core.cqrs.event_serializer import EventWriter, serialize_event
from cqrs_ddd_core.cqrs.handler import HandlerFactory, build_handler

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cqrs_ddd_core.cqrs.event_dispatcher import EventDispatcher
    from cqrs_ddd_core.cqrs.registry import HandlerRegistry
    from cqrs_ddd_core.ports.event_store import IEventStore
    from cqrs_ddd_core.ports.middleware import IMiddleware
    from cqrs_ddd_core.ports.outbox import IOutboxStorage
    from cqrs_ddd_core.ports.unit_of_work_scope import UnitOfWorkFactory

__all__ = ["EventSourcedMediatorFactory"]


class EventSourcedMediatorFactory:
    """Collects which aggregate types are event-sourced, then makes the mediator.

    Args:
        event_store: For all types that name no other.
        uow_factory: Makes the unit of work of each root command.
        handler_registry: The handlers.
        event_dispatcher: Further event handlers, besides those of the registry.
        middlewares: Run around every message, the first outermost.
        outbox: Where events wait for publication, when given.
        handler_factory: Makes handlers of registered classes.
        serialize: How events are written; ``EventSerializer.serialize`` keeps some at an older
            version.
        enforce_registration: Refuse events of types that nobody registered.
    """

    def __init__(
        self,
        event_store: IEventStore,
        uow_factory: UnitOfWorkFactory,
        handler_registry: HandlerRegistry,
        event_dispatcher: EventDispatcher | None = None,
        *,
        middlewares: Sequence[IMiddleware] = (),
        outbox: IOutboxStorage | None = None,
        handler_factory: HandlerFactory = build_handler,
        serialize: EventWriter = serialize_event,
        enforce_registration: bool = True,
    ) -> None:
        self._uow_factory = uow_factory
        self._handler_registry = handler_registry
        self._event_dispatcher = event_dispatcher
        self._middlewares = tuple(middlewares)
        self._outbox = outbox
        self._handler_factory = handler_factory
        self._serialize = serialize
        self._orchestrator = EventSourcedPersistenceOrchestrator(
            event_store, serialize=serialize, enforce_registration=enforce_registration
        )

    def register_event_sourced_type(
        self, aggregate_type_name: str, event_store: IEventStore | None = None
    ) -> None:
        """Store the events of an aggregate type, in the default event store if none is given.

        Raises:
            EventSourcingConfigurationError: It is registered as not event-sourced.
        """
        self._orchestrator.register_event_sourced_type(aggregate_type_name, event_store)

    def register_non_event_sourced_type(self, aggregate_type_name: str) -> None:
        """Keep the events of an aggregate type out of every event store.

        Raises:
            EventSourcingConfigurationError: It is registered as event-sourced.
        """
        self._orchestrator.register_non_event_sourced_type(aggregate_type_name)

    def create(self) -> EventSourcedMediator:
        """Return a mediator; all mediators of one factory share its registrations."""
        return EventSourcedMediator(
            self._handler_registry,
            self._uow_factory,
            event_dispatcher=self._event_dispatcher,
            middlewares=self._middlewares,
            outbox=self._outbox,
            handler_factory=self._handler_factory,
            serialize=self._serialize,
            event_persistence_orchestrator=self._orchestrator,
        )
