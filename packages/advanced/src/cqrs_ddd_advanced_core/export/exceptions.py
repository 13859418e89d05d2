"""Errors of exports; all of them are errors of the core."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cqrs_ddd_core.primitives.exceptions import PersistenceError, SerializationError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["ExportDirectoryError", "ExportValueError"]


class ExportValueError(SerializationError):
    """A value of a payload cannot be kept in its column, which is exact or nothing.

    Attributes:
        position: Of the event.
        column: Name of the column.
    """

    def __init__(self, position: int, event_type: str, column: str, reason: str) -> None:
        super().__init__(
            f"column {column!r} cannot hold what {event_type} at position {position} has: {reason}"
        )
        self.position: int = position
        self.column: str = column


class ExportDirectoryError(PersistenceError):
    """A directory cannot take the next part of an export."""

    def __init__(self, directory: Path, reason: str) -> None:
        super().__init__(f"{directory} cannot take this export: {reason}")
        self.directory: Path = directory
