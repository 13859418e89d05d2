"""The ports of this package in memory: for tests, and as the reference of how ports behave."""

from __future__ import annotations

from cqrs_ddd_advanced_core.adapters.memory.checkpoint_store import InMemoryCheckpointStore
from cqrs_ddd_advanced_core.adapters.memory.event_archive import InMemoryEventArchive
from cqrs_ddd_advanced_core.adapters.memory.parked_events import InMemoryParkedEvents
from cqrs_ddd_advanced_core.adapters.memory.projection_store import InMemoryProjectionStore
from cqrs_ddd_advanced_core.adapters.memory.snapshot_store import InMemorySnapshotStore
from cqrs_ddd_advanced_core.adapters.memory.subject_keys import InMemorySubjectKeyStore
from cqrs_ddd_advanced_core.adapters.memory.undo_history import InMemoryUndoHistory
from cqrs_ddd_core.adapters.memory import InMemoryEventStore

__all__ = [
    "InMemoryCheckpointStore",
    "InMemoryEventArchive",
    "InMemoryEventStore",
    "InMemoryParkedEvents",
    "InMemoryProjectionStore",
    "InMemorySnapshotStore",
    "InMemorySubjectKeyStore",
    "InMemoryUndoHistory",
]
