"""What a mapping takes from an event: a field, a fixed value, or what a function says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass
from decimal import Decimal
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, Self, TypeAlias

from cqrs_ddd_advanced_core.domain.projection_exceptions import ProjectionDefinitionError
from cqrs_ddd_core.domain.events import ENVELOPE_FIELDS

if TYPE_CHECKING:
    from cqrs_ddd_core.domain.events import DomainEvent

__all__ = [
    "AGGREGATE_ID",
    "AGGREGATE_TYPE",
    "CAUSATION_ID",
    "CORRELATION_ID",
    "EVENT_ID",
    "EVENT_TYPE",
    "OCCURRED_AT",
    "EnvelopeField",
    "Fixed",
    "Getter",
    "Reading",
    "Source",
]


@dataclass(frozen=True, slots=True)
class EnvelopeField:
    """Something every event has beside its own fields; an event and its stored form both have it.

    Attributes:
        name: Of the attribute.
    """

    name: str


AGGREGATE_ID: Final = EnvelopeField("aggregate_id")
AGGREGATE_TYPE: Final = EnvelopeField("aggregate_type")
CAUSATION_ID: Final = EnvelopeField("causation_id")
CORRELATION_ID: Final = EnvelopeField("correlation_id")
EVENT_ID: Final = EnvelopeField("event_id")
EVENT_TYPE: Final = EnvelopeField("event_type")
OCCURRED_AT: Final = EnvelopeField("occurred_at")


@dataclass(frozen=True, slots=True)
class Fixed:
    """A value that is the same for all events; for texts, which name fields otherwise.

    Attributes:
        value: The value.
    """

    value: Any


#: Where a value comes from: the name of a field, ``OCCURRED_AT`` and the like, ``Fixed("text")``,
#: a number, ``True``, ``False`` or ``None``, or a function of the event.
Source: TypeAlias = (
    str | EnvelopeField | Fixed | int | float | Decimal | bool | Callable[[Any], Any] | None
)

#: Takes the value out of the event, or its stored form, and the fields of its payload.
Getter: TypeAlias = Callable[[Any, Mapping[str, Any]], Any]


class Reading:
    """How a source is read from events of one class.

    Args:
        event_class: The class.
        source: Where the value comes from.

    Attributes:
        field: The field of the payload it needs, if any.
        needs_event: Whether the event itself is needed.
        fixed: The value, where it is always the same.
        get: Takes the value out.

    Raises:
        ProjectionDefinitionError: The class has no such field, or it is no source.
    """

    def __init__(self, event_class: type[DomainEvent], source: Source) -> None:
        self.field: str | None = None
        self.needs_event: bool = False
        self.fixed: Fixed | None = None
        self.get: Getter = self._getter(event_class, source)

    def negated(self) -> Self:
        """Return the same with the sign changed; what is ``None`` stays so."""
        get = self.get
        negated = copy(self)
        negated.get = lambda event, fields: _negative(get(event, fields))
        if self.fixed is not None:
            negated.fixed = Fixed(_negative(self.fixed.value))
        return negated

    def _getter(self, event_class: type[DomainEvent], source: Source) -> Getter:
        if isinstance(source, str):
            if source not in event_class.model_fields:
                msg = f'{event_class.__name__} has no field {source!r}; Fixed("...") is a text'
                raise ProjectionDefinitionError(msg)
            if source not in ENVELOPE_FIELDS:
                self.field = source
                return _field_getter(source)
            source = EnvelopeField(source)
        if isinstance(source, EnvelopeField):
            return _envelope_getter(source.name)
        if callable(source):
            self.needs_event = True
            return _computed_getter(source)
        self.fixed = source if isinstance(source, Fixed) else Fixed(source)
        return _fixed_getter(self.fixed.value)


def _negative(amount: Any) -> Any:
    return None if amount is None else -amount


def _field_getter(name: str) -> Getter:
    return lambda _, fields: fields[name]


def _envelope_getter(name: str) -> Getter:
    get = attrgetter(name)
    return lambda event, _: get(event)


def _computed_getter(function: Callable[[Any], Any]) -> Getter:
    return lambda event, _: function(event)


def _fixed_getter(value: Any) -> Getter:
    return lambda _event, _fields: value
