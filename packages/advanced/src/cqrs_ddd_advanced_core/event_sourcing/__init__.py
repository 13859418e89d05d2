"""Aggregates stored as their events: mediator, repository, loader, their past and its archive."""

from cqrs_ddd_advanced_core.event_sourcing.archive import ArchiveProgress, StreamArchiver
from cqrs_ddd_advanced_core.event_sourcing.archived_store import ArchivedEventStore
from cqrs_ddd_advanced_core.event_sourcing.audit_trail import AuditEntry
from cqrs_ddd_advanced_core.event_sourcing.cache import AggregateCache
from cqrs_ddd_advanced_core.event_sourcing.causation import (
    CausationNode,
    CausationTree,
    CommandNode,
    EventNode,
)
from cqrs_ddd_advanced_core.event_sourcing.compaction import StreamCompactor
from cqrs_ddd_advanced_core.event_sourcing.factory import EventSourcedMediatorFactory
from cqrs_ddd_advanced_core.event_sourcing.loader import EventSourcedLoader
from cqrs_ddd_advanced_core.event_sourcing.mediator import EventSourcedMediator
from cqrs_ddd_advanced_core.event_sourcing.persistence import EventSourcedPersistenceOrchestrator
from cqrs_ddd_advanced_core.event_sourcing.replay import EventReplayService
from cqrs_ddd_advanced_core.event_sourcing.repository import EventSourcedRepository

__all__ = [
    "AggregateCache",
    "ArchiveProgress",
    "ArchivedEventStore",
    "AuditEntry",
    "CausationNode",
    "CausationTree",
    "CommandNode",
    "EventNode",
    "EventReplayService",
    "EventSourcedLoader",
    "EventSourcedMediator",
    "EventSourcedMediatorFactory",
    "EventSourcedPersistenceOrchestrator",
    "EventSourcedRepository",
    "StreamArchiver",
    "StreamCompactor",
]
