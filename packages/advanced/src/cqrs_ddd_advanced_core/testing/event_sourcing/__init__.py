"""What event sourcing must do on every database."""

from cqrs_ddd_advanced_core.testing.event_sourcing._conformance import (
    EventSourcingConformance,
    EventSourcingSubject,
)

__all__ = ["EventSourcingConformance", "EventSourcingSubject"]
