"""The closed list of event types that may be read back from storage."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from cqrs_ddd_core.domain.events import DomainEvent
from cqrs_ddd_core.primitives.exceptions import EventTypeRegistrationError, UnknownEventTypeError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["EventTypeRegistry"]

E = TypeVar("E", bound=type[DomainEvent])


class EventTypeRegistry:
    """Maps stored type names to event classes.

    Nothing stored is ever imported by name: a type that is not listed here cannot be read.

    Args:
        event_classes: Classes to register at once.
    """

    def __init__(self, event_classes: Iterable[type[DomainEvent]] = ()) -> None:
        self._classes: dict[str, type[DomainEvent]] = {}
        for event_class in event_classes:
            self.register(event_class)

    def register(self, event_class: E) -> E:
        """Register a class under its ``event_type``; also works as a decorator.

        Raises:
            EventTypeRegistrationError: The name belongs to another class already.
        """
        self.register_alias(event_class.event_type, event_class)
        return event_class

    def register_alias(self, name: str, event_class: type[DomainEvent]) -> None:
        """Read events stored under an old name as this class.

        Raises:
            EventTypeRegistrationError: The name belongs to another class already.
        """
        known = self._classes.setdefault(name, event_class)
        if known is not event_class:
            msg = (
                f"event type {name!r} is taken by {known.__module__}.{known.__qualname__}; "
                f"give {event_class.__qualname__} its own event_type"
            )
            raise EventTypeRegistrationError(msg)

    def get(self, event_type: str) -> type[DomainEvent]:
        """Return the class of a stored type name.

        Raises:
            UnknownEventTypeError: Nobody registered that name.
        """
        try:
            return self._classes[event_type]
        except KeyError:
            raise UnknownEventTypeError(event_type) from None

    def __contains__(self, event_type: str) -> bool:
        """Whether events of that type name can be read."""
        return event_type in self._classes

    def registered_types(self) -> tuple[str, ...]:
        """Return all known type names, sorted."""
        return tuple(sorted(self._classes))
