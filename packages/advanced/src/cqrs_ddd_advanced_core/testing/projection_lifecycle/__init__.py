"""What inline, live and staged projections and reactions must do on every database."""

from __future__ import annotations

from cqrs_ddd_advanced_core.testing.projection_lifecycle._conformance import (
    ProjectionLifecycleConformance,
)
from cqrs_ddd_advanced_core.testing.projection_lifecycle._suite import ProjectionLifecycleSubject

__all__ = ["ProjectionLifecycleConformance", "ProjectionLifecycleSubject"]
