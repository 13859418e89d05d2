"""Snapshots of event-sourced aggregates: loading costs the same however long a stream is."""

from cqrs_ddd_advanced_core.snapshots.registry import SnapshotStrategyRegistry
from cqrs_ddd_advanced_core.snapshots.source import snapshot_store_of
from cqrs_ddd_advanced_core.snapshots.store import SnapshotStore
from cqrs_ddd_advanced_core.snapshots.strategy import (
    AllOf,
    AnyOf,
    EveryIntervalStrategy,
    EveryNEventsStrategy,
    TailSizeStrategy,
)

__all__ = [
    "AllOf",
    "AnyOf",
    "EveryIntervalStrategy",
    "EveryNEventsStrategy",
    "SnapshotStore",
    "SnapshotStrategyRegistry",
    "TailSizeStrategy",
    "snapshot_store_of",
]
