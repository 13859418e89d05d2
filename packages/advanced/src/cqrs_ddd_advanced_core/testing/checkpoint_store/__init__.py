"""What every checkpoint store must do."""

from __future__ import annotations

from cqrs_ddd_advanced_core.testing.checkpoint_store._conformance import CheckpointStoreConformance
from cqrs_ddd_advanced_core.testing.checkpoint_store._suite import CheckpointStoreSubject

__all__ = ["CheckpointStoreConformance", "CheckpointStoreSubject"]
