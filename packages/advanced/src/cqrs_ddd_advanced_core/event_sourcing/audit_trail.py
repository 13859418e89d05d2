"""What happened to an aggregate, for people."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uuid import UUID

    from cqrs_ddd_core.ports.event_store import StoredEvent, StreamId

__all__ = ["AuditEntry", "moment_text", "one_line"]


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One event as it was stored: what, when, who, and why.

    Its text is one line: ``[2026-01-21T10:30:00.000Z] UserCreated: {"email":"john@example.com"}``.

    Attributes:
        payload: The JSON as it is stored, in the shape it had then.
        occurred_at: When it happened, aware UTC.
        recorded_at: When the event store wrote it, aware UTC.
        user_id: Who asked for it, where that is known.
        correlation_id: Shared by everything one request did.
        causation_id: Id of the command or event that led to it.
    """

    stream: StreamId
    version: int
    position: int
    event_id: UUID
    event_type: str
    schema_version: int
    payload: str
    occurred_at: datetime
    recorded_at: datetime
    user_id: str | None
    correlation_id: str | None
    causation_id: str | None

    @classmethod
    def of(cls, stored: StoredEvent) -> AuditEntry:
        """Return the entry of a stored event."""
        user_id = stored.metadata.get("user_id")
        return cls(
            stored.stream,
            stored.version,
            stored.position,
            stored.event_id,
            stored.event_type,
            stored.schema_version,
            _payload_text(stored.payload_bytes),
            stored.occurred_at,
            stored.recorded_at,
            None if user_id is None else str(user_id),
            stored.correlation_id,
            stored.causation_id,
        )

    def __str__(self) -> str:
        when = moment_text(self.occurred_at)
        return f"[{when}] {one_line(self.event_type)}: {one_line(self.payload)}"


def moment_text(moment: datetime) -> str:
    """Return a point in time as UTC with milliseconds."""
    return f"{moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"


def one_line(text: str) -> str:
    """Return a text without line breaks, so that it cannot pretend to be another line."""
    return " ".join(text.splitlines())


def _payload_text(payload: bytes) -> str:
    if not payload.startswith(b"{"):
        return f"<{len(payload)} encoded bytes>"
    return payload.decode(errors="replace")
