"""What every event store must do."""

from __future__ import annotations

from cqrs_ddd_core.testing.event_store._conformance import EventStoreConformance
from cqrs_ddd_core.testing.event_store._suite import EventStoreSubject

__all__ = ["EventStoreConformance", "EventStoreSubject"]
