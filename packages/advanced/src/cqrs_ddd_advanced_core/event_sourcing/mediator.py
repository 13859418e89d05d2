"""The mediator that stores the events of event-sourced aggregates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cqrs_ddd_advanced_core.domain.exceptions import EventSourcingConfigurationError
from cqrs_ddd_core.cqrs.event_serializer import EventWriter, serialize_event
from cqrs_ddd_core.cqrs.handler import HandlerFactory, build_handler
from cqrs_ddd_core.cqrs.mediator import Mediator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cqrs_ddd_advanced_core.event_sourcing.persistence import (
        EventSourcedPersistenceOrchestrator,
    )
    from cqrs_ddd_core.cqrs.event_dispatcher import EventDispatcher
    from cqrs_ddd_core.cqrs.registry import HandlerRegistry
    from cqrs_ddd_core.ports.event_store import IEventStore
    from cqrs_ddd_core.ports.middleware import IMiddleware
    from cqrs_ddd_core.ports.outbox import IOutboxStorage
    from cqrs_ddd_core.ports.unit_of_work_scope import UnitOfWorkFactory

__all__ = ["EventSourcedMediator"]


class EventSourcedMediator(Mediator):
    """Takes the place of ``Mediator`` and stores events by aggregate type.

    Guarantee (G1, G3): state, events and outbox messages of a command, and of the commands its
    handlers send, commit together; events stand in the order they were raised, so that those of
    a nested command never precede what its parent had raised before.

    Args:
        registry: The handlers.
        uow_factory: Makes the unit of work of each root command.
        event_dispatcher: Further event handlers, besides those of the registry.
        middlewares: Run around every message, the first outermost.
        event_store: Where all events go, without an orchestrator.
        outbox: Where events wait for publication, when given.
        handler_factory: Makes handlers of registered classes.
        serialize: How events are written; ``EventSerializer.serialize`` keeps some at an older
            version.
        event_persistence_orchestrator: Says which types are stored where.

    Raises:
        EventSourcingConfigurationError: Both an event store and an orchestrator are given.
    """

    def __init__(
        self,
        registry: HandlerRegistry,
        uow_factory: UnitOfWorkFactory,
        *,
        event_dispatcher: EventDispatcher | None = None,
        middlewares: Sequence[IMiddleware] = (),
        event_store: IEventStore | None = None,
        outbox: IOutboxStorage | None = None,
        handler_factory: HandlerFactory = build_handler,
        serialize: EventWriter = serialize_event,
        event_persistence_orchestrator: EventSourcedPersistenceOrchestrator | None = None,
    ) -> None:
        orchestrator = event_persistence_orchestrator
        if orchestrator is not None and event_store is not None:
            msg = "the orchestrator has the event stores: leave event_store out, or it"
            raise EventSourcingConfigurationError(msg)
        super().__init__(
            registry,
            uow_factory,
            middlewares=middlewares,
            event_dispatcher=event_dispatcher,
            event_store=event_store if orchestrator is None else orchestrator.get_event_store,
            outbox=outbox,
            handler_factory=handler_factory,
            serialize=serialize,
        )
        self._orchestrator = orchestrator

    def configure_event_sourced_type(
        self, aggregate_type_name: str, event_store: IEventStore | None = None
    ) -> None:
        """Store the events of an aggregate type, in the default event store if none is given.

        Raises:
            EventSourcingConfigurationError: There is no orchestrator.
        """
        self._require_orchestrator().register_event_sourced_type(aggregate_type_name, event_store)

    def configure_non_event_sourced_type(self, aggregate_type_name: str) -> None:
        """Keep the events of an aggregate type out of every event store.

        Raises:
            EventSourcingConfigurationError: There is no orchestrator.
        """
        self._require_orchestrator().register_non_event_sourced_type(aggregate_type_name)

    def _require_orchestrator(self) -> EventSourcedPersistenceOrchestrator:
        if self._orchestrator is None:
            msg = (
                "this mediator has no orchestrator to tell: build it with "
                "event_persistence_orchestrator=EventSourcedPersistenceOrchestrator(event_store)"
            )
            raise EventSourcingConfigurationError(msg)
        return self._orchestrator
