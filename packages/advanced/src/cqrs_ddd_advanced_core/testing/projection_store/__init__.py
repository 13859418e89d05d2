"""What every projection store must do."""

from __future__ import annotations

from cqrs_ddd_advanced_core.testing.projection_store._conformance import ProjectionStoreConformance
from cqrs_ddd_advanced_core.testing.projection_store._suite import ProjectionStoreSubject

__all__ = ["ProjectionStoreConformance", "ProjectionStoreSubject"]
