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

    from cqrs_ddd_advanced_core.ports.checkpoint_store import CheckpointKey

__all__ = [
    "CheckpointLostError",
    "ProjectionDefinitionError",
    "ProjectionLagError",
    "ProjectionSchemaMismatchError",
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

    def __init__(self, key: CheckpointKey) -> None:
        super().__init__(
            f"{key.projection!r} version {key.version} partition {key.partition} is carried on by "
            "another worker by now, or was stopped"
        )
        self.key: CheckpointKey = key


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


class RebuildError(PersistenceError):
    """A rebuild cannot begin, go on or be swapped in."""
