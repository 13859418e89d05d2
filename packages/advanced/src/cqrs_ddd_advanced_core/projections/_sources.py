"""What a mapping takes from an event: a field, a fixed value, or what a function says."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, TypeAlias

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
    "Source",
    "SourceCode",
]


_ENVELOPE: Final = ENVELOPE_FIELDS | {"event_type"}


@dataclass(frozen=True, slots=True)
class EnvelopeField:
    """Something every event has beside its own fields; an event and its stored form both have it.

    Attributes:
        name: Of the attribute.

    Raises:
        ProjectionDefinitionError: Events have no such attribute.
    """

    name: str

    def __post_init__(self) -> None:
        if self.name not in _ENVELOPE:
            listed = ", ".join(sorted(_ENVELOPE))
            raise ProjectionDefinitionError(f"events have no {self.name!r}, but {listed}")


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


class SourceCode:
    """Writes sources of events of one class as Python, and makes functions of it.

    Mappings run for every event, and functions that call one another would take most of the time:
    those of an event become one function. Expressions know ``event``, the event or its stored
    form, and ``fields``, those of its payload.

    Args:
        event_class: The class.

    Attributes:
        fields: The fields of the payload that were named.
        needs_event: Whether the event itself is needed.
    """

    def __init__(self, event_class: type[DomainEvent]) -> None:
        self.fields: set[str] = set()
        self.needs_event: bool = False
        self._event_class = event_class
        self._names: dict[str, Any] = {"__builtins__": {}, "negative": _negative, "given": _given}

    def value(self, source: Source) -> str:
        """Return the expression of a source.

        Raises:
            ProjectionDefinitionError: The class has no such field, or events have no such thing.
        """
        if isinstance(source, str):
            if source not in self._event_class.model_fields:
                msg = (
                    f'{self._event_class.__name__} has no field {source!r}; Fixed("...") is a text'
                )
                raise ProjectionDefinitionError(msg)
            if source not in ENVELOPE_FIELDS:
                self.fields.add(source)
                return f"fields[{source!r}]"
            source = EnvelopeField(source)
        if isinstance(source, EnvelopeField):
            return f"event.{source.name}"
        if callable(source):
            self.needs_event = True
            return f"{self.named(source)}(event)"
        return self.named(source.value if isinstance(source, Fixed) else source)

    def negated(self, source: Source) -> str:
        """Return the expression of a source with the sign changed; what is ``None`` stays so."""
        return f"negative({self.value(source)})"

    def function(self, arguments: str, lines: Iterable[str]) -> Callable[..., None]:
        """Return the function of lines made of what this has returned.

        Args:
            arguments: Their names.
            lines: Statements.
        """
        source = "\n    ".join([f"def apply({arguments}):", *lines])
        code = compile(source, f"<mapping of {self._event_class.__name__}>", "exec")
        names = self._names.copy()
        exec(code, names)  # noqa: S102 - names are checked, values are bound
        made: Callable[..., None] = names["apply"]
        return made

    def named(self, value: Any) -> str:
        """Return the expression of an object."""
        name = f"v{len(self._names)}"
        self._names[name] = value
        return name


def _negative(amount: Any) -> Any:
    return None if amount is None else -amount


def _given(amounts: dict[str, Any]) -> dict[str, Any]:
    """Return the amounts that are not ``None``."""
    if None in amounts.values():
        return {name: amount for name, amount in amounts.items() if amount is not None}
    return amounts
