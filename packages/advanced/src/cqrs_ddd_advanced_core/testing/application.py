"""Tests of command handlers: events given, a command sent, what was stored and queued then."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from cqrs_ddd_advanced_core.domain.lifecycle import LIFECYCLE_EVENTS
from cqrs_ddd_advanced_core.event_sourcing import EventSourcedMediator, EventSourcedRepository
from cqrs_ddd_advanced_core.event_sourcing.persistence import EventSourcedPersistenceOrchestrator
from cqrs_ddd_advanced_core.testing._differences import (
    check_events,
    check_message,
    failure,
    show_events,
)
from cqrs_ddd_core.adapters.memory import (
    InMemoryDatabase,
    InMemoryEventStore,
    InMemoryOutboxStorage,
    InMemoryUnitOfWork,
)
from cqrs_ddd_core.cqrs.event_serializer import EventSerializer, serialize_event
from cqrs_ddd_core.cqrs.registry import HandlerRegistry
from cqrs_ddd_core.domain.aggregate import AggregateRoot
from cqrs_ddd_core.domain.event_registry import EventTypeRegistry
from cqrs_ddd_core.ports.event_store import StreamId
from cqrs_ddd_core.ports.outbox import MessageKind

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from cqrs_ddd_advanced_core.domain import EventSourcedAggregateMixin
    from cqrs_ddd_core.cqrs.command import Command, CommandResponse
    from cqrs_ddd_core.domain.events import DomainEvent
    from cqrs_ddd_core.ports.middleware import IMiddleware
    from cqrs_ddd_core.ports.outbox import OutboxMessage

__all__ = ["InMemoryApplication", "Sending", "Sent"]

A = TypeVar("A", bound=AggregateRoot[Any])
R = TypeVar("R")
X = TypeVar("X", bound=Exception)


class InMemoryApplication:
    """Handlers on memory adapters, from events given to events stored.

    Make one for each test, register the handlers in ``registry``, and send commands with
    ``when``. Aggregates that are stored as state are at home in ``database``.

    Args:
        middlewares: Run around every message, the first outermost.

    Attributes:
        database: Shared by all memory adapters.
        registry: The handlers.
        event_store: Has the events.
        outbox: Where events wait for publication.
    """

    def __init__(self, *, middlewares: Sequence[IMiddleware] = ()) -> None:
        self.database: InMemoryDatabase = InMemoryDatabase()
        self.registry: HandlerRegistry = HandlerRegistry()
        self.event_store: InMemoryEventStore = InMemoryEventStore(self.database)
        self.outbox: InMemoryOutboxStorage = InMemoryOutboxStorage(self.database)
        self._middlewares = middlewares
        self._event_types: set[type[DomainEvent]] = set(LIFECYCLE_EVENTS)
        self._orchestrator = EventSourcedPersistenceOrchestrator(
            self.event_store, enforce_registration=False
        )

    @cached_property
    def mediator(self) -> EventSourcedMediator:
        """Handles the messages."""
        return EventSourcedMediator(
            self.registry,
            self.unit_of_work,
            middlewares=self._middlewares,
            outbox=self.outbox,
            event_persistence_orchestrator=self._orchestrator,
        )

    def unit_of_work(self) -> InMemoryUnitOfWork:
        """Return a new unit of work."""
        return InMemoryUnitOfWork(self.database)

    def repository(self, aggregate_class: type[A], **options: Any) -> EventSourcedRepository[A]:
        """Return a repository of event-sourced aggregates, to give to handlers.

        Args:
            aggregate_class: The class.
            options: The further arguments of ``EventSourcedRepository``.
        """
        repository = EventSourcedRepository(self.event_store, aggregate_class, **options)
        self._orchestrator.register_event_sourced_type(aggregate_class.aggregate_type)
        mixed = cast("type[EventSourcedAggregateMixin]", aggregate_class)
        self._event_types.update(mixed.supported_event_types())
        return repository

    async def given(
        self, aggregate_class: type[AggregateRoot[Any]], entity_id: object, *events: DomainEvent
    ) -> None:
        """Store what has happened to an aggregate so far."""
        stream = StreamId(aggregate_class.aggregate_type, str(entity_id))
        await self.event_store.append(stream, [serialize_event(event) for event in events])

    def when(self, command: Command[R]) -> Sending[R]:
        """Send a command: await the result, or one of its expectations."""
        return Sending(self, command)

    async def send(self, command: Command[R]) -> Sent[R]:
        """Send a command, and return what came of it."""
        position = await self.event_store.get_latest_position()
        response = await self.mediator.send(command)
        serializer = EventSerializer(self._known_events(response.events))
        stored = [event async for event in self.event_store.read_all(position)]
        messages = [one for one in await self._queued() if one.kind is MessageKind.EVENT]
        return Sent(
            response,
            list(serializer.hydrate_all(stored)),
            [event for message in messages for event in serializer.hydrate_message(message)],
        )

    async def count(self) -> tuple[int, int]:
        """Return how many events are stored, and how many messages wait."""
        return await self.event_store.get_latest_position(), await self.outbox.count_pending()

    def _known_events(self, events: Sequence[DomainEvent]) -> EventTypeRegistry:
        return EventTypeRegistry({*self._event_types, *(type(event) for event in events)})

    async def _queued(self) -> list[OutboxMessage]:
        """Return the messages that wait, and let them wait no more."""
        leases = await self.outbox.lease_partitions("test", seconds=3600)
        claimed = await self.outbox.claim_pending(leases, limit=100_000)
        await self.outbox.mark_published(leases, [pending.sequence for pending in claimed])
        return [pending.message for pending in claimed]


class Sending(Generic[R]):
    """A command that is sent when it, or one of its expectations, is awaited.

    Args:
        application: Handles it.
        command: What is sent.
    """

    def __init__(self, application: InMemoryApplication, command: Command[R]) -> None:
        self._application = application
        self._command = command

    def __await__(self) -> Generator[Any, Any, Sent[R]]:
        return self._application.send(self._command).__await__()

    async def then(self, *events: DomainEvent) -> Sent[R]:
        """Expect that exactly these events are stored, in this order; see ``Sent.then``."""
        __tracebackhide__ = True
        return (await self).then(*events)

    async def then_nothing(self) -> Sent[R]:
        """Expect that no event is stored and none is queued."""
        __tracebackhide__ = True
        return (await self).then().then_queued()

    async def then_raises(self, error_class: type[X], match: str | None = None) -> X:
        """Expect an error, and that nothing was stored or queued; return the error.

        Args:
            error_class: Its class, or a base.
            match: A regular expression that occurs in its message.

        Raises:
            AssertionError: There was none, or its message is another one, or something stayed.
        """
        __tracebackhide__ = True
        before = await self._application.count()
        try:
            sent = await self
        except error_class as error:
            check_message(error, match)
            if await self._application.count() != before:
                msg = f"{error_class.__name__} was raised, and events were stored or queued"
                raise AssertionError(msg) from error
            return error
        problem = f"{error_class.__name__} was expected and not raised"
        raise failure(problem, show_events(sent.stored))


class Sent(Generic[R]):
    """What came of a command.

    Args:
        response: What the mediator returned.
        stored: The events it added to the event store, read back from there.
        queued: The events it added to the outbox, read back from there.
    """

    def __init__(
        self,
        response: CommandResponse[R],
        stored: Sequence[DomainEvent],
        queued: Sequence[DomainEvent],
    ) -> None:
        self.response = response
        self.stored = stored
        self.queued = queued

    @property
    def result(self) -> R:
        """What the handler returned."""
        return self.response.result

    def then(self, *events: DomainEvent) -> Sent[R]:
        """Expect that exactly these events were stored, in this order, of whatever streams.

        Fields of the envelope are compared where the expected event was given them: give
        ``aggregate_id`` to say whose it is.

        Raises:
            AssertionError: Others were stored, or none.
        """
        __tracebackhide__ = True
        check_events("stored", events, self.stored)
        return self

    def then_queued(self, *events: DomainEvent) -> Sent[R]:
        """Expect that exactly these events wait for publication, in this order.

        Raises:
            AssertionError: Others were queued, or none.
        """
        __tracebackhide__ = True
        check_events("queued", events, self.queued)
        return self
