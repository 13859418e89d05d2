"""What query repositories over any projection store must do: answer as memory does."""

from __future__ import annotations

from cqrs_ddd_advanced_core.testing.query_repository._conformance import QueryRepositoryConformance
from cqrs_ddd_advanced_core.testing.query_repository._suite import QueryRepositorySubject

__all__ = ["QueryRepositoryConformance", "QueryRepositorySubject"]
