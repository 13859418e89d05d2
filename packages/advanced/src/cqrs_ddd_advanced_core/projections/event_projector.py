"""Quick views in memory: one function per event type, one value per key."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import TYPE_CHECKING, Any, TypeAlias

from cqrs_ddd_advanced_core.domain.projection_exceptions import ProjectionDefinitionError

if TYPE_CHECKING:
    from cqrs_ddd_core.domain.events import DomainEvent

__all__ = ["EventProjector", "Projecting"]

#: Returns what an event makes of a projection, which is ``None`` before the first.
Projecting: TypeAlias = Callable[[Any, Any], Any]


class EventProjector:
    """Folds the events it is given into values by key; for views that live in one process.

    It keeps no checkpoint and guards nothing: who calls it gives each event once and in order.
    For read models that outlive the process, use a ``Projector``; for mails and calls, an
    ``EventReaction``.
    """

    def __init__(self) -> None:
        self._functions: dict[str, Projecting] = {}
        self._projections: dict[str, Any] = {}

    def register_projector(
        self, event_type: type[DomainEvent] | str, projector: Projecting
    ) -> None:
        """Let a function apply the events of a type.

        Args:
            event_type: The class, or its type name.
            projector: Takes the event and the projection, and returns the new projection.

        Raises:
            ProjectionDefinitionError: The type has another function already.
        """
        name = event_type if isinstance(event_type, str) else event_type.event_type
        if self._functions.setdefault(name, projector) is not projector:
            msg = f"{name!r} has a function already; one function may do all there is to do"
            raise ProjectionDefinitionError(msg)

    def project(self, key: str, event: DomainEvent, initial_value: Any = None) -> Any:
        """Apply an event to the projection of a key and return what it is now.

        An event whose type has no function changes nothing, and a function that raises neither.

        Args:
            key: Which projection.
            event: What happened.
            initial_value: What a projection begins with; it is copied.
        """
        function = self._functions.get(event.event_type)
        known = key in self._projections
        if function is None:
            return self._projections[key] if known else initial_value
        projection = self._projections[key] if known else deepcopy(initial_value)
        self._projections[key] = function(event, projection)
        return self._projections[key]

    def get_projection(self, key: str) -> Any:
        """Return the projection of a key; ``None`` before its first event."""
        return self._projections.get(key)

    def clear(self) -> None:
        """Forget all projections; the functions stay."""
        self._projections.clear()
