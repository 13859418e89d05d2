"""What every repository must do."""

from __future__ import annotations

from cqrs_ddd_core.testing.repository._search import SearchTests
from cqrs_ddd_core.testing.repository._storage import StorageTests
from cqrs_ddd_core.testing.repository._transactions import TransactionTests

__all__ = ["RepositoryConformance"]


class RepositoryConformance(TransactionTests, SearchTests, StorageTests):
    """Copies, versions, deletion, searching, transactions, events and tenants."""
