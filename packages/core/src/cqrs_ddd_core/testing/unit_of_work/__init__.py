"""What every unit of work must do, together with the stores of its database."""

from __future__ import annotations

from cqrs_ddd_core.testing.unit_of_work._conformance import UnitOfWorkConformance
from cqrs_ddd_core.testing.unit_of_work._suite import UnitOfWorkSubject

__all__ = ["UnitOfWorkConformance", "UnitOfWorkSubject"]
