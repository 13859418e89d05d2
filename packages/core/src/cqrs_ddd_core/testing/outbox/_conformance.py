"""What every outbox storage must do."""

from __future__ import annotations

from cqrs_ddd_core.testing.outbox._claiming import ClaimingTests
from cqrs_ddd_core.testing.outbox._failures import FailureTests
from cqrs_ddd_core.testing.outbox._leases import LeaseTests
from cqrs_ddd_core.testing.outbox._saving import SavingTests
from cqrs_ddd_core.testing.outbox._sharing import SharingTests

__all__ = ["OutboxConformance"]


class OutboxConformance(FailureTests, ClaimingTests, LeaseTests, SavingTests, SharingTests):
    """Saving, leasing, claiming, order, failures, parking and cleaning up."""
