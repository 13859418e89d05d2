"""Buses with everything a production system wants, in the right order, from one configuration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cqrs_ddd_core.adapters.memory.cache import InMemoryCache
from cqrs_ddd_core.adapters.memory.unit_of_work import InMemoryUnitOfWork
from cqrs_ddd_core.bus import CommandBus, QueryBus
from cqrs_ddd_core.cqrs.batching import CommandBatcher
from cqrs_ddd_core.cqrs.command import Command
from cqrs_ddd_core.cqrs.handler import HandlerFactory, build_handler
from cqrs_ddd_core.cqrs.mediator import Mediator
from cqrs_ddd_core.cqrs.query import Query
from cqrs_ddd_core.cqrs.query_cache import QueryCacheMiddleware
from cqrs_ddd_core.cqrs.registry import HandlerRegistry
from cqrs_ddd_core.middleware.concurrency import ConcurrencyGuardMiddleware
from cqrs_ddd_core.middleware.history import CommandHistory
from cqrs_ddd_core.middleware.idempotency import IdempotencyMiddleware
from cqrs_ddd_core.middleware.lifecycle import LifecycleHooks
from cqrs_ddd_core.middleware.logging import LoggingMiddleware
from cqrs_ddd_core.middleware.metrics import MetricsMiddleware
from cqrs_ddd_core.middleware.retry import RetryMiddleware, RetryPolicy
from cqrs_ddd_core.middleware.timeout import TimeoutMiddleware
from cqrs_ddd_core.middleware.tracing import TracingMiddleware
from cqrs_ddd_core.middleware.validation import PydanticValidator, ValidationMiddleware
from cqrs_ddd_core.primitives.exceptions import (
    CommitOutcomeUnknownError,
    ConcurrencyError,
    ConfigurationError,
    TransientPersistenceError,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cqrs_ddd_core.cqrs.event_dispatcher import EventDispatcher
    from cqrs_ddd_core.instrumentation import HookRegistry
    from cqrs_ddd_core.ports.cache import ICache
    from cqrs_ddd_core.ports.event_store import IEventStore
    from cqrs_ddd_core.ports.inbox import IInbox
    from cqrs_ddd_core.ports.locking import ILockStrategy
    from cqrs_ddd_core.ports.middleware import IMiddleware
    from cqrs_ddd_core.ports.outbox import IOutboxStorage
    from cqrs_ddd_core.ports.unit_of_work_scope import UnitOfWorkFactory
    from cqrs_ddd_core.ports.validation import IValidator

__all__ = ["CQRSConfiguration", "create_cqrs_infrastructure"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CQRSConfiguration:
    """What is switched on, and the limits.

    Attributes:
        enable_command_validation: Check messages before their handlers run.
        enable_query_caching: Cache the answers of query types that have a time to live.
        command_timeout_seconds: After so long a command is cancelled and rolled back.
        query_timeout_seconds: After so long a query is cancelled.
        max_retry_attempts: How often what may succeed next time is tried again; 0 for never.
        enable_distributed_tracing: Carry the W3C trace context along.
        enable_command_batching: Handle commands together in one unit of work.
        batch_size: Commands in one batch.
        batch_timeout_ms: Milliseconds a command waits for others.
    """

    enable_command_validation: bool = True
    enable_query_caching: bool = True
    command_timeout_seconds: float = 30
    query_timeout_seconds: float = 10
    max_retry_attempts: int = 3
    enable_distributed_tracing: bool = True
    enable_command_batching: bool = False
    batch_size: int = 100
    batch_timeout_ms: float = 1000

    def __post_init__(self) -> None:
        if self.max_retry_attempts < 0:
            msg = f"max_retry_attempts is 0 or more, not {self.max_retry_attempts}"
            raise ConfigurationError(msg)


def create_cqrs_infrastructure(
    configuration: CQRSConfiguration | None = None,
    container: HandlerFactory = build_handler,
    *,
    uow_factory: UnitOfWorkFactory = InMemoryUnitOfWork,
    registry: HandlerRegistry | None = None,
    event_dispatcher: EventDispatcher | None = None,
    event_store: IEventStore | None = None,
    outbox: IOutboxStorage | None = None,
    inbox: IInbox | None = None,
    cache: ICache | None = None,
    lock_strategy: ILockStrategy | None = None,
    validator: IValidator | None = None,
    hooks: HookRegistry | None = None,
    middlewares: Sequence[IMiddleware] = (),
) -> tuple[CommandBus, QueryBus]:
    """Return buses whose pipeline is assembled in the order that keeps every promise.

    Args:
        configuration: What is switched on; everything as it stands there when not given.
        container: Makes handlers of registered classes, such as a container's ``resolve``.
        uow_factory: Makes the unit of work of each root command; in memory when not given.
        registry: The handlers; a registry of its own when not given.
        event_dispatcher: Further event handlers.
        event_store: Where events of aggregates are appended, when given.
        outbox: Where events wait for publication, when given.
        inbox: Makes commands idempotent by their id, when given.
        cache: Keeps answers; in memory when not given.
        lock_strategy: Locks what commands name as critical, when given.
        validator: Checks messages; pydantic when not given.
        hooks: Told when messages begin and end, when given.
        middlewares: Your own, within tracing, logging and metrics, around all others.
    """
    settings = configuration or CQRSConfiguration()
    handlers = registry or HandlerRegistry()
    pipeline = [
        *([TracingMiddleware()] if settings.enable_distributed_tracing else []),
        LoggingMiddleware(),
        MetricsMiddleware(),
        *([LifecycleHooks(hooks)] if hooks is not None else []),
        CommandHistory(),
        *middlewares,
        *_caching(settings, handlers, cache),
        *_retrying(settings, inbox),
        # Behind the retries: a lock is not kept while one waits to try again.
        *([ConcurrencyGuardMiddleware(lock_strategy)] if lock_strategy is not None else []),
        *_inside(settings, inbox, validator),
    ]
    mediator = Mediator(
        handlers,
        uow_factory,
        middlewares=pipeline,
        event_dispatcher=event_dispatcher,
        event_store=event_store,
        outbox=outbox,
        handler_factory=container,
    )
    return CommandBus(mediator, batcher=_batcher(settings, mediator)), QueryBus(mediator)


def _caching(
    settings: CQRSConfiguration, registry: HandlerRegistry, cache: ICache | None
) -> list[IMiddleware]:
    if not settings.enable_query_caching:
        return []
    return [QueryCacheMiddleware(cache or InMemoryCache(), registry)]


def _retrying(settings: CQRSConfiguration, inbox: IInbox | None) -> list[IMiddleware]:
    if settings.max_retry_attempts == 0:
        return []
    errors: tuple[type[Exception], ...] = (ConcurrencyError, TransientPersistenceError)
    if inbox is not None:
        # The inbox tells whether the lost commit has happened.
        errors = (*errors, CommitOutcomeUnknownError)
    return [RetryMiddleware(RetryPolicy(settings.max_retry_attempts + 1, retry_on=errors))]


def _inside(
    settings: CQRSConfiguration, inbox: IInbox | None, validator: IValidator | None
) -> list[IMiddleware]:
    limits: dict[type[Any], float] = {
        Command: settings.command_timeout_seconds,
        Query: settings.query_timeout_seconds,
    }
    inside: list[IMiddleware] = [TimeoutMiddleware(None, per_type=limits)]
    if inbox is not None:
        inside.append(IdempotencyMiddleware(inbox))
    if settings.enable_command_validation:
        # Behind the inbox: a repeat gets its recorded answer, whatever holds by now.
        inside.append(ValidationMiddleware(validator or PydanticValidator()))
    return inside


def _batcher(
    settings: CQRSConfiguration, mediator: Mediator
) -> CommandBatcher[Command[Any], Any] | None:
    if not settings.enable_command_batching:
        return None
    return CommandBatcher(
        mediator, max_size=settings.batch_size, max_wait=settings.batch_timeout_ms / 1000
    )
