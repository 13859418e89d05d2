"""One aggregate on its way from its first event, or a later state, to the present."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from cqrs_ddd_advanced_core.domain.aggregate_mixin import missing_fields
from cqrs_ddd_advanced_core.domain.exceptions import IncompleteAggregateError, StreamGapError
from cqrs_ddd_advanced_core.domain.lifecycle import (
    COMPACTED_VERSION,
    AggregateDeleted,
    AggregateRestored,
)
from cqrs_ddd_core.domain.aggregate import AggregateRoot

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cqrs_ddd_advanced_core.domain.event_handlers import EventHandlerMethod
    from cqrs_ddd_core.cqrs.event_serializer import EventSerializer
    from cqrs_ddd_core.domain.events import DomainEvent
    from cqrs_ddd_core.ports.event_store import StoredEvent, StreamId

__all__ = ["Rebuilding"]

T = TypeVar("T", bound=AggregateRoot[Any])

_MEANS_DELETED = {AggregateDeleted.event_type: True, AggregateRestored.event_type: False}


class Rebuilding(Generic[T]):
    """Applies events to an aggregate, and knows whether it is deleted by now.

    Args:
        stream: Its stream.
        aggregate: As it is at its version.
        handlers: What applies events.
        serializer: What reads them.
    """

    def __init__(
        self,
        stream: StreamId,
        aggregate: T,
        handlers: Mapping[type[DomainEvent], EventHandlerMethod],
        serializer: EventSerializer,
    ) -> None:
        self._stream = stream
        self._aggregate = aggregate
        self._handlers = handlers
        self._serializer = serializer
        self.version = aggregate.version
        self.is_deleted = False

    def replay(self, batch: Sequence[StoredEvent]) -> None:
        """Apply the next stored events.

        Raises:
            StreamGapError: They do not follow the last one, or not each other.
        """
        if not batch:
            return
        self._check_complete(batch)
        self._note_lifecycle([stored.event_type for stored in batch])
        aggregate, handlers, hydrate = self._aggregate, self._handlers, self._serializer.hydrate
        for stored in batch:
            for event in hydrate(stored):
                handlers[type(event)](aggregate, event)
        self.version = batch[-1].version

    def apply(self, events: Sequence[DomainEvent]) -> None:
        """Apply events that are not stored yet."""
        self._note_lifecycle([event.event_type for event in events])
        for event in events:
            self._handlers[type(event)](self._aggregate, event)
        self.version += len(events)

    def finish(self) -> T:
        """Return the aggregate at the version it has come to.

        Raises:
            IncompleteAggregateError: Required fields have no value.
        """
        if missing := missing_fields(self._aggregate):
            raise IncompleteAggregateError(self._stream, missing)
        self._aggregate.set_version(self.version)
        return self._aggregate

    def _note_lifecycle(self, event_types: Sequence[str]) -> None:
        if not _MEANS_DELETED.keys().isdisjoint(event_types):
            last = [name for name in event_types if name in _MEANS_DELETED][-1]
            self.is_deleted = _MEANS_DELETED[last]

    def _check_complete(self, batch: Sequence[StoredEvent]) -> None:
        first, last = batch[0], batch[-1]
        stands_for = first.metadata.get(COMPACTED_VERSION, self.version)
        if first.version - 1 not in (self.version, stands_for):
            raise StreamGapError(self._stream, self.version + 1, first.version)
        if last.version - first.version + 1 != len(batch):
            expected, found = next(
                (number, event.version)
                for number, event in enumerate(batch, first.version)
                if event.version != number
            )
            raise StreamGapError(self._stream, expected, found)
