"""What happens to a command that could not be undone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final

from cqrs_ddd_advanced_core.ports.undo_history import UndoEntry, UndoStatus
from cqrs_ddd_advanced_core.undo._work import CompensateUndo, send_work
from cqrs_ddd_core.primitives.exceptions import (
    CommitOutcomeUnknownError,
    ConcurrencyError,
    OptimisticConcurrencyError,
    TransientPersistenceError,
)

if TYPE_CHECKING:
    from cqrs_ddd_advanced_core.ports.undo_history import IUndoHistory
    from cqrs_ddd_advanced_core.undo._performer import Performer
    from cqrs_ddd_core.cqrs.mediator import Mediator
    from cqrs_ddd_core.primitives.clock import IClock

__all__ = ["PASSING", "Attempt", "FailedUndo"]

#: Errors that say nothing against undoing the command: trying again may succeed, or it has.
PASSING: Final = (ConcurrencyError, TransientPersistenceError, CommitOutcomeUnknownError)


@dataclass(slots=True)
class Attempt:
    """Which command was being undone when an error came up; ``None`` before the first one."""

    entry: UndoEntry | None = None


class FailedUndo:
    """Records that a command could not be undone, and compensates it.

    Args:
        mediator: Runs the compensation in a unit of work of its own.
        history: Where it is recorded.
        performer: Runs executors.
        clock: Tells when.
    """

    def __init__(
        self, mediator: Mediator, history: IUndoHistory, performer: Performer, clock: IClock
    ) -> None:
        self._mediator = mediator
        self._history = history
        self._performer = performer
        self._clock = clock

    async def settle(self, entry: UndoEntry, error: Exception) -> UndoEntry:
        """Record the failure, compensate it if somebody knows how, and return the entry.

        Raises:
            OptimisticConcurrencyError: Somebody else has changed the entry meanwhile.
        """
        failed = await self._record(entry, UndoStatus.UNDO_FAILED, _text(error))
        if not self._performer.has_compensation(failed):
            return failed
        work = partial(self._compensate, failed, error)
        commands = [self._performer.command_of(failed)]
        try:
            return (await send_work(self._mediator, CompensateUndo, commands, work)).result
        except Exception as second:  # noqa: BLE001 - it is recorded, and so is the first one
            return await self._record_second(failed, second)

    async def _compensate(self, failed: UndoEntry, error: Exception) -> UndoEntry:
        await self._history.lock(failed.scope)
        compensated = await self._record(failed, UndoStatus.COMPENSATED, failed.error)
        await self._performer.compensate(failed, error)
        return compensated

    async def _record_second(self, failed: UndoEntry, error: Exception) -> UndoEntry:
        text = f"{failed.error}; its compensation failed with {_text(error)}"
        try:
            return await self._record(failed, UndoStatus.COMPENSATION_FAILED, text)
        except OptimisticConcurrencyError:
            # The compensation was committed although its answer got lost.
            return await self._history.get(failed.token) or failed

    async def _record(self, entry: UndoEntry, status: UndoStatus, text: str | None) -> UndoEntry:
        now = self._clock.now()
        return await self._history.update(replace(entry, status=status, error=text, updated_at=now))


def _text(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
