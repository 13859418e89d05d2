"""The suite as a whole."""

from __future__ import annotations

from cqrs_ddd_advanced_core.testing.projection_lifecycle._inline import InlineTests
from cqrs_ddd_advanced_core.testing.projection_lifecycle._reactions import (
    ReactionTests,
    StagedTests,
)
from cqrs_ddd_advanced_core.testing.projection_lifecycle._switching import SwitchingTests
from cqrs_ddd_advanced_core.testing.projection_lifecycle._waiting import StatusTests, WaitingTests

__all__ = ["ProjectionLifecycleConformance"]


class ProjectionLifecycleConformance(
    InlineTests, SwitchingTests, ReactionTests, StagedTests, WaitingTests, StatusTests
):
    """Projections that commands keep themselves, that wait for others, or that act."""
