"""What rebuilds do on every pair of an event store and a projection store."""

from __future__ import annotations

from cqrs_ddd_advanced_core.testing.rebuild._conformance import RebuildConformance
from cqrs_ddd_advanced_core.testing.rebuild._suite import RebuildSubject

__all__ = ["RebuildConformance", "RebuildSubject"]
