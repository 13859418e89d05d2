"""Calls the handlers of events in this process."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, NamedTuple

from cqrs_ddd_core.correlation import get_context, reset_context, set_context
from cqrs_ddd_core.cqrs.handler import HandlerFactory, build_handler, resolve_handler
from cqrs_ddd_core.cqrs.registry import HandlerRegistry
from cqrs_ddd_core.ports.event_dispatcher import IEventDispatcher

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cqrs_ddd_core.cqrs.handler import HandlerFunction
    from cqrs_ddd_core.domain.events import DomainEvent

__all__ = ["EventDispatcher"]

_logger = logging.getLogger(__name__)


class _Route(NamedTuple):
    synchronous: tuple[HandlerFunction, ...]
    committed: tuple[HandlerFunction, ...]


class EventDispatcher(IEventDispatcher):
    """Calls handlers one after the other: they may share the unit of work's one connection.

    A handler registered for a class sees its subclasses too. Handlers run in the order of
    events, then of registration; there is no limit and no lock, so a handler may send commands.

    Args:
        registry: Where handlers are kept; one of its own when not given.
        handler_factory: Makes handlers of registered classes, once each.
    """

    def __init__(
        self,
        registry: HandlerRegistry | None = None,
        *,
        handler_factory: HandlerFactory = build_handler,
    ) -> None:
        self._registry = registry or HandlerRegistry()
        self._handler_factory = handler_factory
        self._resolved: dict[int, HandlerFunction] = {}
        self._routes: dict[type[DomainEvent], _Route] = {}
        self._known_subscriptions = 0
        self._failures = 0

    @property
    def failures(self) -> int:
        """How many asynchronous handlers have raised so far."""
        return self._failures

    def register(
        self, event_type: type[DomainEvent], handler: Any, *, synchronous: bool = True
    ) -> None:
        """Call a handler for every event of that class or its subclasses."""
        self._registry.register_event_handler(event_type, handler, synchronous=synchronous)

    def subscribe(
        self, *event_types: type[DomainEvent], synchronous: bool = True
    ) -> Callable[[Any], Any]:
        """Register the decorated handler for one or more event types."""

        def decorator(handler: Any) -> Any:
            for event_type in event_types:
                self.register(event_type, handler, synchronous=synchronous)
            return handler

        return decorator

    async def dispatch(self, events: Sequence[DomainEvent]) -> None:
        """Call the synchronous handlers; the first exception stops everything and propagates."""
        for event in events:
            handlers = self._route(type(event)).synchronous
            if handlers:
                await self._call(handlers, event)

    async def dispatch_committed(self, events: Sequence[DomainEvent]) -> None:
        """Call the asynchronous handlers; exceptions are logged and counted."""
        for event in events:
            for handler in self._route(type(event)).committed:
                try:
                    await self._call((handler,), event)
                except Exception:
                    self._failures += 1
                    _logger.exception("a handler of %s failed after the commit", event.event_type)

    def handles_committed(self, events: Sequence[DomainEvent]) -> bool:
        """Whether any of the events has an asynchronous handler."""
        return any(self._route(type(event)).committed for event in events)

    async def _call(self, handlers: Sequence[HandlerFunction], event: DomainEvent) -> None:
        context = get_context().caused_by(event.event_id, event.correlation_id)
        token = set_context(context)
        try:
            for handler in handlers:
                await handler(event)
        finally:
            reset_context(token)

    def _route(self, event_type: type[DomainEvent]) -> _Route:
        subscriptions = self._registry.subscriptions
        if len(subscriptions) != self._known_subscriptions:
            self._routes.clear()
            self._known_subscriptions = len(subscriptions)
        route = self._routes.get(event_type)
        if route is None:
            route = self._routes[event_type] = self._build_route(event_type)
        return route

    def _build_route(self, event_type: type[DomainEvent]) -> _Route:
        matching = [
            (subscription.synchronous, self._resolve(subscription.handler))
            for subscription in self._registry.subscriptions
            if issubclass(event_type, subscription.event_type)
        ]
        return _Route(
            tuple(handler for synchronous, handler in matching if synchronous),
            tuple(handler for synchronous, handler in matching if not synchronous),
        )

    def _resolve(self, handler: Any) -> HandlerFunction:
        key = id(handler)
        if key not in self._resolved:
            self._resolved[key] = resolve_handler(handler, self._handler_factory)
        return self._resolved[key]
