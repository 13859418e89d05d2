"""Event sourcing, projections, sagas, scheduling and undo on top of cqrs-ddd-core."""

from cqrs_ddd_advanced_core.decorators import non_event_sourced
from cqrs_ddd_advanced_core.domain import (
    EventHandlerError,
    EventSourcedAggregateMixin,
    EventSourcedAggregateRequiredError,
    EventSourcingConfigurationError,
    InvalidEventHandlerError,
    MissingEventHandlerError,
    StrictValidationViolationError,
    aggregate_event_handler,
)
from cqrs_ddd_advanced_core.event_sourcing import (
    EventSourcedLoader,
    EventSourcedMediator,
    EventSourcedMediatorFactory,
    EventSourcedPersistenceOrchestrator,
    EventSourcedRepository,
)

__all__ = [
    "EventHandlerError",
    "EventSourcedAggregateMixin",
    "EventSourcedAggregateRequiredError",
    "EventSourcedLoader",
    "EventSourcedMediator",
    "EventSourcedMediatorFactory",
    "EventSourcedPersistenceOrchestrator",
    "EventSourcedRepository",
    "EventSourcingConfigurationError",
    "InvalidEventHandlerError",
    "MissingEventHandlerError",
    "StrictValidationViolationError",
    "aggregate_event_handler",
    "non_event_sourced",
]
