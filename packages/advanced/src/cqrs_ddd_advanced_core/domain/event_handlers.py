"""Which method of an aggregate applies which event."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any, Final, Generic, NamedTuple, TypeAlias, TypeVar, get_type_hints, overload

from cqrs_ddd_advanced_core.domain.event_validation import EventValidationConfig
from cqrs_ddd_advanced_core.domain.exceptions import (
    InvalidEventHandlerError,
    MissingEventHandlerError,
    StrictValidationViolationError,
)
from cqrs_ddd_advanced_core.domain.lifecycle import LIFECYCLE_EVENTS
from cqrs_ddd_core.domain.events import DomainEvent

__all__ = [
    "EventHandlerMethod",
    "EventHandlerTable",
    "aggregate_event_handler",
    "get_handler_event_type",
    "is_aggregate_event_handler",
]

F = TypeVar("F", bound=Callable[..., None])
A = TypeVar("A")

#: A method as its class has it: takes the aggregate and the event.
EventHandlerMethod: TypeAlias = Callable[[Any, Any], None]

_MARK: Final = "__aggregate_event_handler__"
_FALLBACKS: Final = ("_when", "apply_event")
_CONVENTION: Final = re.compile(r"_?apply_(?!event$)\w+")


@overload
def aggregate_event_handler(event_type: F) -> F: ...
@overload
def aggregate_event_handler(event_type: type[DomainEvent] | None = None) -> Callable[[F], F]: ...
def aggregate_event_handler(event_type: Any = None) -> Any:
    """Mark a method of an aggregate as the handler of an event.

    Used bare, as ``@aggregate_event_handler``, the annotation of its parameter tells the event.

    Args:
        event_type: The event class, where the annotation does not tell.
    """
    if event_type is None or isinstance(event_type, type):
        return lambda method: _mark(method, event_type)
    return _mark(event_type, None)


def _mark(method: F, event_type: type[DomainEvent] | None) -> F:
    setattr(method, _MARK, event_type)
    return method


def is_aggregate_event_handler(method: object) -> bool:
    """Whether a method was marked with ``@aggregate_event_handler``."""
    return hasattr(method, _MARK)


def get_handler_event_type(method: Callable[..., None]) -> type[DomainEvent] | None:
    """Return the event class a handler is for, ``None`` when neither mark nor annotation tells."""
    marked: type[DomainEvent] | None = getattr(method, _MARK, None)
    return marked or _annotated_type(method)


class _Found(NamedTuple):
    handler: EventHandlerMethod
    is_exact: bool


class EventHandlerTable(dict[type[DomainEvent], EventHandlerMethod], Generic[A]):
    """The handlers of an aggregate class, looked up once per event class.

    In this order: a method marked for the event, ``apply_<EventName>``, ``apply_<event_name>``,
    ``_apply_<eventname>`` or ``_apply_<event_name>``, the same for the classes the event derives
    from, and at last the fallback ``_when`` or ``apply_event``, which gets every other event.

    Args:
        aggregate_class: Whose methods.
        config: What becomes of events that have no handler.

    Raises:
        InvalidEventHandlerError: A method that looks like a handler cannot be one.
    """

    def __init__(
        self, aggregate_class: type[A], config: EventValidationConfig | None = None
    ) -> None:
        super().__init__()
        self._class = aggregate_class
        self._config = config or EventValidationConfig()
        self._marked = _marked_handlers(aggregate_class)
        for name in _convention_names(aggregate_class):
            _check(aggregate_class, name)

    def __missing__(self, event_class: type[DomainEvent]) -> EventHandlerMethod:
        handler = self[event_class] = self._resolve(event_class)
        return handler

    def find(self, event_class: type[DomainEvent]) -> EventHandlerMethod | None:
        """Return the handler of an event class, ``None`` when there is not even a fallback."""
        found = self._find(event_class)
        return None if found is None else found.handler

    def event_classes(self) -> tuple[type[DomainEvent], ...]:
        """Return the event classes that handlers name in their mark or annotation, by name."""
        methods = [getattr(self._class, name) for name in _convention_names(self._class)]
        found = {get_handler_event_type(method) for method in (*self._marked.values(), *methods)}
        found |= {key for key in self._marked if isinstance(key, type)}
        return tuple(sorted((one for one in found if one is not None), key=_type_name))

    def has_fallback(self) -> bool:
        """Whether there is a method that takes every event."""
        return any(callable(getattr(self._class, name, None)) for name in _FALLBACKS)

    def with_config(self, config: EventValidationConfig) -> EventHandlerTable[A]:
        """Return the handlers of the same class under another validation."""
        return EventHandlerTable(self._class, config)

    def _resolve(self, event_class: type[DomainEvent]) -> EventHandlerMethod:
        if issubclass(event_class, LIFECYCLE_EVENTS):
            return _ignore
        found = self._find(event_class)
        config, name = self._config, self._class.__name__
        if not config.enabled:
            return _ignore if found is None else found.handler
        if config.strict_mode and not (found and found.is_exact):
            reason = f"it needs a handler of its own, such as apply_{event_class.__name__}"
            raise StrictValidationViolationError(name, event_class.__name__, reason)
        if found is None:
            raise MissingEventHandlerError(name, event_class.__name__)
        return found.handler

    def _find(self, event_class: type[DomainEvent]) -> _Found | None:
        for base in event_class.__mro__:
            if base is DomainEvent:
                break
            handler = self._handler_of(base)
            if handler is not None:
                return _Found(handler, is_exact=base is event_class)
        return self._fallback() if self._config.allow_fallback_handler else None

    def _handler_of(self, event_class: type[DomainEvent]) -> EventHandlerMethod | None:
        marked = self._marked.get(event_class) or self._marked.get(event_class.__name__)
        if marked is not None:
            return marked
        for name in _names_for(event_class):
            method: EventHandlerMethod | None = getattr(self._class, name, None)
            if method is not None:
                return method
        return None

    def _fallback(self) -> _Found | None:
        for name in _FALLBACKS:
            method = getattr(self._class, name, None)
            if method is not None:
                return _Found(method, is_exact=False)
        return None


def _ignore(aggregate: object, event: object) -> None:
    """Change nothing."""


def _names_for(event_class: type[DomainEvent]) -> list[str]:
    names = []
    for name in dict.fromkeys((event_class.__name__, event_class.event_type)):
        snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
        names += [f"apply_{name}", f"apply_{snake}", f"_apply_{name.lower()}", f"_apply_{snake}"]
    return names


def _marked_handlers(
    aggregate_class: type[Any],
) -> dict[type[DomainEvent] | str, EventHandlerMethod]:
    handlers: dict[type[DomainEvent] | str, EventHandlerMethod] = {}
    for name, method in inspect.getmembers_static(aggregate_class, is_aggregate_event_handler):
        _check(aggregate_class, name)
        # Where the annotation names a class that cannot be resolved yet, its name has to do.
        key = get_handler_event_type(method) or _annotation(method)
        if key is None:
            reason = "neither its mark nor its annotation names an event class"
            raise InvalidEventHandlerError(aggregate_class.__name__, name, reason)
        if handlers.setdefault(key, method) is not method:
            reason = f"{_type_name(key)} has another handler, {handlers[key].__name__}"
            raise InvalidEventHandlerError(aggregate_class.__name__, name, reason)
    return handlers


def _convention_names(aggregate_class: type[Any]) -> list[str]:
    return [
        name
        for name in dir(aggregate_class)
        if _CONVENTION.fullmatch(name)
        and inspect.isfunction(inspect.getattr_static(aggregate_class, name))
    ]


def _check(aggregate_class: type[Any], name: str) -> None:
    method = getattr(aggregate_class, name)
    if inspect.iscoroutinefunction(method):
        reason = "it is async; applying an event only changes the state in memory"
        raise InvalidEventHandlerError(aggregate_class.__name__, name, reason)
    try:
        inspect.signature(method).bind(None, None)
    except TypeError:
        reason = "it has to take the event and nothing else"
        raise InvalidEventHandlerError(aggregate_class.__name__, name, reason) from None


def _annotated_type(method: Callable[..., None]) -> type[DomainEvent] | None:
    try:
        hints = get_type_hints(method)
    except NameError:
        return None
    for hint in hints.values():
        if isinstance(hint, type) and issubclass(hint, DomainEvent):
            return hint
    return None


def _annotation(method: Callable[..., None]) -> str | None:
    for name, hint in inspect.get_annotations(method).items():
        if name != "return" and isinstance(hint, str):
            return hint.rpartition(".")[2]
    return None


def _type_name(event_class: type[DomainEvent] | str) -> str:
    return event_class if isinstance(event_class, str) else event_class.__name__
