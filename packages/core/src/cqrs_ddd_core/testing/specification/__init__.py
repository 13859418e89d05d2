"""What every evaluator of specifications must do: what evaluation in memory does."""

from __future__ import annotations

from cqrs_ddd_core.testing.specification._conformance import SpecificationConformance
from cqrs_ddd_core.testing.specification._suite import SpecificationSubject

__all__ = ["SpecificationConformance", "SpecificationSubject"]
