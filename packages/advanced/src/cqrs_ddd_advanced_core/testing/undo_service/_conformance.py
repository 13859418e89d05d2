"""The whole suite."""

from __future__ import annotations

from cqrs_ddd_advanced_core.testing.undo_service._execution import Execution
from cqrs_ddd_advanced_core.testing.undo_service._failures import Failures
from cqrs_ddd_advanced_core.testing.undo_service._order import Order
from cqrs_ddd_advanced_core.testing.undo_service._reversal import Reversal

__all__ = ["UndoServiceConformance"]


class UndoServiceConformance(Execution, Reversal, Order, Failures):
    """Commands that can be undone and redone, with a history and effects of one database."""
