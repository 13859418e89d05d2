"""What becomes of two writers' changes to one aggregate: merged states, reordered events."""

from __future__ import annotations

from cqrs_ddd_advanced_core.conflict.event_policy import (
    EventConflictPolicy,
    EventConflictRule,
    EventVerdict,
)
from cqrs_ddd_advanced_core.conflict.rebase import EventRebase
from cqrs_ddd_advanced_core.conflict.registry import MergeStrategyRegistry
from cqrs_ddd_advanced_core.conflict.resolution import (
    DeepMergeStrategy,
    FieldLevelMergeStrategy,
    IMergeStrategy,
    LastWinsStrategy,
    TimestampLastWinsStrategy,
    UnionListMergeStrategy,
)
from cqrs_ddd_advanced_core.conflict.resolver import (
    ConflictResolutionPolicy,
    ConflictResolver,
)

__all__ = [
    "ConflictResolutionPolicy",
    "ConflictResolver",
    "DeepMergeStrategy",
    "EventConflictPolicy",
    "EventConflictRule",
    "EventRebase",
    "EventVerdict",
    "FieldLevelMergeStrategy",
    "IMergeStrategy",
    "LastWinsStrategy",
    "MergeStrategyRegistry",
    "TimestampLastWinsStrategy",
    "UnionListMergeStrategy",
]
