"""Aggregates that are put away instead of deleted."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel

from cqrs_ddd_core.primitives.clock import utc_now
from cqrs_ddd_core.primitives.exceptions import InvariantViolationError

__all__ = ["ArchivableMixin"]


class ArchivableMixin(BaseModel):
    """Adds an archive mark with time and person."""

    archived_at: datetime | None = None
    archived_by: str | None = None

    @property
    def is_archived(self) -> bool:
        """Whether the archive mark is set."""
        return self.archived_at is not None

    def archive(self, by: str | None = None, at: datetime | None = None) -> None:
        """Set the archive mark.

        Raises:
            InvariantViolationError: It is set already.
        """
        if self.is_archived:
            msg = f"{type(self).__name__} was archived at {self.archived_at} already"
            raise InvariantViolationError(msg)
        self.archived_at = at or utc_now()
        self.archived_by = by

    def restore(self) -> None:
        """Take the archive mark away.

        Raises:
            InvariantViolationError: It is not set.
        """
        if not self.is_archived:
            msg = f"{type(self).__name__} is not archived"
            raise InvariantViolationError(msg)
        self.archived_at = None
        self.archived_by = None
