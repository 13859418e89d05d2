"""Test what you build: given, when, then; events by the thousand; one suite per port."""

from __future__ import annotations

from cqrs_ddd_core.primitives.exceptions import MissingExtraError as _MissingExtraError

try:
    import hypothesis as _hypothesis  # noqa: F401 - strategies and suites need it
    import pytest
except ImportError as _error:
    raise _MissingExtraError("the test kit", "cqrs-ddd-advanced-core", "testing") from _error

pytest.register_assert_rewrite(
    *(
        f"{__name__}.{module}"
        for module in (
            "checkpoint_store",
            "event_archive",
            "event_replay",
            "parked_events",
            "projection",
            "projection_lifecycle",
            "projection_store",
            "query_repository",
            "rebuild",
            "snapshot_store",
            "subject_keys",
            "undo_history",
            "undo_service",
        )
    )
)

# ruff: noqa: E402 - the suites are imported after the rewrite is registered
from cqrs_ddd_advanced_core.testing.application import InMemoryApplication
from cqrs_ddd_advanced_core.testing.checkpoint_store import (
    CheckpointStoreConformance,
    CheckpointStoreSubject,
)
from cqrs_ddd_advanced_core.testing.commuting import assert_commutes, commuting_pairs
from cqrs_ddd_advanced_core.testing.event_archive import (
    EventArchiveConformance,
    EventArchiveSubject,
)
from cqrs_ddd_advanced_core.testing.given_when_then import given
from cqrs_ddd_advanced_core.testing.parked_events import (
    ParkedEventsConformance,
    ParkedEventsSubject,
)
from cqrs_ddd_advanced_core.testing.projection import ProjectionConformance, ProjectionSubject
from cqrs_ddd_advanced_core.testing.projection_lifecycle import (
    ProjectionLifecycleConformance,
    ProjectionLifecycleSubject,
)
from cqrs_ddd_advanced_core.testing.projection_store import (
    ProjectionStoreConformance,
    ProjectionStoreSubject,
)
from cqrs_ddd_advanced_core.testing.query_repository import (
    QueryRepositoryConformance,
    QueryRepositorySubject,
)
from cqrs_ddd_advanced_core.testing.rebuild import RebuildConformance, RebuildSubject
from cqrs_ddd_advanced_core.testing.snapshot_store import (
    SnapshotStoreConformance,
    SnapshotStoreSubject,
)
from cqrs_ddd_advanced_core.testing.subject_keys import SubjectKeysConformance, SubjectKeysSubject
from cqrs_ddd_advanced_core.testing.undo_history import UndoHistoryConformance, UndoHistorySubject

__all__ = [
    "CheckpointStoreConformance",
    "CheckpointStoreSubject",
    "EventArchiveConformance",
    "EventArchiveSubject",
    "InMemoryApplication",
    "ParkedEventsConformance",
    "ParkedEventsSubject",
    "ProjectionConformance",
    "ProjectionLifecycleConformance",
    "ProjectionLifecycleSubject",
    "ProjectionStoreConformance",
    "ProjectionStoreSubject",
    "ProjectionSubject",
    "QueryRepositoryConformance",
    "QueryRepositorySubject",
    "RebuildConformance",
    "RebuildSubject",
    "SnapshotStoreConformance",
    "SnapshotStoreSubject",
    "SubjectKeysConformance",
    "SubjectKeysSubject",
    "UndoHistoryConformance",
    "UndoHistorySubject",
    "assert_commutes",
    "commuting_pairs",
    "given",
]
