"""Events as hypothesis draws them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from cqrs_ddd_advanced_core.domain import (
    EventSourcedAggregateMixin,
    EventSourcingConfigurationError,
)
from cqrs_ddd_advanced_core.testing.strategies._values import instances_of
from cqrs_ddd_core.domain.event_registry import EventTypeRegistry
from cqrs_ddd_core.domain.events import DomainEvent

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["events", "events_of", "strategy_of"]

E = TypeVar("E", bound=DomainEvent)

#: Whose they are is for the aggregate or the test to say.
_LOCATION: Final = ("aggregate_id", "aggregate_type")


def events(event_class: type[E], /, **overrides: Any) -> SearchStrategy[E]:
    """Return a strategy of events of one class, with any values its fields may have.

    Numbers are finite, times are aware UTC of 1970 to 2100, and open dictionaries hold JSON, so
    that every event can be stored and read back exactly. Constraints of the fields are kept; what
    a validator of yours refuses is drawn again. The envelope is drawn too, but for the aggregate.

    Args:
        event_class: The class.
        overrides: Strategies, or fixed values, of single fields.

    Raises:
        ConfigurationError: A field has a type nothing is known of, or an override has no field.
    """
    given = {name: strategy_of(value) for name, value in overrides.items()}
    return instances_of(event_class, given, leave_out=_LOCATION)


def events_of(
    source: type[EventSourcedAggregateMixin] | EventTypeRegistry | Iterable[type[DomainEvent]], /
) -> SearchStrategy[DomainEvent]:
    """Return a strategy of events of several classes.

    Args:
        source: An aggregate class, whose handlers name them; a registry; or the classes.

    Raises:
        EventSourcingConfigurationError: There are none.
        ConfigurationError: A field has a type nothing is known of.
    """
    classes = list(dict.fromkeys(_classes(source)))
    if not classes:
        msg = f"{source!r} names no event classes"
        raise EventSourcingConfigurationError(msg)
    return st.one_of(*(events(event_class) for event_class in classes))


def strategy_of(value: Any) -> SearchStrategy[Any]:
    """Return a strategy as it is, and a value as the strategy that always draws it."""
    return value if isinstance(value, SearchStrategy) else st.just(value)


def _classes(
    source: type[EventSourcedAggregateMixin] | EventTypeRegistry | Iterable[type[DomainEvent]],
) -> Iterable[type[DomainEvent]]:
    if isinstance(source, EventTypeRegistry):
        return [source.get(name) for name in source.registered_types()]
    if isinstance(source, type):
        return source.supported_event_types()
    return source
