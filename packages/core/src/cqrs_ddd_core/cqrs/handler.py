"""Handlers: classes with an async ``handle``, or plain async functions."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from typing import (
    TYPE_CHECKING,
    Any,
    Generic,
    TypeAlias,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

from typing_extensions import TypeVar

from cqrs_ddd_core.cqrs.command import Command, CommandResponse
from cqrs_ddd_core.cqrs.query import Query, QueryResponse
from cqrs_ddd_core.domain.events import DomainEvent
from cqrs_ddd_core.primitives.exceptions import ConfigurationError, HandlerRegistrationError

if TYPE_CHECKING:
    from cqrs_ddd_core.ports.middleware import IMiddleware

__all__ = [
    "CommandHandler",
    "EventHandler",
    "Handler",
    "HandlerFactory",
    "HandlerFunction",
    "QueryHandler",
    "behaviors_of",
    "build_handler",
    "check_handler",
    "handled_type",
    "resolve_handler",
]

C = TypeVar("C", bound=Command[Any])
Q = TypeVar("Q", bound=Query[Any])
E = TypeVar("E", bound=DomainEvent)
R = TypeVar("R", default=Any)

#: An async function that takes a message.
HandlerFunction: TypeAlias = Callable[[Any], Awaitable[Any]]
#: What can be registered: a handler class, an object with ``handle``, or an async function.
Handler: TypeAlias = Any
#: Makes a handler of a registered class, for instance by a dependency injection container.
HandlerFactory: TypeAlias = Callable[[type[Any]], Any]


class CommandHandler(ABC, Generic[C, R]):
    """Handles one type of command inside its unit of work.

    A class may have ``behaviors``: middlewares that run around its own commands only, such as
    a retry policy, which has to stand outside of the unit of work.
    """

    @abstractmethod
    async def handle(self, command: C) -> R | CommandResponse[R]:
        """Change something and return the result; raising rolls everything back."""


class QueryHandler(ABC, Generic[Q, R]):
    """Answers one type of query."""

    @abstractmethod
    async def handle(self, query: Q) -> R | QueryResponse[R]:
        """Return the answer; change nothing."""


class EventHandler(ABC, Generic[E]):
    """Reacts to one type of event and its subclasses."""

    @abstractmethod
    async def handle(self, event: E) -> None:
        """Do what follows from the event."""


def check_handler(handler: Handler) -> None:
    """Refuse what cannot handle a message.

    Raises:
        HandlerRegistrationError: It is neither an async function nor has an async ``handle``.
    """
    function = getattr(handler, "handle", handler)
    if not callable(function):
        msg = f"{handler!r} is no handler: give an async function or a class with async handle()"
        raise HandlerRegistrationError(msg)
    if not _is_async(function):
        name = getattr(function, "__qualname__", repr(function))
        msg = f"{name} is not async: write 'async def', the pipeline awaits it"
        raise HandlerRegistrationError(msg)


def _is_async(function: Any) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 - asks how it is called, not whether
    )


def build_handler(handler_class: type[Any]) -> Any:
    """Build a handler without arguments; the default handler factory.

    Raises:
        ConfigurationError: The class needs arguments.
    """
    try:
        return handler_class()
    except TypeError as error:
        msg = (
            f"cannot build {handler_class.__name__} without arguments ({error}): register an "
            "instance, or give the mediator a handler_factory"
        )
        raise ConfigurationError(msg) from error


def resolve_handler(handler: Handler, factory: HandlerFactory) -> HandlerFunction:
    """Return the async function behind a registered handler."""
    built = factory(handler) if isinstance(handler, type) else handler
    return cast("HandlerFunction", getattr(built, "handle", built))


def behaviors_of(function: HandlerFunction) -> Sequence[IMiddleware]:
    """Return the middlewares a handler brings along for its own messages, the first outermost."""
    owner = getattr(function, "__self__", function)
    behaviors: Sequence[IMiddleware] = getattr(owner, "behaviors", ())
    return behaviors


def handled_type(handler: Handler, base: type[Any]) -> type[Any]:
    """Return the message type a handler was written for, from its annotations.

    Raises:
        HandlerRegistrationError: The annotations do not tell.
    """
    found = _type_from_bases(handler, base) or _type_from_signature(handler, base)
    if found is None:
        msg = (
            f"cannot tell which message {handler!r} handles: annotate its parameter, or name the "
            "type when registering"
        )
        raise HandlerRegistrationError(msg)
    return found


def _type_from_bases(handler: Handler, base: type[Any]) -> type[Any] | None:
    owner = handler if isinstance(handler, type) else type(handler)
    for parent in getattr(owner, "__orig_bases__", ()):
        for argument in get_args(parent):
            if isinstance(argument, type) and issubclass(argument, base):
                return argument
    return None


def _type_from_signature(handler: Handler, base: type[Any]) -> type[Any] | None:
    function = getattr(handler, "handle", handler)
    try:
        hints = get_type_hints(function)
    except (NameError, TypeError):
        return None
    for name, hint in hints.items():
        message_type = get_origin(hint) or hint
        if name != "return" and isinstance(message_type, type) and issubclass(message_type, base):
            return message_type
    return None
