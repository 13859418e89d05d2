"""Undoing and redoing: what is found, locked, decided and changed in one unit of work."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from cqrs_ddd_advanced_core.domain.exceptions import UndoFailedError, UndoNotAllowedError
from cqrs_ddd_advanced_core.ports.undo_history import UndoEntry, UndoStatus
from cqrs_ddd_advanced_core.undo._failures import PASSING, Attempt, FailedUndo
from cqrs_ddd_advanced_core.undo._stack import UndoUnit
from cqrs_ddd_advanced_core.undo._work import (
    DiscardUndo,
    RedoCommands,
    UndoCommands,
    UndoWork,
    send_work,
)
from cqrs_ddd_advanced_core.undo.executor import ALLOWED, UndoDecision
from cqrs_ddd_advanced_core.undo.outcome import UndoOutcome
from cqrs_ddd_core.ports.unit_of_work_scope import current_scope

if TYPE_CHECKING:
    from cqrs_ddd_advanced_core.ports.undo_history import IUndoHistory
    from cqrs_ddd_advanced_core.undo._performer import Performer
    from cqrs_ddd_advanced_core.undo._stack import UndoStack
    from cqrs_ddd_core.cqrs.command import Command
    from cqrs_ddd_core.cqrs.mediator import Mediator
    from cqrs_ddd_core.primitives.clock import IClock

__all__ = ["Find", "Reversal"]

#: Finds what to change; asked once to know the scope, and again when that is locked.
Find: TypeAlias = Callable[[], Awaitable[UndoUnit]]
_Change: TypeAlias = Callable[[UndoUnit], Awaitable[UndoOutcome]]


class Reversal:
    """Undoes, redoes and discards units, each in a unit of work of its own.

    Args:
        mediator: Runs the units of work.
        history: Where the entries are.
        stack: Knows the order.
        performer: Runs executors.
        clock: Tells when.
    """

    def __init__(
        self,
        mediator: Mediator,
        history: IUndoHistory,
        stack: UndoStack,
        performer: Performer,
        clock: IClock,
    ) -> None:
        self._mediator = mediator
        self._history = history
        self._stack = stack
        self._performer = performer
        self._clock = clock
        self._failed = FailedUndo(mediator, history, performer, clock)

    async def undo(self, find: Find) -> UndoOutcome:
        """Undo what is found; when that fails, settle the failure.

        Raises:
            UndoNotAllowedError: It cannot be undone now.
            UndoFailedError: Undoing raised an error.
        """
        attempt = Attempt()
        try:
            return await self._change(UndoCommands, find, partial(self._undo_unit, attempt))
        except Exception as error:
            if attempt.entry is None or isinstance(error, PASSING) or current_scope() is not None:
                raise
            failed = await self._failed.settle(attempt.entry, error)
            raise UndoFailedError(failed.token, failed.status.value, failed.error) from error

    async def redo(self, find: Find) -> UndoOutcome:
        """Redo what is found.

        Raises:
            UndoNotAllowedError: It cannot be redone now.
        """
        return await self._change(RedoCommands, find, self._redo_unit)

    async def discard(self, find: Find, reason: str) -> UndoOutcome:
        """Discard what is found."""
        return await self._change(DiscardUndo, find, partial(self._discard_unit, reason))

    async def may_undo(self, unit: UndoUnit) -> UndoDecision:
        """Decide whether a unit can be undone, by its order and the executor of its last command.

        The others cannot be asked before the last one is undone.
        """
        decision = _decide(await self._stack.why_not_undo(unit))
        return await self._performer.can_undo(unit.in_effect[0]) if decision else decision

    async def may_redo(self, unit: UndoUnit) -> UndoDecision:
        """Decide whether a unit can be redone, by its order."""
        return _decide(await self._stack.why_not_redo(unit))

    async def _change(self, kind: type[UndoWork], find: Find, change: _Change) -> UndoOutcome:
        unit = await find()
        commands = [] if kind is DiscardUndo else self._commands_of(unit)
        work = partial(self._change_in_scope, unit.scope, find, change)
        return (await send_work(self._mediator, kind, commands, work)).result

    def _commands_of(self, unit: UndoUnit) -> list[Command[Any]]:
        """Return the commands whose locks are taken: what undoes them mostly needs the same."""
        return [self._performer.command_of(entry) for entry in unit.entries]

    async def _change_in_scope(self, scope: str, find: Find, change: _Change) -> UndoOutcome:
        await self._history.lock(scope)
        unit = await find()
        return await change(unit) if unit.entries else UndoOutcome(())

    async def _undo_unit(self, attempt: Attempt, unit: UndoUnit) -> UndoOutcome:
        if unit.undone and not unit.in_effect:
            return UndoOutcome(tuple(reversed(unit.undone)), replayed=True)
        _require(_decide(await self._stack.why_not_undo(unit)), unit.entries[-1])
        undone = []
        for entry in unit.in_effect:
            attempt.entry = None
            _require(await self._performer.can_undo(entry), entry)
            attempt.entry = entry
            undone.append(await self._mark(entry, UndoStatus.UNDONE))
            await self._performer.undo(entry)
        return UndoOutcome(tuple(undone))

    async def _redo_unit(self, unit: UndoUnit) -> UndoOutcome:
        if unit.in_effect and not unit.undone:
            return UndoOutcome(tuple(reversed(unit.in_effect)), replayed=True)
        _require(await self.may_redo(unit), unit.entries[0])
        redone = [
            await self._mark(await self._performer.redo(entry), UndoStatus.DONE)
            for entry in unit.undone
        ]
        return UndoOutcome(tuple(redone))

    async def _discard_unit(self, reason: str, unit: UndoUnit) -> UndoOutcome:
        open_entries = [*unit.in_effect, *unit.undone]
        discarded = [
            await self._mark(entry, UndoStatus.DISCARDED, reason) for entry in open_entries
        ]
        return UndoOutcome(tuple(discarded), replayed=not discarded)

    async def _mark(
        self, entry: UndoEntry, status: UndoStatus, reason: str | None = None
    ) -> UndoEntry:
        now = self._clock.now()
        return await self._history.update(
            replace(entry, status=status, error=reason, updated_at=now)
        )


def _decide(objection: str | None) -> UndoDecision:
    return ALLOWED if objection is None else UndoDecision(allowed=False, reason=objection)


def _require(decision: UndoDecision, entry: UndoEntry) -> None:
    if not decision:
        raise UndoNotAllowedError(entry.token, decision.reason)
