"""Commands that can be undone and redone, with a history that survives the process."""

from __future__ import annotations

from cqrs_ddd_advanced_core.undo.executor import ALLOWED, Executed, IUndoExecutor, UndoDecision
from cqrs_ddd_advanced_core.undo.order import UndoOrder
from cqrs_ddd_advanced_core.undo.outcome import UndoableResponse, UndoOutcome
from cqrs_ddd_advanced_core.undo.registry import UndoExecutorRegistry
from cqrs_ddd_advanced_core.undo.service import UndoService

__all__ = [
    "ALLOWED",
    "Executed",
    "IUndoExecutor",
    "UndoDecision",
    "UndoExecutorRegistry",
    "UndoOrder",
    "UndoOutcome",
    "UndoService",
    "UndoableResponse",
]
