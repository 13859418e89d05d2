"""What every event store must do."""

from __future__ import annotations

from cqrs_ddd_core.testing.event_store._feed import FeedTests
from cqrs_ddd_core.testing.event_store._filters import FilterTests
from cqrs_ddd_core.testing.event_store._removal import RemovalTests
from cqrs_ddd_core.testing.event_store._streams import StreamTests
from cqrs_ddd_core.testing.event_store._transactions import TransactionTests
from cqrs_ddd_core.testing.event_store._versions import VersionTests

__all__ = ["EventStoreConformance"]


class EventStoreConformance(
    TransactionTests, FeedTests, FilterTests, VersionTests, StreamTests, RemovalTests
):
    """Appending, reading, following, removing, transactions and tenants."""
