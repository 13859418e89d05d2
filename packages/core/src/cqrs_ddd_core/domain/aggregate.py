"""Aggregates: the unit of consistency, and the only place where events are raised."""

from __future__ import annotations

from itertools import count
from typing import Any, ClassVar

from pydantic import PrivateAttr

from cqrs_ddd_core.domain.entity import ID, Entity
from cqrs_ddd_core.domain.events import DomainEvent, locate_event

__all__ = ["AggregateRoot", "RaisedEvent"]

# One counter for all aggregates: it tells in which order a command raised its events.
_next_raise = count(1).__next__

#: An event with its place in the order in which this process raised events.
RaisedEvent = tuple[int, DomainEvent]


class AggregateRoot(Entity[ID]):
    """The root of a cluster of objects that change together under one version.

    Methods check the rules, change the state and call ``raise_event``; the unit of work takes
    the events when the aggregate is saved, and clears them when it has committed.

    Attributes:
        aggregate_type: Type name in streams and tables; the class name unless set in the class.
    """

    aggregate_type: ClassVar[str] = "AggregateRoot"

    _version: int = PrivateAttr(default=0)
    _raised: list[RaisedEvent] = PrivateAttr(default_factory=list)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "aggregate_type" not in cls.__dict__:
            # A parametrised base such as AggregateRoot[UUID] is not a type of its own.
            cls.aggregate_type = cls.__name__.partition("[")[0]

    @property
    def version(self) -> int:
        """The stored version this object was loaded at or saved as; 0 when it is new."""
        return self._version

    def raise_event(self, event: DomainEvent) -> None:
        """Record that something happened; the event learns whose it is."""
        locate_event(event, self.aggregate_type, str(self.id))
        self._raised.append((_next_raise(), event))

    def get_uncommitted_events(self) -> list[DomainEvent]:
        """Return the events that no unit of work has committed yet, oldest first."""
        return [event for _, event in self._raised]

    def mark_events_as_committed(self) -> None:
        """Forget the raised events; the unit of work calls it after its commit."""
        self._raised.clear()

    def raised_events(self) -> tuple[RaisedEvent, ...]:
        """Return the uncommitted events with the order they were raised in, for repositories."""
        return tuple(self._raised)

    def set_version(self, version: int) -> None:
        """Say at which version this object is stored; for repositories."""
        self._version = version
