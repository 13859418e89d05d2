"""Ports of event sourcing and undo: what an adapter has to offer."""

from __future__ import annotations

from cqrs_ddd_advanced_core.ports.event_archive import IEventArchive
from cqrs_ddd_advanced_core.ports.snapshot_store import ISnapshotStore, Snapshot
from cqrs_ddd_advanced_core.ports.snapshot_strategy import ISnapshotStrategy, SnapshotProgress
from cqrs_ddd_advanced_core.ports.subject_keys import ISubjectKeyStore, SubjectKey
from cqrs_ddd_advanced_core.ports.undo_history import IUndoHistory, UndoEntry, UndoStatus

__all__ = [
    "IEventArchive",
    "ISnapshotStore",
    "ISnapshotStrategy",
    "ISubjectKeyStore",
    "IUndoHistory",
    "Snapshot",
    "SnapshotProgress",
    "SubjectKey",
    "UndoEntry",
    "UndoStatus",
]
