"""When an aggregate was made and last changed."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, Field

from cqrs_ddd_core.primitives.clock import utc_now

__all__ = ["AuditableMixin"]


class AuditableMixin(BaseModel):
    """Adds ``created_at`` and ``updated_at``, both aware UTC."""

    created_at: datetime = Field(default_factory=utc_now)
    updated_at: datetime = Field(default_factory=utc_now)

    def touch(self, at: datetime | None = None) -> None:
        """Move ``updated_at`` to ``at``, or to now."""
        self.updated_at = at or utc_now()
