"""Events found by what they say."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from cqrs_ddd_core.ports.event_store import EventFilter
from cqrs_ddd_core.ports.payload_condition import PayloadCondition
from cqrs_ddd_core.primitives.exceptions import SpecificationError, UnknownFieldError

if TYPE_CHECKING:
    from collections.abc import Callable

    from cqrs_ddd_core.domain.event_registry import EventTypeRegistry
    from cqrs_ddd_core.domain.events import DomainEvent
    from cqrs_ddd_core.domain.specification import Specification

__all__ = ["EventSearch"]


class EventSearch:
    """A search that asks the database as much as it can, and checks every event again.

    Args:
        registry: The events that can be found.
        event_filter: What the envelope has to meet.
        payload: What the fields of the event have to meet, in the shape its class has today.
        predicate: Any other condition.
        upcasts: Whether events of other types may be read as the classes of the registry.

    Raises:
        SpecificationError: No event class has such fields, or fields of such a kind.
    """

    def __init__(
        self,
        registry: EventTypeRegistry,
        event_filter: EventFilter | None,
        payload: Specification | None,
        predicate: Callable[[DomainEvent], bool] | None,
        *,
        upcasts: bool,
    ) -> None:
        self._payload = payload
        self._predicate = predicate
        self.filter: EventFilter = event_filter or EventFilter()
        if payload is not None:
            self.filter = _with_payload(self.filter, registry, payload, upcasts=upcasts)

    def finds(self, event: DomainEvent) -> bool:
        """Whether an event, as it is read today, is one of those looked for."""
        if self._payload is not None and not _satisfies(event, self._payload):
            return False
        return self._predicate is None or self._predicate(event)


def _with_payload(
    wanted: EventFilter, registry: EventTypeRegistry, payload: Specification, *, upcasts: bool
) -> EventFilter:
    names = registry.registered_types()
    if wanted.event_types is not None:
        names = tuple(name for name in names if name in wanted.event_types)
    conditions, fitting = _conditions([registry.get(name) for name in names], payload)
    # An older type may become one of those that fit, so that it has to be read.
    if wanted.event_types is None and not upcasts:
        types = frozenset(name for name in names if registry.get(name) in fitting)
        wanted = replace(wanted, event_types=types)
    return replace(wanted, payload=(*wanted.payload, *conditions))


def _conditions(
    classes: list[type[DomainEvent]], payload: Specification
) -> tuple[list[PayloadCondition], set[type[DomainEvent]]]:
    conditions, refused = {}, None
    for event_class in classes:
        try:
            conditions[event_class] = PayloadCondition(event_class, payload)
        except SpecificationError as error:
            # A class that has the field says more about a mistake than one that has not.
            if refused is None or isinstance(refused, UnknownFieldError):
                refused = error
    if refused is not None and not conditions:
        raise refused
    return list(conditions.values()), set(conditions)


def _satisfies(event: DomainEvent, payload: Specification) -> bool:
    try:
        return payload.is_satisfied_by(event)
    except UnknownFieldError:
        return False
