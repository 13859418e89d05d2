"""What becomes of a unit of work's events before it commits."""

from __future__ import annotations

from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Any, TypeAlias

from cqrs_ddd_core.correlation import get_context
from cqrs_ddd_core.cqrs.event_serializer import STREAM_VERSION_HEADER, serialize_event
from cqrs_ddd_core.ports.event_store import ANY, AppendResult, IEventStore, NewEvent, StreamId
from cqrs_ddd_core.ports.outbox import IOutboxStorage, MessageKind, OutboxMessage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from cqrs_ddd_core.cqrs.event_dispatcher import EventDispatcher
    from cqrs_ddd_core.cqrs.event_serializer import EventWriter
    from cqrs_ddd_core.domain.events import DomainEvent
    from cqrs_ddd_core.ports.unit_of_work import UnitOfWork

__all__ = ["EventRecorder", "EventStoreSelector"]

#: Returns the store of an aggregate type, or ``None`` when its events are not stored.
EventStoreSelector: TypeAlias = "Callable[[str], IEventStore | None]"


class EventRecorder:
    """Dispatches, stores and queues the events of a unit of work, inside its transaction.

    Guarantee (G1): synchronous handlers, the event store and the outbox take part in the unit of
    work, so that either all of it commits or nothing. Events keep the order they were raised in.

    Args:
        dispatchers: Whose handlers are called.
        event_store: Where the events of aggregates are appended, when given: one store for all,
            or a function that returns the store of an aggregate type. Streams that were loaded
            in the unit of work go to the store they came from.
        outbox: Where all events wait for publication, when given.
        serialize: How events are written; ``EventSerializer.serialize`` keeps some at an older
            version.
    """

    def __init__(
        self,
        dispatchers: Sequence[EventDispatcher],
        *,
        event_store: IEventStore | EventStoreSelector | None = None,
        outbox: IOutboxStorage | None = None,
        serialize: EventWriter = serialize_event,
    ) -> None:
        self._dispatchers = tuple(dispatchers)
        self._select_store = _selector(event_store)
        self._outbox = outbox
        self._serialize = serialize

    async def record(self, uow: UnitOfWork) -> list[DomainEvent]:
        """Handle the events added so far, and those their handlers add, and return them all.

        Raises:
            Exception: Whatever a synchronous handler raised: it vetoes the command.
        """
        recorded: list[DomainEvent] = []
        while events := uow.take_events():
            recorded += events
            for dispatcher in self._dispatchers:
                await dispatcher.dispatch(events)
        if recorded:
            await self._write(recorded, uow)
            self._announce(recorded, uow)
        return recorded

    async def _write(self, events: Sequence[DomainEvent], uow: UnitOfWork) -> None:
        messages: list[OutboxMessage] = []
        # Runs, not groups: an event must not move before another stream's earlier event.
        for stream, run in groupby(events, key=_stream_of):
            raised = list(run)
            written = [self._serialize(event) for event in raised]
            last = None
            if stream is not None and (result := await self._append(stream, written, uow)):
                uow.note_append(raised, result.position)
                last = result.version
            if self._outbox is not None:
                messages += _to_messages(stream, written, last)
        if self._outbox is not None:
            await self._outbox.save_messages(messages)

    async def _append(
        self, stream: StreamId, events: Sequence[NewEvent], uow: UnitOfWork
    ) -> AppendResult | None:
        """Return where the append ended; ``None`` when events of that type are not stored."""
        pending = uow.pending_stream(stream)
        if pending is not None:
            return await pending.append(events)
        store = self._select_store(stream.aggregate_type)
        if store is None:
            return None
        return await store.append(stream, events, expected_version=ANY)

    def _announce(self, events: Sequence[DomainEvent], uow: UnitOfWork) -> None:
        for dispatcher in self._dispatchers:
            if dispatcher.handles_committed(events):
                uow.on_commit(partial(dispatcher.dispatch_committed, events))


def _selector(event_store: IEventStore | EventStoreSelector | None) -> EventStoreSelector:
    if callable(event_store):
        return event_store
    return lambda _: event_store


def _stream_of(event: DomainEvent) -> StreamId | None:
    if event.aggregate_type is None or event.aggregate_id is None:
        return None
    return StreamId(event.aggregate_type, event.aggregate_id)


def _to_messages(
    stream: StreamId | None, events: Sequence[NewEvent], last_version: int | None
) -> list[OutboxMessage]:
    if last_version is None:
        return [_to_message(stream, event, event.metadata) for event in events]
    versions = range(last_version - len(events) + 1, last_version + 1)
    return [
        _to_message(stream, event, {**event.metadata, STREAM_VERSION_HEADER: version})
        for event, version in zip(events, versions, strict=True)
    ]


def _to_message(
    stream: StreamId | None, event: NewEvent, headers: Mapping[str, Any]
) -> OutboxMessage:
    return OutboxMessage(
        event.event_id,
        MessageKind.EVENT,
        event.event_type,
        event.payload,
        # An event of no aggregate has nothing to stay in order with.
        stream=str(stream or event.event_id),
        occurred_at=event.occurred_at,
        schema_version=event.schema_version,
        correlation_id=event.correlation_id,
        causation_id=event.causation_id,
        tenant_id=get_context().tenant_id,
        headers=headers,
    )
