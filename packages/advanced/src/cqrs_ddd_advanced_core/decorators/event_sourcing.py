"""Aggregates whose events are not stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakSet

from cqrs_ddd_advanced_core.domain.aggregate_mixin import EventSourcedAggregateMixin
from cqrs_ddd_advanced_core.domain.exceptions import EventSourcingConfigurationError

if TYPE_CHECKING:
    from cqrs_ddd_core.domain.aggregate import AggregateRoot

__all__ = ["is_non_event_sourced", "non_event_sourced"]

C = TypeVar("C", bound="type[AggregateRoot[Any]]")

_classes: WeakSet[type[AggregateRoot[Any]]] = WeakSet()


def non_event_sourced(aggregate_class: C) -> C:
    """Keep the events of an aggregate out of the event store; handlers and outbox get them.

    A registration of its type name with the orchestrator goes before this mark.

    Raises:
        EventSourcingConfigurationError: Its state is made of its events, so they must be stored.
    """
    if issubclass(aggregate_class, EventSourcedAggregateMixin):
        msg = (
            f"{aggregate_class.__name__} has EventSourcedAggregateMixin: without stored events "
            "there is nothing to load it from; take away the mixin or the decorator"
        )
        raise EventSourcingConfigurationError(msg)
    _classes.add(aggregate_class)
    return aggregate_class


def is_non_event_sourced(aggregate_type: str) -> bool:
    """Whether a class with that type name carries the mark."""
    return any(marked.aggregate_type == aggregate_type for marked in _classes)
