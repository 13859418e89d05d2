"""What every projection store must do."""

from __future__ import annotations

from cqrs_ddd_advanced_core.testing.projection_store._changes import ChangeTests
from cqrs_ddd_advanced_core.testing.projection_store._reading import ReadingTests
from cqrs_ddd_advanced_core.testing.projection_store._tables import TableTests
from cqrs_ddd_advanced_core.testing.projection_store._transactions import TransactionTests
from cqrs_ddd_advanced_core.testing.projection_store._values import ValueTests

__all__ = ["ProjectionStoreConformance"]


class ProjectionStoreConformance(
    ChangeTests, ValueTests, ReadingTests, TableTests, TransactionTests
):
    """Rows of read models, written in batches together with the checkpoint."""
