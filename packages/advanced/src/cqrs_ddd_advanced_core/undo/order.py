"""In which order commands are undone."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import TypeAlias

__all__ = ["OrderOf", "UndoOrder"]


class UndoOrder(StrEnum):
    """In which order the commands of a scope are undone."""

    #: The last one first, as in an editor; a new command ends what could be redone.
    LAST_FIRST = "last_first"
    #: Any, for commands that do not build on each other.
    ANY = "any"


#: Says in which order the commands of a scope are undone.
OrderOf: TypeAlias = Callable[[str], UndoOrder]
