"""Building blocks for domain-driven design, CQRS and event sourcing: what a first program needs."""

from __future__ import annotations

from cqrs_ddd_core.bus import CommandBus, CQRSHandler, QueryBus
from cqrs_ddd_core.configuration import CQRSConfiguration, create_cqrs_infrastructure
from cqrs_ddd_core.correlation import get_correlation_id, message_context
from cqrs_ddd_core.cqrs import (
    Command,
    CommandHandler,
    CommandResponse,
    EventDispatcher,
    EventHandler,
    HandlerRegistry,
    Mediator,
    MessageRegistry,
    Query,
    QueryHandler,
    QueryResponse,
)
from cqrs_ddd_core.domain import (
    AggregateRoot,
    DomainEvent,
    Entity,
    EventTypeRegistry,
    QueryOptions,
    Specification,
    ValueObject,
    field,
)
from cqrs_ddd_core.ports import (
    IEventStore,
    IMiddleware,
    IRepository,
    MiddlewareScope,
    StreamId,
    UnitOfWork,
    get_current_uow,
)
from cqrs_ddd_core.primitives import (
    ConcurrencyError,
    CQRSDDDError,
    DomainError,
    EntityNotFoundError,
    InvariantViolationError,
    OptimisticConcurrencyError,
    Result,
    ValidationError,
)

__all__ = [
    "AggregateRoot",
    "CQRSConfiguration",
    "CQRSDDDError",
    "CQRSHandler",
    "Command",
    "CommandBus",
    "CommandHandler",
    "CommandResponse",
    "ConcurrencyError",
    "DomainError",
    "DomainEvent",
    "Entity",
    "EntityNotFoundError",
    "EventDispatcher",
    "EventHandler",
    "EventTypeRegistry",
    "HandlerRegistry",
    "IEventStore",
    "IMiddleware",
    "IRepository",
    "InvariantViolationError",
    "Mediator",
    "MessageRegistry",
    "MiddlewareScope",
    "OptimisticConcurrencyError",
    "Query",
    "QueryBus",
    "QueryHandler",
    "QueryOptions",
    "QueryResponse",
    "Result",
    "Specification",
    "StreamId",
    "UnitOfWork",
    "ValidationError",
    "ValueObject",
    "create_cqrs_infrastructure",
    "field",
    "get_correlation_id",
    "get_current_uow",
    "message_context",
]
