"""Ports of event sourcing, projections and undo: what an adapter has to offer."""

from __future__ import annotations

from cqrs_ddd_advanced_core.ports.checkpoint_store import (
    Checkpoint,
    CheckpointKey,
    CheckpointLease,
    CheckpointState,
    ICheckpointStore,
    fair_share,
)
from cqrs_ddd_advanced_core.ports.event_archive import IEventArchive
from cqrs_ddd_advanced_core.ports.parked_events import IParkedEvents, ParkedEvent
from cqrs_ddd_advanced_core.ports.projection_schema import ProjectionColumn, ProjectionSchema
from cqrs_ddd_advanced_core.ports.projection_store import IProjectionStore, Row, RowChange, RowKey
from cqrs_ddd_advanced_core.ports.snapshot_store import ISnapshotStore, Snapshot
from cqrs_ddd_advanced_core.ports.snapshot_strategy import ISnapshotStrategy, SnapshotProgress
from cqrs_ddd_advanced_core.ports.subject_keys import ISubjectKeyStore, SubjectKey
from cqrs_ddd_advanced_core.ports.undo_history import IUndoHistory, UndoEntry, UndoStatus

__all__ = [
    "Checkpoint",
    "CheckpointKey",
    "CheckpointLease",
    "CheckpointState",
    "ICheckpointStore",
    "IEventArchive",
    "IParkedEvents",
    "IProjectionStore",
    "ISnapshotStore",
    "ISnapshotStrategy",
    "ISubjectKeyStore",
    "IUndoHistory",
    "ParkedEvent",
    "ProjectionColumn",
    "ProjectionSchema",
    "Row",
    "RowChange",
    "RowKey",
    "Snapshot",
    "SnapshotProgress",
    "SubjectKey",
    "UndoEntry",
    "UndoStatus",
    "fair_share",
]
