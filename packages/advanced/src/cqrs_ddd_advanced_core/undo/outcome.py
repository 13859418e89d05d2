"""What the undo service returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from uuid import UUID

    from cqrs_ddd_advanced_core.ports.undo_history import UndoEntry
    from cqrs_ddd_core.cqrs.command import CommandResponse

__all__ = ["UndoOutcome", "UndoableResponse"]

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class UndoableResponse(Generic[R]):
    """What a command brought about, and how to name it when it is undone.

    Attributes:
        token: The id of the command.
        response: The response to the command; ``None`` when it was executed before.
    """

    token: UUID
    response: CommandResponse[R] | None


@dataclass(frozen=True, slots=True)
class UndoOutcome:
    """What undoing or redoing has changed.

    Attributes:
        entries: The commands, in the order they were undone or redone.
        replayed: Whether that had happened before, so that this call changed nothing.
    """

    entries: tuple[UndoEntry, ...]
    replayed: bool = False
