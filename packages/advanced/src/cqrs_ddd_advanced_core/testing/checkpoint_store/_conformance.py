"""The suite as a whole."""

from __future__ import annotations

from cqrs_ddd_advanced_core.testing.checkpoint_store._leases import LeaseTests
from cqrs_ddd_advanced_core.testing.checkpoint_store._moving import MoveTests
from cqrs_ddd_advanced_core.testing.checkpoint_store._operators import OperatorTests
from cqrs_ddd_advanced_core.testing.checkpoint_store._state import StateTests

__all__ = ["CheckpointStoreConformance"]


class CheckpointStoreConformance(StateTests, LeaseTests, MoveTests, OperatorTests):
    """How far projections have come, with one owner each."""
