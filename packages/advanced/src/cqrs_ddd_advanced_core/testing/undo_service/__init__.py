"""What commands that can be undone must do on every database."""

from cqrs_ddd_advanced_core.testing.undo_service._conformance import UndoServiceConformance
from cqrs_ddd_advanced_core.testing.undo_service._suite import Basket, UndoServiceSubject

__all__ = ["Basket", "UndoServiceConformance", "UndoServiceSubject"]
