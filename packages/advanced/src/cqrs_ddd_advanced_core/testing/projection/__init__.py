"""What projections do on every pair of an event store and a projection store."""

from __future__ import annotations

from cqrs_ddd_advanced_core.testing.projection._conformance import ProjectionConformance
from cqrs_ddd_advanced_core.testing.projection._suite import ProjectionSubject

__all__ = ["ProjectionConformance", "ProjectionSubject"]
