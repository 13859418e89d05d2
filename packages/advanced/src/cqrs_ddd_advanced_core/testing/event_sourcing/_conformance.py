"""All parts of the suite."""

from __future__ import annotations

from cqrs_ddd_advanced_core.testing.event_sourcing._commands import CommandTests
from cqrs_ddd_advanced_core.testing.event_sourcing._deciders import DeciderTests
from cqrs_ddd_advanced_core.testing.event_sourcing._deletion import DeletionTests
from cqrs_ddd_advanced_core.testing.event_sourcing._repository import RepositoryTests
from cqrs_ddd_advanced_core.testing.event_sourcing._suite import EventSourcingSubject

__all__ = ["EventSourcingConformance", "EventSourcingSubject"]


class EventSourcingConformance(RepositoryTests, DeletionTests, CommandTests, DeciderTests):
    """Aggregates rebuilt exactly, each effect once, everything in one transaction."""
