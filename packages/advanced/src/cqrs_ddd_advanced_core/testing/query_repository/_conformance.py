"""What query repositories over any projection store must do."""

from __future__ import annotations

from cqrs_ddd_advanced_core.testing.query_repository._agreement import AgreementTests
from cqrs_ddd_advanced_core.testing.query_repository._pages import PageTests
from cqrs_ddd_advanced_core.testing.query_repository._reading import ReadingTests
from cqrs_ddd_advanced_core.testing.query_repository._safety import SafetyTests

__all__ = ["QueryRepositoryConformance"]


class QueryRepositoryConformance(SafetyTests, ReadingTests, PageTests, AgreementTests):
    """Answers are those of evaluation in memory, page by page, whatever strangers ask."""
