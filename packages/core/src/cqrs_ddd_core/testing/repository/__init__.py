"""What every repository must do."""

from __future__ import annotations

from cqrs_ddd_core.testing.repository._conformance import RepositoryConformance
from cqrs_ddd_core.testing.repository._suite import RepositorySubject

__all__ = ["RepositoryConformance", "RepositorySubject"]
