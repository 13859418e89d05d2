"""Events that every event-sourced aggregate may have: it was deleted, it was restored."""

from __future__ import annotations

from typing import Final

from cqrs_ddd_core.domain.events import DomainEvent

__all__ = ["COMPACTED_VERSION", "LIFECYCLE_EVENTS", "AggregateDeleted", "AggregateRestored"]

#: Metadata key of a summary event: it stands for all events up to that version.
COMPACTED_VERSION: Final = "compacted_version"


class AggregateDeleted(DomainEvent):
    """The tombstone of an aggregate: it is not found from here on.

    Attributes:
        hard: Whether the events before it were removed as well.
        reason: Why, for the audit trail.
    """

    hard: bool = False
    reason: str = ""


class AggregateRestored(DomainEvent):
    """A deleted aggregate is found again, as it was."""


#: No handler applies them; loader and repository know what they mean.
LIFECYCLE_EVENTS: Final = (AggregateDeleted, AggregateRestored)
