"""What every event archive must do, and what is built on it."""

from __future__ import annotations

from cqrs_ddd_advanced_core.testing.event_archive._archive import ArchiveTests
from cqrs_ddd_advanced_core.testing.event_archive._archiving import ArchivingTests
from cqrs_ddd_advanced_core.testing.event_archive._compaction import CompactionTests

__all__ = ["EventArchiveConformance"]


class EventArchiveConformance(ArchiveTests, ArchivingTests, CompactionTests):
    """Keeping old events, moving them, and putting a summary in their place."""
