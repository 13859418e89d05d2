"""Event-sourced aggregates: their handlers, what is asked of them, and their errors."""

from cqrs_ddd_advanced_core.domain.aggregate_mixin import (
    EventSourcedAggregateMixin,
    aggregate_event_handler_validator,
)
from cqrs_ddd_advanced_core.domain.decider import DecidedAggregate, Decider, aggregate_of
from cqrs_ddd_advanced_core.domain.event_handlers import (
    EventHandlerTable,
    aggregate_event_handler,
    get_handler_event_type,
    is_aggregate_event_handler,
)
from cqrs_ddd_advanced_core.domain.event_validation import EventValidationConfig, EventValidator
from cqrs_ddd_advanced_core.domain.exceptions import (
    DeletedAggregateError,
    EventHandlerError,
    EventSourcedAggregateRequiredError,
    EventSourcingConfigurationError,
    HistoryRemovedError,
    IncompleteAggregateError,
    InvalidEventHandlerError,
    MissingEventHandlerError,
    StreamGapError,
    StrictValidationViolationError,
    SummaryMismatchError,
    UnknownCommandError,
)
from cqrs_ddd_advanced_core.domain.lifecycle import (
    COMPACTED_VERSION,
    AggregateDeleted,
    AggregateRestored,
)

__all__ = [
    "COMPACTED_VERSION",
    "AggregateDeleted",
    "AggregateRestored",
    "DecidedAggregate",
    "Decider",
    "DeletedAggregateError",
    "EventHandlerError",
    "EventHandlerTable",
    "EventSourcedAggregateMixin",
    "EventSourcedAggregateRequiredError",
    "EventSourcingConfigurationError",
    "EventValidationConfig",
    "EventValidator",
    "HistoryRemovedError",
    "IncompleteAggregateError",
    "InvalidEventHandlerError",
    "MissingEventHandlerError",
    "StreamGapError",
    "StrictValidationViolationError",
    "SummaryMismatchError",
    "UnknownCommandError",
    "aggregate_event_handler",
    "aggregate_event_handler_validator",
    "aggregate_of",
    "get_handler_event_type",
    "is_aggregate_event_handler",
]
