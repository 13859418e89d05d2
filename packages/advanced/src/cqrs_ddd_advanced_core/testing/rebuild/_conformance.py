"""What rebuilds do on every pair of an event store and a projection store."""

from __future__ import annotations

from cqrs_ddd_advanced_core.testing.rebuild._beside import BesideTests
from cqrs_ddd_advanced_core.testing.rebuild._crashes import CrashTests
from cqrs_ddd_advanced_core.testing.rebuild._in_place import InPlaceTests
from cqrs_ddd_advanced_core.testing.rebuild._swapping import SwappingTests
from cqrs_ddd_advanced_core.testing.rebuild._under_load import UnderLoadTests
from cqrs_ddd_advanced_core.testing.rebuild._verifying import VerifyingTests

__all__ = ["RebuildConformance"]


class RebuildConformance(
    InPlaceTests, BesideTests, VerifyingTests, SwappingTests, CrashTests, UnderLoadTests
):
    """A rebuilt read model is the fold of all events, and the serving one goes on meanwhile."""
