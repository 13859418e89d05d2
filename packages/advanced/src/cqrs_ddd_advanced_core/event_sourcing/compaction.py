"""One event in place of many."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, cast

from cqrs_ddd_advanced_core.domain.aggregate_mixin import EventSourcedAggregateMixin
from cqrs_ddd_advanced_core.domain.exceptions import SummaryMismatchError
from cqrs_ddd_advanced_core.domain.lifecycle import COMPACTED_VERSION
from cqrs_ddd_advanced_core.event_sourcing.archive import in_unit_of_work
from cqrs_ddd_advanced_core.event_sourcing.loader import EventSourcedLoader
from cqrs_ddd_core.correlation import get_context
from cqrs_ddd_core.cqrs.event_serializer import serialize_event
from cqrs_ddd_core.domain.aggregate import AggregateRoot
from cqrs_ddd_core.domain.events import DomainEvent, enrich_event, locate_event
from cqrs_ddd_core.primitives.exceptions import EntityNotFoundError, OptimisticConcurrencyError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cqrs_ddd_advanced_core.event_sourcing.archive import StreamArchiver
    from cqrs_ddd_core.domain.event_registry import EventTypeRegistry
    from cqrs_ddd_core.ports.event_store import IEventStore, StoredEvent, StreamId
    from cqrs_ddd_core.ports.unit_of_work_scope import UnitOfWorkFactory
    from cqrs_ddd_core.ports.upcasting import IUpcasterRegistry

__all__ = ["StreamCompactor"]

T = TypeVar("T", bound=AggregateRoot[Any])


class StreamCompactor:
    """Appends a summary of an aggregate and takes the events before it out of the stream.

    Guarantee: summary and removal commit together, at exactly the version that was summed up.
    Before the commit the summary alone is applied to a blank aggregate; if that makes another
    state, nothing is changed.

    The summary is marked as standing for everything before it. It is no news: it goes to nobody
    but readers of the event store, and projections have to ignore it.

    Args:
        event_store: Has the streams.
        unit_of_work: Makes the unit of work; inside of one, that one is joined.
        event_registry: The events that may be read; those the handlers name when not given.
        archiver: Keeps the events before the summary; without one they are gone for good.
        upcaster_registry: How events of older shapes are read.
    """

    def __init__(
        self,
        event_store: IEventStore,
        unit_of_work: UnitOfWorkFactory,
        event_registry: EventTypeRegistry | None = None,
        *,
        archiver: StreamArchiver | None = None,
        upcaster_registry: IUpcasterRegistry | None = None,
    ) -> None:
        self._event_store = event_store
        self._unit_of_work = unit_of_work
        self._registry = event_registry
        self._archiver = archiver
        self._upcasters = upcaster_registry

    async def compact(
        self, aggregate_class: type[T], aggregate_id: object, summarize: Callable[[T], DomainEvent]
    ) -> int:
        """Replace the events of an aggregate by one, and return the version of that one.

        When nothing was appended since the last time, nothing is done.

        Args:
            aggregate_class: Its class.
            aggregate_id: Its id.
            summarize: Returns an event that carries the whole state; its handler sets it.

        Raises:
            EntityNotFoundError: It has no events or was deleted.
            SummaryMismatchError: The summary does not make the same state.
            OptimisticConcurrencyError: Somebody appended meanwhile; try again.
        """
        loader = EventSourcedLoader(
            aggregate_class,
            self._event_store,
            self._registry,
            upcaster_registry=self._upcasters,
        )
        async with in_unit_of_work(self._unit_of_work):
            aggregate = await loader.load(aggregate_id)
            if aggregate is None:
                raise EntityNotFoundError(aggregate_class.aggregate_type, aggregate_id)
            stream, version = loader.stream_of(aggregate_id), aggregate.version
            newest = await self._newest(stream, version)
            if newest.metadata.get(COMPACTED_VERSION) == version - 1:
                return version
            await self._append(stream, summarize(aggregate), version)
            summary = loader.serializer.hydrate(await self._newest(stream, version + 1))
            _compare(stream, aggregate, _made_of(summary, aggregate))
            await self._remove(stream, version)
            return version + 1

    async def _newest(self, stream: StreamId, version: int) -> StoredEvent:
        found = await self._event_store.get_events(stream, after_version=version - 1, limit=1)
        if not found:
            raise OptimisticConcurrencyError(stream, version)
        return found[0]

    async def _append(self, stream: StreamId, summary: DomainEvent, version: int) -> None:
        locate_event(summary, *stream)
        enrich_event(summary, get_context())
        marked = {**summary.metadata, COMPACTED_VERSION: version}
        event = serialize_event(summary.model_copy(update={"metadata": marked}))
        await self._event_store.append(stream, [event], expected_version=version)

    async def _remove(self, stream: StreamId, version: int) -> None:
        if self._archiver is None:
            await self._event_store.delete_events(stream, up_to_version=version)
        else:
            await self._archiver.archive(stream, up_to_version=version)


def _made_of(summary: Sequence[DomainEvent], aggregate: T) -> T:
    rebuilt = cast("type[EventSourcedAggregateMixin]", type(aggregate)).blank(aggregate.id)
    for event in summary:
        rebuilt.apply(event)
    return cast("T", rebuilt)


def _compare(stream: StreamId, aggregate: AggregateRoot[Any], rebuilt: AggregateRoot[Any]) -> None:
    missing = object()
    differing = [
        name for name, value in vars(aggregate).items() if vars(rebuilt).get(name, missing) != value
    ]
    if differing:
        raise SummaryMismatchError(stream, differing)
