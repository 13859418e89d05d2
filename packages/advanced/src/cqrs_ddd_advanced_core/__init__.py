"""Event sourcing, projections, sagas, scheduling and undo on top of cqrs-ddd-core."""

from cqrs_ddd_advanced_core.configuration import (
    EventSourcingConfiguration,
    create_event_sourcing_infrastructure,
)
from cqrs_ddd_advanced_core.conflict import EventConflictPolicy
from cqrs_ddd_advanced_core.cqrs import (
    ConflictCommandHandler,
    ResilientCommandHandler,
    RetryableCommandHandler,
)
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
    EventReplayService,
    EventSourcedLoader,
    EventSourcedMediator,
    EventSourcedMediatorFactory,
    EventSourcedPersistenceOrchestrator,
    EventSourcedRepository,
)
from cqrs_ddd_advanced_core.snapshots import EveryNEventsStrategy, SnapshotStore
from cqrs_ddd_advanced_core.undo import UndoExecutorRegistry, UndoService
from cqrs_ddd_advanced_core.upcasting import EventUpcaster, UpcasterRegistry

__all__ = [
    "ConflictCommandHandler",
    "EventConflictPolicy",
    "EventHandlerError",
    "EventReplayService",
    "EventSourcedAggregateMixin",
    "EventSourcedAggregateRequiredError",
    "EventSourcedLoader",
    "EventSourcedMediator",
    "EventSourcedMediatorFactory",
    "EventSourcedPersistenceOrchestrator",
    "EventSourcedRepository",
    "EventSourcingConfiguration",
    "EventSourcingConfigurationError",
    "EventUpcaster",
    "EveryNEventsStrategy",
    "InvalidEventHandlerError",
    "MissingEventHandlerError",
    "ResilientCommandHandler",
    "RetryableCommandHandler",
    "SnapshotStore",
    "StrictValidationViolationError",
    "UndoExecutorRegistry",
    "UndoService",
    "UpcasterRegistry",
    "aggregate_event_handler",
    "create_event_sourcing_infrastructure",
    "non_event_sourced",
]
