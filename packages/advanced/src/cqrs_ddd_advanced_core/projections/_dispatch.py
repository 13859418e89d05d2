"""From a stored event to the handler of its class, looked up once for each shape."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

from cqrs_ddd_advanced_core.domain.projection_exceptions import ProjectionDefinitionError

if TYPE_CHECKING:
    from cqrs_ddd_advanced_core.projections.projector import EventHandler, Projector
    from cqrs_ddd_advanced_core.projections.rows import ProjectionRows
    from cqrs_ddd_advanced_core.upcasting import UpcasterRegistry
    from cqrs_ddd_core.cqrs.event_serializer import EventSerializer
    from cqrs_ddd_core.domain.event_registry import EventTypeRegistry
    from cqrs_ddd_core.domain.events import DomainEvent
    from cqrs_ddd_core.ports.event_store import StoredEvent

__all__ = ["EventDispatch"]

_Applied: TypeAlias = Callable[["StoredEvent", "ProjectionRows"], Awaitable[None] | None]


class EventDispatch(dict[tuple[str, int], _Applied]):
    """What applies a stored event, by type name and version of the payload.

    It returns ``None`` when it is done, and else something to wait for.

    Args:
        projector: Has the handlers.
        registry: The events that may be read.
        upcasters: How payloads of other shapes are read, where there are any.
        serializer: Reads stored events, by both of them.

    Raises:
        ProjectionDefinitionError: There are no handlers, or one for an event that cannot be read.
    """

    def __init__(
        self,
        projector: Projector,
        registry: EventTypeRegistry,
        upcasters: UpcasterRegistry | None,
        serializer: EventSerializer,
    ) -> None:
        super().__init__()
        self._projector = projector
        self._registry = registry
        self._upcasters = upcasters
        self._hydrate = serializer.hydrate
        self._handlers = projector.handlers()
        self.event_types: frozenset[str] = self._find_event_types()

    def __missing__(self, key: tuple[str, int]) -> _Applied:
        applied = self[key] = self._compile(*key)
        return applied

    def _find_event_types(self) -> frozenset[str]:
        names = {
            name: self._registry.get(name)
            for name in self._registry.registered_types()
            if self._class_handled(self._registry.get(name)) is not None
        }
        unread = self._handlers.keys() - {one for c in names.values() for one in c.__mro__}
        if unread or not names:
            listed = ", ".join(sorted(one.__name__ for one in unread)) or "no event at all"
            msg = f"{self._projector.name} handles {listed}, which the event registry lacks"
            raise ProjectionDefinitionError(msg)
        if self._upcasters is None:
            return frozenset(names)
        return frozenset(names).union(*map(self._upcasters.stored_types, names))

    def _compile(self, event_type: str, version: int) -> _Applied:
        if self._upcasters is not None and self._upcasters.has_upcasters(event_type, version):
            return self._apply_all
        event_class = self._registry.get(event_type)
        handled = self._class_handled(event_class)
        if handled is None:
            return _ignore
        today = (event_class.event_type, event_class.schema_version)
        if handled is event_class and (event_type, version) == today:
            direct = self._projector.stored_handler(event_class)
            if direct is not None:
                return direct
        return self._reading(self._handlers[handled])

    def _reading(self, handler: EventHandler) -> _Applied:
        read = self._read

        def apply(stored: StoredEvent, rows: ProjectionRows) -> Awaitable[None] | None:
            return handler(read(stored, rows)[0], rows)

        def apply_plain(stored: StoredEvent, rows: ProjectionRows) -> None:
            handler(read(stored, rows)[0], rows)

        return apply if _is_async(handler) else apply_plain

    async def _apply_all(self, stored: StoredEvent, rows: ProjectionRows) -> None:
        """Apply what an event of an older shape is read as today, be it several or none."""
        for event in self._read(stored, rows):
            handled = self._class_handled(type(event))
            if handled is not None:
                handler = self._handlers[handled]
                waited_for = handler(event, rows)
                if waited_for is not None and _is_async(handler):
                    await waited_for

    def _read(self, stored: StoredEvent, rows: ProjectionRows) -> Sequence[DomainEvent]:
        events = rows.read_ahead.pop(stored.position, None)
        return self._hydrate(stored) if events is None else events

    def _class_handled(self, event_class: type[DomainEvent]) -> type[DomainEvent] | None:
        return next((one for one in event_class.__mro__ if one in self._handlers), None)


def _ignore(stored: StoredEvent, rows: ProjectionRows) -> None:
    """Change nothing."""


def _is_async(handler: EventHandler) -> bool:
    call = getattr(handler, "__call__", None)  # noqa: B004 - its own function is looked at
    return inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(call)
