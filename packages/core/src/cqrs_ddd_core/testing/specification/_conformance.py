"""What every evaluator of specifications must do: what evaluation in memory does."""

from __future__ import annotations

from cqrs_ddd_core.testing.specification._agreement import AgreementTests
from cqrs_ddd_core.testing.specification._nulls import NullTests
from cqrs_ddd_core.testing.specification._safety import SafetyTests
from cqrs_ddd_core.testing.specification._text import TextTests
from cqrs_ddd_core.testing.specification._values import ValueTests

__all__ = ["SpecificationConformance"]


class SpecificationConformance(SafetyTests, ValueTests, TextTests, NullTests, AgreementTests):
    """Every evaluator agrees with evaluation in memory.

    A fraction that needs more digits than a float asks for ``exact_decimals``.
    """
