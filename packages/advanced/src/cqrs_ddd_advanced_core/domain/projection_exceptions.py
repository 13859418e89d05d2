"""Errors of projections; all of them are errors of the core."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cqrs_ddd_core.primitives.exceptions import (
    ConcurrencyError,
    ConfigurationError,
    HandlerError,
    PersistenceError,
    SerializationError,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "CheckpointLostError",
    "LiveProjectionLimitError",
    "ProjectionConflictError",
    "ProjectionDefinitionError",
    "ProjectionHaltedError",
    "ProjectionLagError",
    "ProjectionSchemaMismatchError",
    "ProjectionSwitchError",
    "ProjectionSwitchingError",
    "ProjectionValueError",
    "ProjectorError",
    "RebuildError",
    "UnknownProjectionError",
]


class ProjectionDefinitionError(ConfigurationError):
    """A projection or the schema of its rows is defined in a way that cannot work."""


class UnknownProjectionError(ConfigurationError):
    """Nothing is registered under a name."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        listed = ", ".join(known) or "none"
        super().__init__(f"no projection {name!r} is registered; there is {listed}")
        self.name: str = name


class ProjectionSchemaMismatchError(ConfigurationError):
    """A table is there and looks different from what a projection declares."""

    def __init__(self, table: str, differences: Sequence[str]) -> None:
        msg = (
            f"table {table!r} does not fit its projection: {'; '.join(differences)}. Migrate it, "
            "or give the projection a higher version and rebuild it"
        )
        super().__init__(msg)
        self.table: str = table
        self.differences: tuple[str, ...] = tuple(differences)


class ProjectionValueError(SerializationError):
    """A value does not fit the column of a read model."""


class ProjectorError(HandlerError):
    """A projector could not apply an event."""

    def __init__(self, projection: str, position: int, event_type: str, cause: Exception) -> None:
        super().__init__(
            f"projection {projection!r} cannot apply {event_type} at position {position}: "
            f"{type(cause).__name__}: {cause}"
        )
        self.projection: str = projection
        self.position: int = position
        self.event_type: str = event_type


class CheckpointLostError(ConcurrencyError):
    """A worker no longer owns the checkpoint it was about to move; its batch was rolled back."""

    def __init__(self, key: tuple[str, int, int]) -> None:
        projection, version, partition = key
        super().__init__(
            f"{projection!r} version {version} partition {partition} is carried on by another "
            "worker by now, or was stopped"
        )
        self.key: tuple[str, int, int] = key


class ProjectionLagError(PersistenceError):
    """A projection did not come as far as asked for in time."""

    def __init__(self, projection: str, wanted: int, reached: int, timeout: float) -> None:
        super().__init__(
            f"projection {projection!r} is at position {reached} and not at {wanted} after "
            f"{timeout:g} s; ask again later, or take what is there without after="
        )
        self.projection: str = projection
        self.wanted: int = wanted
        self.reached: int = reached


class ProjectionHaltedError(ProjectionLagError):
    """A projection does not come as far as asked for before an operator has looked at it."""

    def __init__(self, projection: str, wanted: int, reached: int, reason: str) -> None:
        PersistenceError.__init__(
            self,
            f"projection {projection!r} is halted at position {reached} and will not come to "
            f"{wanted}: {reason}. Mend the projector or the event and resume the projection, or "
            "take what is there without after=",
        )
        self.projection = projection
        self.wanted = wanted
        self.reached = reached
        self.reason: str = reason


class RebuildError(PersistenceError):
    """A rebuild cannot begin, go on or be swapped in."""


class LiveProjectionLimitError(PersistenceError):
    """Folding an answer would cost more events than it may."""

    def __init__(self, projection: str, max_events: int) -> None:
        super().__init__(
            f"{projection} needs more than {max_events} events for one answer; ask for fewer with "
            "a filter, keep it as rows with a projector, or raise max_events"
        )
        self.projection: str = projection
        self.max_events: int = max_events


class ProjectionSwitchingError(ConcurrencyError):
    """A projection is becoming inline or asynchronous at this moment; try the command again."""

    def __init__(self, projection: str) -> None:
        super().__init__(
            f"{projection!r} is changing how it is carried on; try the command again. If that "
            "lasts, the switch was interrupted: run it again"
        )
        self.projection: str = projection


class ProjectionConflictError(ConcurrencyError):
    """A row that a projection had read was changed by somebody else before it was written."""

    def __init__(self, projection: str) -> None:
        super().__init__(
            f"somebody else changed a row that {projection!r} had read; try again, or count with "
            "add(), which needs no reading"
        )
        self.projection: str = projection


class ProjectionSwitchError(PersistenceError):
    """A projection cannot become inline or asynchronous; it goes on as before."""
