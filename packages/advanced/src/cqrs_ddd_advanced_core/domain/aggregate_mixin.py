"""Aggregates whose state is made of their events."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar, cast

from pydantic import TypeAdapter

from cqrs_ddd_advanced_core.domain.event_handlers import EventHandlerMethod, EventHandlerTable
from cqrs_ddd_advanced_core.domain.event_validation import EventValidationConfig
from cqrs_ddd_core.domain.aggregate import AggregateRoot
from cqrs_ddd_core.domain.events import DomainEvent, locate_event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = [
    "EventSourcedAggregateMixin",
    "aggregate_event_handler_validator",
    "missing_fields",
]

C = TypeVar("C", bound="type[EventSourcedAggregateMixin]")


class EventSourcedAggregateMixin:
    """Lets an aggregate change by its events only.

    It stands first: ``class Order(EventSourcedAggregateMixin, AggregateRoot[str])``. Methods check
    the rules and call ``raise_event``, which applies the event at once; handlers change the state.
    A replay goes the same way, so that it cannot come out different.
    """

    __event_handlers__: ClassVar[EventHandlerTable[Any]]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.__event_handlers__ = EventHandlerTable(cls)

    @classmethod
    def blank(cls, entity_id: object) -> Self:
        """Return an aggregate nothing has happened to yet; required fields have no value.

        Raises:
            pydantic.ValidationError: The id is not of the type the class says.
        """
        model = cast("type[AggregateRoot[Any]]", cls)
        if not _required_fields(model):
            return cast("Self", model(id=entity_id))
        return cast("Self", model.model_construct(id=_id_adapter(model).validate_python(entity_id)))

    @classmethod
    def supported_event_types(cls) -> tuple[type[DomainEvent], ...]:
        """Return the event classes that handlers name in their mark or annotation, by name."""
        return cls.__event_handlers__.event_classes()

    @classmethod
    def has_handler_for_event(cls, event_class: type[DomainEvent]) -> bool:
        """Whether some handler, or the fallback, takes events of that class."""
        return cls.get_handler_for_event(event_class) is not None

    @classmethod
    def get_handler_for_event(cls, event_class: type[DomainEvent]) -> EventHandlerMethod | None:
        """Return the method that takes events of that class, ``None`` when there is none."""
        return cls.__event_handlers__.find(event_class)

    def raise_event(self, event: DomainEvent) -> None:
        """Apply an event and record that it happened; what a handler raises prevents both.

        Raises:
            MissingEventHandlerError: No handler takes it.
        """
        aggregate = cast("AggregateRoot[Any]", self)
        locate_event(event, aggregate.aggregate_type, str(aggregate.id))
        self.apply(event)
        AggregateRoot.raise_event(aggregate, event)

    def apply(self, event: DomainEvent) -> None:
        """Let the state follow an event that has happened already.

        Raises:
            MissingEventHandlerError: No handler takes it.
        """
        self.__event_handlers__[type(event)](self, event)

    def load_from_history(self, events: Iterable[DomainEvent]) -> None:
        """Apply the events of a stream, in order; each counts one version.

        Raises:
            MissingEventHandlerError: No handler takes one of them.
        """
        aggregate = cast("AggregateRoot[Any]", self)
        for event in events:
            self.apply(event)
            aggregate.set_version(aggregate.version + 1)


def aggregate_event_handler_validator(
    *, enabled: bool = True, strict: bool = False, allow_fallback: bool = True
) -> Callable[[C], C]:
    """Say for a class of aggregates what becomes of events without a handler.

    Args:
        enabled: ``False`` is lenient: such events change nothing.
        strict: Only a handler made for exactly the event's class counts.
        allow_fallback: Whether ``_when`` or ``apply_event`` gets what no other handles.
    """
    config = EventValidationConfig(enabled, strict, allow_fallback)

    def decorate(aggregate_class: C) -> C:
        aggregate_class.__event_handlers__ = aggregate_class.__event_handlers__.with_config(config)
        return aggregate_class

    return decorate


def missing_fields(aggregate: AggregateRoot[Any]) -> list[str]:
    """Return the required fields that no event has given a value."""
    return [name for name in _required_fields(type(aggregate)) if name not in aggregate.__dict__]


@cache
def _required_fields(model: type[AggregateRoot[Any]]) -> tuple[str, ...]:
    fields = model.model_fields.items()
    return tuple(name for name, field in fields if field.is_required() and name != "id")


@cache
def _id_adapter(model: type[AggregateRoot[Any]]) -> TypeAdapter[Any]:
    annotation: Any = model.model_fields["id"].annotation
    return TypeAdapter(annotation)
