"""Which handler serves which message."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar, overload

from cqrs_ddd_core.cqrs.command import Command
from cqrs_ddd_core.cqrs.handler import Handler, check_handler, handled_type
from cqrs_ddd_core.cqrs.query import Query
from cqrs_ddd_core.domain.events import DomainEvent
from cqrs_ddd_core.primitives.exceptions import HandlerNotFoundError, HandlerRegistrationError

__all__ = ["EventSubscription", "HandlerRegistry"]


H = TypeVar("H")


class EventSubscription(NamedTuple):
    """An event handler and when it runs."""

    event_type: type[DomainEvent]
    handler: Handler
    synchronous: bool


class HandlerRegistry:
    """Maps message types to handlers: one per command and query, any number per event."""

    def __init__(self) -> None:
        self._commands: dict[type[Any], Handler] = {}
        self._queries: dict[type[Any], Handler] = {}
        self._subscriptions: list[EventSubscription] = []

    def register_command_handler(self, command_type: type[Command[Any]], handler: Handler) -> None:
        """Let a handler serve a command type; the same pair again changes nothing.

        Raises:
            HandlerRegistrationError: Another handler serves it, or the handler is not async.
        """
        _register(self._commands, command_type, handler, Command)

    def register_query_handler(self, query_type: type[Query[Any]], handler: Handler) -> None:
        """Let a handler serve a query type; the same pair again changes nothing.

        Raises:
            HandlerRegistrationError: Another handler serves it, or the handler is not async.
        """
        _register(self._queries, query_type, handler, Query)

    def register_event_handler(
        self, event_type: type[DomainEvent], handler: Handler, *, synchronous: bool = True
    ) -> None:
        """Let a handler see events of a type and its subclasses, in order of registration.

        Args:
            event_type: The class whose events it sees.
            handler: An async function, an object with an async ``handle``, or a class of such.
            synchronous: In the transaction, where raising vetoes the command; otherwise after
                the commit, where raising is logged and changes nothing.

        Raises:
            HandlerRegistrationError: The type is no event, or the handler is not async.
        """
        _check_type(event_type, DomainEvent)
        check_handler(handler)
        subscription = EventSubscription(event_type, handler, synchronous)
        if subscription not in self._subscriptions:
            self._subscriptions.append(subscription)

    @overload
    def command_handler(self, handler: type[Command[Any]], /) -> Callable[[H], H]: ...
    @overload
    def command_handler(self, handler: H, /) -> H: ...
    def command_handler(self, handler: Any, /) -> Any:
        """Register the decorated handler for the command it is annotated with, or named."""
        return _decorate(handler, Command, self.register_command_handler)

    @overload
    def query_handler(self, handler: type[Query[Any]], /) -> Callable[[H], H]: ...
    @overload
    def query_handler(self, handler: H, /) -> H: ...
    def query_handler(self, handler: Any, /) -> Any:
        """Register the decorated handler for the query it is annotated with, or named."""
        return _decorate(handler, Query, self.register_query_handler)

    @overload
    def event_handler(self, handler: type[DomainEvent], /) -> Callable[[H], H]: ...
    @overload
    def event_handler(self, handler: H, /) -> H: ...
    def event_handler(self, handler: Any, /) -> Any:
        """Register the decorated handler, in the transaction, for its annotated or named event."""
        return _decorate(handler, DomainEvent, self.register_event_handler)

    def get_command_handler(self, command_type: type[Any]) -> Handler:
        """Return the handler of a command type.

        Raises:
            HandlerNotFoundError: There is none.
        """
        if command_type not in self._commands:
            raise HandlerNotFoundError(command_type, "command")
        return self._commands[command_type]

    def get_query_handler(self, query_type: type[Any]) -> Handler:
        """Return the handler of a query type.

        Raises:
            HandlerNotFoundError: There is none.
        """
        if query_type not in self._queries:
            raise HandlerNotFoundError(query_type, "query")
        return self._queries[query_type]

    @property
    def subscriptions(self) -> tuple[EventSubscription, ...]:
        """All event handlers in the order they were registered."""
        return tuple(self._subscriptions)


def _check_type(message_type: Any, base: type[Any]) -> None:
    if not (isinstance(message_type, type) and issubclass(message_type, base)):
        msg = f"{message_type!r} is not a subclass of {base.__name__}"
        raise HandlerRegistrationError(msg)


def _register(
    handlers: dict[type[Any], Handler], message_type: type[Any], handler: Handler, base: type[Any]
) -> None:
    _check_type(message_type, base)
    check_handler(handler)
    known = handlers.setdefault(message_type, handler)
    if known is not handler:
        msg = (
            f"{message_type.__name__} is handled by {_name(known)} already, "
            f"so {_name(handler)} cannot handle it too: a {base.__name__.lower()} has one handler"
        )
        raise HandlerRegistrationError(msg)


def _decorate(given: Any, base: type[Any], register: Callable[[Any, Any], None]) -> Any:
    if isinstance(given, type) and issubclass(given, base):

        def decorator(handler: H) -> H:
            register(given, handler)
            return handler

        return decorator
    register(handled_type(given, base), given)
    return given


def _name(handler: Handler) -> str:
    return getattr(handler, "__qualname__", type(handler).__qualname__)
