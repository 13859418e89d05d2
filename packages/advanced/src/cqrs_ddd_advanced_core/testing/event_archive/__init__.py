"""What every event archive must do, and what is built on it."""

from __future__ import annotations

from cqrs_ddd_advanced_core.testing.event_archive._conformance import EventArchiveConformance
from cqrs_ddd_advanced_core.testing.event_archive._suite import EventArchiveSubject

__all__ = ["EventArchiveConformance", "EventArchiveSubject"]
