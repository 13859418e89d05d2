"""Which stored events somebody handles, and as which class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cqrs_ddd_advanced_core.domain.projection_exceptions import ProjectionDefinitionError
from cqrs_ddd_core.cqrs.event_serializer import EventSerializer
from cqrs_ddd_core.domain.event_registry import EventTypeRegistry
from cqrs_ddd_core.domain.events import DomainEvent

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cqrs_ddd_advanced_core.upcasting import UpcasterRegistry

__all__ = ["HandledEvents"]


class HandledEvents:
    """What to ask an event store for, and how to read what it returns.

    Whoever handles a class handles the classes derived from it too, as far as they are registered.

    Args:
        owner: Who handles them, for errors.
        event_classes: What is handled.
        event_registry: The events that may be read; those that are handled when not given.
        upcasters: How payloads of other shapes are read, where there are any.

    Attributes:
        serializer: Reads stored events.
        event_types: The type names of all stored events that may be read as a handled one.

    Raises:
        ProjectionDefinitionError: Nothing is handled, or something that is no event class, or
            that the registry lacks.
    """

    def __init__(
        self,
        owner: str,
        event_classes: Iterable[type],
        event_registry: EventTypeRegistry | None = None,
        upcasters: UpcasterRegistry | None = None,
    ) -> None:
        self._classes = tuple(event_classes)
        _check(owner, self._classes)
        registry = event_registry or EventTypeRegistry(self._classes)
        self._found: dict[type[DomainEvent], type[DomainEvent] | None] = {}
        self.serializer: EventSerializer = EventSerializer(registry, upcasters)
        names = {
            name
            for name in registry.registered_types()
            if self.handled_class(registry.get(name)) is not None
        }
        _check_known(owner, self._classes, [registry.get(name) for name in names])
        if upcasters is not None:
            names = names.union(*map(upcasters.stored_types, names))
        self.event_types: frozenset[str] = frozenset(names)

    def handled_class(self, event_class: type[DomainEvent]) -> type[DomainEvent] | None:
        """Return as which class an event is handled: its own, or the nearest it derives from."""
        try:
            return self._found[event_class]
        except KeyError:
            found = next((one for one in event_class.__mro__ if one in self._classes), None)
            self._found[event_class] = found
            return found


def _check(owner: str, event_classes: tuple[Any, ...]) -> None:
    if not event_classes:
        raise ProjectionDefinitionError(f"{owner} handles no events")
    for event_class in event_classes:
        if not (isinstance(event_class, type) and issubclass(event_class, DomainEvent)):
            msg = f"{owner} handles {event_class!r}, which is no event class"
            raise ProjectionDefinitionError(msg)


def _check_known(
    owner: str, event_classes: tuple[type, ...], read: Iterable[type[DomainEvent]]
) -> None:
    reachable = {base for event_class in read for base in event_class.__mro__}
    unread = [one.__name__ for one in event_classes if one not in reachable]
    if unread:
        msg = f"{owner} handles {', '.join(sorted(unread))}, which the event registry lacks"
        raise ProjectionDefinitionError(msg)
