"""What is undone together, and in which order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cqrs_ddd_advanced_core.domain.exceptions import UndoGroupClosedError, UnknownUndoTokenError
from cqrs_ddd_advanced_core.ports.undo_history import IN_EFFECT, UndoEntry, UndoStatus
from cqrs_ddd_advanced_core.undo.order import OrderOf, UndoOrder

if TYPE_CHECKING:
    from uuid import UUID

    from cqrs_ddd_advanced_core.ports.undo_history import IUndoHistory

__all__ = ["UndoStack", "UndoUnit"]


@dataclass(frozen=True, slots=True)
class UndoUnit:
    """A command, or a group of commands, that is undone and redone as one.

    Attributes:
        scope: The scope they belong to.
        entries: In the order they were executed; none where there is nothing to do.
    """

    scope: str
    entries: tuple[UndoEntry, ...] = ()

    @property
    def in_effect(self) -> list[UndoEntry]:
        """What there is to undo, the last one first."""
        return [entry for entry in reversed(self.entries) if entry.is_in_effect]

    @property
    def undone(self) -> list[UndoEntry]:
        """What there is to redo, the first one first."""
        return [entry for entry in self.entries if entry.status is UndoStatus.UNDONE]

    def has(self, entry: UndoEntry) -> bool:
        """Whether an entry is one of them."""
        return any(one.token == entry.token for one in self.entries)


class UndoStack:
    """Finds what is undone together in a history, and what has to be undone first.

    Args:
        history: Where the entries are.
        order_of: Says in which order the commands of a scope are undone.
    """

    def __init__(self, history: IUndoHistory, order_of: OrderOf) -> None:
        self._history = history
        self._order_of = order_of

    def is_ordered(self, scope: str) -> bool:
        """Whether the last command of a scope is undone first."""
        return self._order_of(scope) is UndoOrder.LAST_FIRST

    async def find(self, token: UUID) -> UndoUnit:
        """Return what is undone together with the command of a token.

        Raises:
            UnknownUndoTokenError: There is no such command.
        """
        entry = await self._history.get(token)
        if entry is None:
            raise UnknownUndoTokenError(token)
        return await self._unit(entry)

    async def find_group(self, scope: str, group_id: UUID) -> UndoUnit:
        """Return the commands of a group.

        Raises:
            UnknownUndoTokenError: There are none.
        """
        entries = await self._history.get_group(scope, group_id)
        if not entries:
            raise UnknownUndoTokenError(group_id)
        return UndoUnit(scope, tuple(entries))

    async def find_last(self, scope: str) -> UndoUnit:
        """Return what is to be undone next; nothing when nothing is in effect."""
        newest = await self._newest_in_effect(scope)
        return UndoUnit(scope) if newest is None else await self._unit(newest)

    async def find_next(self, scope: str) -> UndoUnit:
        """Return what is to be redone next; nothing when nothing is undone."""
        first = await self._oldest_undone(scope)
        return UndoUnit(scope) if first is None else await self._unit(first)

    async def why_not_undo(self, unit: UndoUnit) -> str | None:
        """Return why it cannot be undone, as far as the history tells; ``None`` when it can."""
        if not unit.in_effect:
            return _what_became_of(unit.entries[-1])
        newest = await self._newest_in_effect(unit.scope) if self.is_ordered(unit.scope) else None
        if newest is None or unit.has(newest):
            return None
        return f"{newest.command_type} {newest.token} was executed later and has to be undone first"

    async def why_not_redo(self, unit: UndoUnit) -> str | None:
        """Return why it cannot be redone; ``None`` when it can."""
        if not unit.undone:
            return _what_became_of(unit.entries[0])
        first = await self._oldest_undone(unit.scope) if self.is_ordered(unit.scope) else None
        if first is None or unit.has(first):
            return None
        return f"{first.command_type} {first.token} was undone later and has to be redone first"

    async def require_open(self, scope: str, group_id: UUID) -> None:
        """Refuse a command that would not stand beside the others of its group.

        Raises:
            UndoGroupClosedError: Another command was executed after them.
        """
        if not self.is_ordered(scope):
            return
        entries = await self._history.get_group(scope, group_id)
        newest = await self._newest_in_effect(scope)
        if any(one.is_in_effect for one in entries) and newest not in entries:
            raise UndoGroupClosedError(group_id, scope)

    async def _unit(self, entry: UndoEntry) -> UndoUnit:
        if entry.group_id is None:
            return UndoUnit(entry.scope, (entry,))
        return await self.find_group(entry.scope, entry.group_id)

    async def _newest_in_effect(self, scope: str) -> UndoEntry | None:
        found = await self._history.find(scope, statuses=IN_EFFECT, limit=1)
        return found[0] if found else None

    async def _oldest_undone(self, scope: str) -> UndoEntry | None:
        undone = (UndoStatus.UNDONE,)
        found = await self._history.find(scope, statuses=undone, newest_first=False, limit=1)
        return found[0] if found else None


def _what_became_of(entry: UndoEntry) -> str:
    why = f": {entry.error}" if entry.error else ""
    return f"{entry.command_type} {entry.token} is {entry.status.value}{why}"
