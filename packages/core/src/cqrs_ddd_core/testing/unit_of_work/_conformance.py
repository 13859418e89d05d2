"""What every unit of work must do, together with the stores of its database."""

from __future__ import annotations

from cqrs_ddd_core.testing.unit_of_work._atomicity import AtomicityTests
from cqrs_ddd_core.testing.unit_of_work._cancellation import CancellationTests
from cqrs_ddd_core.testing.unit_of_work._hooks import HookTests
from cqrs_ddd_core.testing.unit_of_work._life import LifeTests
from cqrs_ddd_core.testing.unit_of_work._streams import StreamTests

__all__ = ["UnitOfWorkConformance"]


class UnitOfWorkConformance(CancellationTests, StreamTests, HookTests, LifeTests, AtomicityTests):
    """All or nothing, hooks, nesting, tasks and cancellation."""
