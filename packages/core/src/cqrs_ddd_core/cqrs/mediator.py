"""The mediator: finds the handler of a message and runs it the way messages are run."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Any, TypeVar

from cqrs_ddd_core.correlation import get_context, reset_context, set_context
from cqrs_ddd_core.cqrs.command import to_response
from cqrs_ddd_core.cqrs.event_dispatcher import EventDispatcher
from cqrs_ddd_core.cqrs.event_recorder import EventRecorder
from cqrs_ddd_core.cqrs.event_serializer import serialize_event
from cqrs_ddd_core.cqrs.handler import (
    HandlerFactory,
    behaviors_of,
    build_handler,
    resolve_handler,
)
from cqrs_ddd_core.cqrs.pipeline import build_pipeline, select_middlewares
from cqrs_ddd_core.cqrs.query import Query, QueryResponse
from cqrs_ddd_core.ports.middleware import MiddlewareScope
from cqrs_ddd_core.ports.unit_of_work_scope import (
    UnitOfWorkScope,
    current_scope,
    enter_scope,
    leave_scope,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cqrs_ddd_core.cqrs.command import Command, CommandResponse
    from cqrs_ddd_core.cqrs.event_recorder import EventStoreSelector
    from cqrs_ddd_core.cqrs.event_serializer import EventWriter
    from cqrs_ddd_core.cqrs.registry import HandlerRegistry
    from cqrs_ddd_core.ports.event_store import IEventStore
    from cqrs_ddd_core.ports.middleware import IMiddleware, NextHandler
    from cqrs_ddd_core.ports.outbox import IOutboxStorage
    from cqrs_ddd_core.ports.unit_of_work import UnitOfWork
    from cqrs_ddd_core.ports.unit_of_work_scope import EventRecording, UnitOfWorkFactory

__all__ = ["Mediator"]

R = TypeVar("R")


class Mediator:
    """Runs each command in one unit of work, and each query without any.

    A command sent by a handler, in the same task, joins the unit of work of the first one: they
    commit or vanish together (G1). Before the commit, the events of all of them are dispatched
    to synchronous handlers, appended to the event store and saved in the outbox, in the order
    they were raised; after it, asynchronous handlers are called.

    Args:
        registry: The handlers. Handler classes are built once, on first use.
        uow_factory: Makes the unit of work of each root command.
        middlewares: Run around every message, the first outermost. Those of scope ``OUTSIDE``
            surround the unit of work, those of scope ``INSIDE`` are part of it. A handler's own
            ``behaviors`` run inside of those of the same scope.
        event_dispatcher: Further event handlers, besides those of the registry.
        event_store: Where events of aggregates are appended, when given: one store for all, or a
            function that returns the store of an aggregate type, ``None`` for none.
        outbox: Where events wait for publication, when given.
        handler_factory: Makes handlers of registered classes.
        serialize: How events are written; ``EventSerializer.serialize`` keeps some at an older
            version.
    """

    def __init__(
        self,
        registry: HandlerRegistry,
        uow_factory: UnitOfWorkFactory,
        *,
        middlewares: Sequence[IMiddleware] = (),
        event_dispatcher: EventDispatcher | None = None,
        event_store: IEventStore | EventStoreSelector | None = None,
        outbox: IOutboxStorage | None = None,
        handler_factory: HandlerFactory = build_handler,
        serialize: EventWriter = serialize_event,
    ) -> None:
        self._registry = registry
        self._uow_factory = uow_factory
        self._middlewares = tuple(middlewares)
        self._handler_factory = handler_factory
        dispatchers = [EventDispatcher(registry, handler_factory=handler_factory)]
        if event_dispatcher is not None:
            dispatchers.append(event_dispatcher)
        self._dispatchers = tuple(dispatchers)
        self._recorder = EventRecorder(
            dispatchers, event_store=event_store, outbox=outbox, serialize=serialize
        )
        self._commands: dict[type[Any], NextHandler] = {}
        self._queries: dict[type[Any], NextHandler] = {}

    @property
    def registry(self) -> HandlerRegistry:
        """The handlers this mediator finds."""
        return self._registry

    @property
    def middlewares(self) -> tuple[IMiddleware, ...]:
        """What runs around every message, the first outermost."""
        return self._middlewares

    @property
    def event_dispatchers(self) -> tuple[EventDispatcher, ...]:
        """What calls the handlers of events: those of the registry, then the further ones."""
        return self._dispatchers

    async def send(self, command: Command[R]) -> CommandResponse[R]:
        """Run a command and return what it brought about, after its commit.

        Raises:
            HandlerNotFoundError: No handler is registered for it.
            OptimisticConcurrencyError: Somebody else was faster; nothing was changed.
            Exception: Whatever the handler, a middleware or a synchronous event handler raised;
                everything was rolled back.
        """
        run = self._commands.get(type(command)) or self._compile_command(type(command))
        context = get_context().caused_by(command.command_id, command.correlation_id)
        token = set_context(context)
        try:
            response: CommandResponse[R] = await run(command)
            return response
        finally:
            reset_context(token)

    async def query(self, query: Query[R]) -> QueryResponse[R]:
        """Answer a query and say how long it took.

        Raises:
            HandlerNotFoundError: No handler is registered for it.
        """
        run = self._queries.get(type(query)) or self._compile_query(type(query))
        token = set_context(get_context().caused_by(query.query_id, query.correlation_id))
        started = perf_counter()
        try:
            response: QueryResponse[R] = await run(query)
        finally:
            reset_context(token)
        response.query_id = query.query_id
        response.execution_time_ms = (perf_counter() - started) * 1000
        return response

    async def ask(self, query: Query[R]) -> R:
        """Answer a query with the bare result.

        Raises:
            HandlerNotFoundError: No handler is registered for it.
        """
        return (await self.query(query)).result

    def _compile_command(self, command_type: type[Any]) -> NextHandler:
        handler = resolve_handler(
            self._registry.get_command_handler(command_type), self._handler_factory
        )

        async def handle(command: Command[Any]) -> CommandResponse[Any]:
            return to_response(await handler(command), command)

        own = behaviors_of(handler)
        inside = build_pipeline(self._select(MiddlewareScope.INSIDE, command_type, own), handle)
        run = build_pipeline(
            self._select(MiddlewareScope.OUTSIDE, command_type, own), self._in_unit_of_work(inside)
        )
        self._commands[command_type] = run
        return run

    def _in_unit_of_work(self, inside: NextHandler) -> NextHandler:
        record = self._recorder.record
        uow_factory = self._uow_factory

        async def execute(command: Command[Any]) -> CommandResponse[Any]:
            outer = current_scope()
            if outer is not None:
                return await _join(outer, inside, command, record)
            scope = UnitOfWorkScope(uow_factory, record)
            token = enter_scope(scope)
            try:
                response: CommandResponse[Any] = await inside(command)
                if scope.uow is not None or response.events:
                    await _complete(scope.open(), response)
            except BaseException:
                if scope.uow is not None:
                    await scope.uow.rollback()
                raise
            finally:
                leave_scope(token)
            if scope.uow is not None:
                await scope.uow.run_hooks()
            return response

        return execute

    def _compile_query(self, query_type: type[Any]) -> NextHandler:
        handler = resolve_handler(
            self._registry.get_query_handler(query_type), self._handler_factory
        )

        async def handle(query: Query[Any]) -> QueryResponse[Any]:
            result = await handler(query)
            return result if isinstance(result, QueryResponse) else QueryResponse(result)

        inside = build_pipeline(self._select(MiddlewareScope.INSIDE, query_type), handle)
        run = build_pipeline(self._select(MiddlewareScope.OUTSIDE, query_type), inside)
        self._queries[query_type] = run
        return run

    def _select(
        self, scope: MiddlewareScope, message_type: type[Any], own: Sequence[IMiddleware] = ()
    ) -> list[IMiddleware]:
        return select_middlewares((*self._middlewares, *own), scope, message_type)


async def _join(
    scope: UnitOfWorkScope, inside: NextHandler, command: Command[Any], record: EventRecording
) -> CommandResponse[Any]:
    if scope.uow is not None:
        # Opened by hand it has no recorder yet, and the command's events must not be lost.
        scope.uow.record_with(record)
    try:
        response: CommandResponse[Any] = await inside(command)
    except Exception:
        _doom(scope, command)
        raise
    if not response.success:
        _doom(scope, command)
    elif response.events:
        scope.open().add_events(response.events)
    return response


def _doom(scope: UnitOfWorkScope, command: Command[Any]) -> None:
    """Keep what a failed command has written from being committed by one who ignores that."""
    if scope.uow is not None:
        scope.uow.refuse_commit(
            f"{command.command_type} failed inside this unit of work, and what it had changed can "
            "only be undone together with everything else: let its error pass, or send it from "
            "outside"
        )


async def _complete(uow: UnitOfWork, response: CommandResponse[Any]) -> None:
    if not response.success:
        await uow.rollback()
        return
    if response.events:
        uow.add_events(response.events)
    await uow.commit()
    response.events = uow.recorded_events
    response.position = uow.position
