"""Buses: the mediator seen from the side of commands, of queries, and of bare names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import pydantic

from cqrs_ddd_core.cqrs.message_registry import MessageRegistry
from cqrs_ddd_core.cqrs.query_cache import QueryCacheMiddleware, cache_for
from cqrs_ddd_core.middleware.history import CommandHistory
from cqrs_ddd_core.middleware.metrics import MetricsMiddleware
from cqrs_ddd_core.middleware.validation import messages_of
from cqrs_ddd_core.primitives.exceptions import ConfigurationError, ValidationError

if TYPE_CHECKING:
    from cqrs_ddd_core.cqrs.batching import CommandBatcher
    from cqrs_ddd_core.cqrs.command import Command, CommandResponse
    from cqrs_ddd_core.cqrs.handler import Handler
    from cqrs_ddd_core.cqrs.mediator import Mediator
    from cqrs_ddd_core.cqrs.query import Query, QueryResponse
    from cqrs_ddd_core.cqrs.query_cache import TagsOf
    from cqrs_ddd_core.middleware.history import ExecutedCommand
    from cqrs_ddd_core.middleware.metrics import MessageMetrics

__all__ = ["CQRSHandler", "CommandBus", "QueryBus"]

R = TypeVar("R")
T = TypeVar("T")
M = TypeVar("M", bound=pydantic.BaseModel)


class CommandBus:
    """Sends commands; offers what the mediator's middlewares know about them.

    Args:
        mediator: Runs the commands.
        batcher: Collects commands into batches, when given.
    """

    def __init__(
        self, mediator: Mediator, *, batcher: CommandBatcher[Command[Any], Any] | None = None
    ) -> None:
        self._mediator = mediator
        self._batcher = batcher

    def register_handler(self, command_type: type[Command[Any]], handler: Handler) -> None:
        """Let a handler serve a command type.

        Raises:
            HandlerRegistrationError: Another handler serves it, or the handler is not async.
        """
        self._mediator.registry.register_command_handler(command_type, handler)

    async def send(self, command: Command[R]) -> CommandResponse[R]:
        """Run a command and return what it brought about, after its commit.

        Raises:
            HandlerNotFoundError: No handler is registered for it.
            Exception: Whatever the handler or a middleware raised; everything was rolled back.
        """
        if self._batcher is not None:
            return await self._batcher.send(command)
        return await self._mediator.send(command)

    def get_metrics(self) -> dict[str, MessageMetrics]:
        """Return the metrics of each command type by name.

        Raises:
            ConfigurationError: The mediator has no ``MetricsMiddleware``.
        """
        return _find(self._mediator, MetricsMiddleware).get_metrics("command")

    def get_history(self) -> list[ExecutedCommand]:
        """Return the last commands, oldest first.

        Raises:
            ConfigurationError: The mediator has no ``CommandHistory``.
        """
        return _find(self._mediator, CommandHistory).list()

    def clear_history(self) -> None:
        """Forget the last commands.

        Raises:
            ConfigurationError: The mediator has no ``CommandHistory``.
        """
        _find(self._mediator, CommandHistory).clear()

    async def close(self) -> None:
        """Handle the commands that wait in a batch and take no more."""
        if self._batcher is not None:
            await self._batcher.close()


class QueryBus:
    """Answers queries; offers what the mediator's middlewares know about them.

    Args:
        mediator: Runs the queries.
    """

    def __init__(self, mediator: Mediator) -> None:
        self._mediator = mediator

    def register_handler(
        self,
        query_type: type[Query[Any]],
        handler: Handler,
        *,
        cache_ttl: float | None = None,
        cache_tags: TagsOf = (),
    ) -> None:
        """Let a handler answer a query type, and say for how long answers are cached.

        Args:
            query_type: The type it answers.
            handler: An async function, an object with an async ``handle``, or a class of such.
            cache_ttl: Seconds; not cached when not given.
            cache_tags: What the answers are forgotten by, besides their type.

        Raises:
            HandlerRegistrationError: Another handler serves it, or the handler is not async.
            ConfigurationError: The answer cannot be cached, or there is no cache.
        """
        if cache_ttl is not None:
            self._cache().configure(query_type, ttl=cache_ttl, tags=cache_tags)
        self._mediator.registry.register_query_handler(query_type, handler)

    async def query(self, query: Query[R], *, cache_ttl: float | None = None) -> QueryResponse[R]:
        """Answer a query and say how long it took.

        Args:
            query: The question.
            cache_ttl: Seconds to cache this answer for, instead of what its type says.

        Raises:
            HandlerNotFoundError: No handler is registered for it.
        """
        with cache_for(cache_ttl):
            return await self._mediator.query(query)

    async def ask(self, query: Query[R], *, cache_ttl: float | None = None) -> R:
        """Answer a query with the bare result; like ``query`` in all else."""
        return (await self.query(query, cache_ttl=cache_ttl)).result

    async def invalidate_cache(self, *targets: Query[Any] | type[Query[Any]]) -> None:
        """Forget the cached answers of query types or single queries, of the current tenant.

        Raises:
            ConfigurationError: The mediator has no ``QueryCacheMiddleware``.
        """
        await self._cache().invalidate(*targets)

    async def clear_all_caches(self) -> None:
        """Empty the whole cache.

        Raises:
            ConfigurationError: The mediator has no ``QueryCacheMiddleware``.
        """
        await self._cache().clear()

    def get_metrics(self) -> dict[str, MessageMetrics]:
        """Return the metrics of each query type by name.

        Raises:
            ConfigurationError: The mediator has no ``MetricsMiddleware``.
        """
        return _find(self._mediator, MetricsMiddleware).get_metrics("query")

    def _cache(self) -> QueryCacheMiddleware:
        return _find(self._mediator, QueryCacheMiddleware)


class CQRSHandler:
    """Runs commands and queries by name, with plain parameters, such as from a web request.

    Args:
        command_bus: Sends the commands.
        query_bus: Answers the queries.
        messages: The names that may be used; a registry of its own when not given.
    """

    def __init__(
        self,
        command_bus: CommandBus,
        query_bus: QueryBus,
        messages: MessageRegistry | None = None,
    ) -> None:
        self.command_bus = command_bus
        self.query_bus = query_bus
        self.messages: MessageRegistry = messages or MessageRegistry()

    def register_command(
        self, name: str, command_type: type[Command[Any]], handler: Handler | None = None
    ) -> None:
        """Allow a command under a name, and let a handler serve it when one is given."""
        self.messages.register_command(command_type, name=name)
        if handler is not None:
            self.command_bus.register_handler(command_type, handler)

    def register_query(
        self, name: str, query_type: type[Query[Any]], handler: Handler | None = None
    ) -> None:
        """Allow a query under a name, and let a handler answer it when one is given."""
        self.messages.register_query(query_type, name=name)
        if handler is not None:
            self.query_bus.register_handler(query_type, handler)

    async def command(self, name: str, params: Mapping[str, Any]) -> Any:
        """Run the command of that name and return its result.

        Raises:
            UnknownMessageTypeError: Nobody registered that name.
            ValidationError: The parameters do not fit the command.
        """
        command = _build(self.messages.get_command(name), params)
        return (await self.command_bus.send(command)).result

    async def query(
        self, name: str, params: Mapping[str, Any], cache_ttl: float | None = None
    ) -> Any:
        """Answer the query of that name, cached for so many seconds when given.

        Raises:
            UnknownMessageTypeError: Nobody registered that name.
            ValidationError: The parameters do not fit the query.
        """
        query = _build(self.messages.get_query(name), params)
        return await self.query_bus.ask(query, cache_ttl=cache_ttl)


def _build(message_type: type[M], params: Mapping[str, Any]) -> M:
    try:
        return message_type.model_validate(dict(params))
    except pydantic.ValidationError as error:
        raise ValidationError(messages_of(error)) from None


def _find(mediator: Mediator, middleware_type: type[T]) -> T:
    for middleware in mediator.middlewares:
        if isinstance(middleware, middleware_type):
            return middleware
    msg = f"the mediator has no {middleware_type.__name__} among its middlewares"
    raise ConfigurationError(msg)
