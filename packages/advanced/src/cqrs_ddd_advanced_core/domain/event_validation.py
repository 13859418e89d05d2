"""Whether every event has to have a handler."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from cqrs_ddd_advanced_core.domain.event_handlers import EventHandlerTable
    from cqrs_ddd_core.domain.events import DomainEvent

__all__ = ["EventValidationConfig", "EventValidator", "HandlesEvents"]


@dataclass(frozen=True, slots=True)
class EventValidationConfig:
    """What is asked of the handlers of an aggregate.

    Attributes:
        enabled: ``False`` is lenient: events without a handler change nothing.
        strict_mode: Only a handler made for exactly the event's class counts.
        allow_fallback_handler: Whether ``_when`` or ``apply_event`` gets what no other handles.
    """

    enabled: bool = True
    strict_mode: bool = False
    allow_fallback_handler: bool = True


class HandlesEvents(Protocol):
    """A class of event-sourced aggregates."""

    __event_handlers__: ClassVar[EventHandlerTable[Any]]


class EventValidator:
    """Checks that an aggregate can apply events, before any is stored.

    Args:
        config: What to ask for; a handler or a fallback when not given.
    """

    def __init__(self, config: EventValidationConfig | None = None) -> None:
        self.config: EventValidationConfig = config or EventValidationConfig()

    def table_of(self, aggregate_class: type[HandlesEvents]) -> EventHandlerTable[Any]:
        """Return the handlers of a class under this validation."""
        return aggregate_class.__event_handlers__.with_config(self.config)

    def validate_handler_exists(
        self, aggregate_class: type[HandlesEvents], event_class: type[DomainEvent]
    ) -> Callable[[Any, Any], None]:
        """Return the handler of an event class.

        Raises:
            MissingEventHandlerError: There is none.
            StrictValidationViolationError: There is none for exactly this class, in strict mode.
        """
        return self.table_of(aggregate_class)[event_class]

    def validate_all(
        self, aggregate_class: type[HandlesEvents], event_classes: Iterable[type[DomainEvent]]
    ) -> None:
        """Check all events of an aggregate at once, for instance in a test.

        Raises:
            MissingEventHandlerError: Some event has no handler.
            StrictValidationViolationError: Some event has none of its own, in strict mode.
        """
        table = self.table_of(aggregate_class)
        for event_class in event_classes:
            table[event_class]
