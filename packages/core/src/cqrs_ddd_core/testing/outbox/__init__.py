"""What every outbox storage must do."""

from __future__ import annotations

from cqrs_ddd_core.testing.outbox._conformance import OutboxConformance
from cqrs_ddd_core.testing.outbox._suite import OutboxSubject

__all__ = ["OutboxConformance", "OutboxSubject"]
