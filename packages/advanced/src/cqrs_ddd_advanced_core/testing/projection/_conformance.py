"""What projections do on every pair of an event store and a projection store."""

from __future__ import annotations

from cqrs_ddd_advanced_core.testing.projection._applying import ApplyingTests
from cqrs_ddd_advanced_core.testing.projection._cancellation import CancellationTests
from cqrs_ddd_advanced_core.testing.projection._parking import ParkingTests
from cqrs_ddd_advanced_core.testing.projection._partitions import PartitionTests
from cqrs_ddd_advanced_core.testing.projection._poison import PoisonTests
from cqrs_ddd_advanced_core.testing.projection._rewinding import RewindingTests
from cqrs_ddd_advanced_core.testing.projection._sharing import SharingTests

__all__ = ["ProjectionConformance"]


class ProjectionConformance(
    ApplyingTests,
    RewindingTests,
    SharingTests,
    PartitionTests,
    CancellationTests,
    PoisonTests,
    ParkingTests,
):
    """Every event has its effect once, whatever happens to workers."""
