"""Commands that can be undone and redone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from cqrs_ddd_advanced_core.domain.exceptions import UnknownUndoTokenError
from cqrs_ddd_advanced_core.ports.undo_history import UndoEntry
from cqrs_ddd_advanced_core.undo._performer import Performer
from cqrs_ddd_advanced_core.undo._reversal import Reversal
from cqrs_ddd_advanced_core.undo._stack import UndoStack, UndoUnit
from cqrs_ddd_advanced_core.undo._work import ExecuteUndoable, register_work, send_work
from cqrs_ddd_advanced_core.undo.executor import UndoDecision
from cqrs_ddd_advanced_core.undo.order import OrderOf, UndoOrder
from cqrs_ddd_advanced_core.undo.outcome import UndoableResponse, UndoOutcome
from cqrs_ddd_core.correlation import get_context
from cqrs_ddd_core.primitives.clock import IClock, SystemClock

if TYPE_CHECKING:
    from uuid import UUID

    from cqrs_ddd_advanced_core.ports.undo_history import IUndoHistory
    from cqrs_ddd_advanced_core.undo.registry import UndoExecutorRegistry
    from cqrs_ddd_core.cqrs.command import Command, CommandResponse
    from cqrs_ddd_core.cqrs.mediator import Mediator
    from cqrs_ddd_core.ports.event_store import StreamId

__all__ = ["UndoService"]

R = TypeVar("R")


class UndoService:
    """Executes commands so that they can be undone and redone, also later and by others.

    Guarantees:

    - The history entry commits with the effects of its command, or vanishes with them (G1), and
      so does its change with the effects of undoing or redoing.
    - A command id is executed once: its token is the id of the command, and a repeat of
      ``execute`` returns the token without executing anything.
    - Undoing twice has one effect, also at the same moment and from two processes: the second
      call waits for the first, changes nothing and returns the same entries, ``replayed``. So
      does redoing.
    - Commands that undo or redo have ids made of token and revision: the same for each try.

    A scope is what is undone in order, such as the work of a user or the commands on a stream;
    the commands of one scope wait for each other. Where no scope is named, it is the user of the
    current context.

    Everything is sent through the mediator as one command, so that a retry middleware tries all
    of it again. Inside another unit of work everything joins that one.

    Args:
        mediator: Sends the commands; its units of work are of the database of the history.
        history: Keeps what was executed.
        executors: Say how commands are undone.
        order: In which order the commands of a scope are undone, or a function of the scope.
        clock: Tells when.
    """

    def __init__(
        self,
        mediator: Mediator,
        history: IUndoHistory,
        executors: UndoExecutorRegistry,
        *,
        order: UndoOrder | OrderOf = UndoOrder.LAST_FIRST,
        clock: IClock | None = None,
    ) -> None:
        register_work(mediator)
        self._mediator = mediator
        self._history = history
        self._executors = executors
        self._clock = clock or SystemClock()
        order_of = (lambda _scope: order) if isinstance(order, UndoOrder) else order
        self._stack = UndoStack(history, order_of)
        self._performer = Performer(mediator, executors)
        self._reversal = Reversal(mediator, history, self._stack, self._performer, self._clock)

    async def execute(
        self,
        command: Command[Any],
        *,
        scope: str | StreamId | None = None,
        group: UUID | None = None,
    ) -> UUID:
        """Execute a command and return the token it is undone with; see ``send``."""
        return (await self.send(command, scope=scope, group=group)).token

    async def send(
        self,
        command: Command[R],
        *,
        scope: str | StreamId | None = None,
        group: UUID | None = None,
    ) -> UndoableResponse[R]:
        """Execute a command and return its response, and the token it is undone with.

        What was undone in the scope before can then no longer be redone, unless the scope is
        undone in any order.

        Args:
            command: The command; a repeat with the same ``command_id`` does nothing.
            scope: What it is undone in the order of; the user of the context when not given.
            group: Commands of one scope and group are undone and redone together.

        Raises:
            UndoExecutorNotFoundError: Nobody has said how it is undone; it was not executed.
            CommandNotExecutedError: It returned a failed result, or was handled before without
                a history entry; nothing was changed.
            UndoGroupClosedError: Another command was executed after those of the group.
            SerializationError: It, or what is remembered of it, has no exact JSON form.
            Exception: Whatever sending it raised; nothing was changed, no entry was made.
        """
        self._executors.get(type(command))
        outer = await send_work(
            self._mediator,
            ExecuteUndoable,
            [command],
            partial(self._execute, command, _name(scope), group),
            correlation_id=command.correlation_id,
        )
        response = outer.result
        if response is not None:
            response.events = outer.events or response.events
            response.position = outer.position
        return UndoableResponse(command.command_id, response)

    async def undo(self, token: UUID) -> UndoOutcome:
        """Undo a command, and the others of its group, the last one first; all of them or none.

        Raises:
            UnknownUndoTokenError: There is no such command.
            UndoNotAllowedError: It cannot be undone now, and why.
            UndoFailedError: Undoing it raised an error. All was rolled back, the failure was
                recorded and compensated, if its executor knows how; undo it again to retry.
            ConcurrencyError: Somebody else was faster; nothing was changed.
        """
        return await self._reversal.undo(partial(self._stack.find, token))

    async def undo_group(self, group: UUID, *, scope: str | StreamId | None = None) -> UndoOutcome:
        """Undo all commands of a group; as ``undo`` of any of them."""
        return await self._reversal.undo(partial(self._stack.find_group, _name(scope), group))

    async def undo_last(self, scope: str | StreamId | None = None) -> UndoOutcome:
        """Undo the last command of a scope that is in effect; no entries when there is none."""
        return await self._reversal.undo(partial(self._stack.find_last, _name(scope)))

    async def redo(self, token: UUID) -> UndoOutcome:
        """Redo a command, and the others of its group, the first one first; all of them or none.

        Raises:
            UnknownUndoTokenError: There is no such command.
            UndoNotAllowedError: It cannot be redone now, and why.
            Exception: Whatever redoing it raised; it stays undone.
        """
        return await self._reversal.redo(partial(self._stack.find, token))

    async def redo_group(self, group: UUID, *, scope: str | StreamId | None = None) -> UndoOutcome:
        """Redo all commands of a group; as ``redo`` of any of them."""
        return await self._reversal.redo(partial(self._stack.find_group, _name(scope), group))

    async def redo_last(self, scope: str | StreamId | None = None) -> UndoOutcome:
        """Redo the first command of a scope that is undone; no entries when there is none."""
        return await self._reversal.redo(partial(self._stack.find_next, _name(scope)))

    async def can_undo(self, token: UUID) -> UndoDecision:
        """Whether a command can be undone now, and if not, why.

        Of a group, the executor of the last command is asked; the others are when it is their
        turn, because they may depend on it.
        """
        return await self._decide(token, self._reversal.may_undo)

    async def can_redo(self, token: UUID) -> UndoDecision:
        """Whether a command can be redone now, and if not, why."""
        return await self._decide(token, self._reversal.may_redo)

    async def discard(self, token: UUID, reason: str) -> UndoOutcome:
        """Give up undoing or redoing a command and its group, so that it stands in nobody's way.

        Raises:
            UnknownUndoTokenError: There is no such command.
        """
        return await self._reversal.discard(partial(self._stack.find, token), reason)

    async def history(
        self, scope: str | StreamId | None = None, *, after: int | None = None, limit: int = 100
    ) -> list[UndoEntry]:
        """Return the commands of a scope, the last one first.

        Args:
            scope: Whose; the user of the context when not given.
            after: Go on behind the entry with this sequence, when given.
            limit: How many at most.
        """
        return await self._history.find(_name(scope), after=after, limit=limit)

    async def _decide(
        self, token: UUID, decide: Callable[[UndoUnit], Awaitable[UndoDecision]]
    ) -> UndoDecision:
        try:
            unit = await self._stack.find(token)
        except UnknownUndoTokenError as error:
            return UndoDecision(allowed=False, reason=str(error))
        return await decide(unit)

    async def _execute(
        self, command: Command[R], scope: str, group: UUID | None
    ) -> CommandResponse[R] | None:
        await self._history.lock(scope)
        if await self._history.get(command.command_id) is not None:
            return None
        if group is not None:
            await self._stack.require_open(scope, group)
        record = await self._performer.execute(command)
        context, now = get_context(), self._clock.now()
        if self._stack.is_ordered(scope):
            reason = f"{command.command_type} {command.command_id} was executed afterwards"
            await self._history.discard_undone(scope, reason, now)
        entry = UndoEntry(
            command.command_id,
            scope,
            command.command_type,
            record.command,
            created_at=now,
            updated_at=now,
            schema_version=command.schema_version,
            memento=record.memento,
            group_id=group,
            user_id=context.user_id,
            correlation_id=context.correlation_id,
        )
        await self._history.add(entry)
        return record.response


def _name(scope: str | StreamId | None) -> str:
    return get_context().user_id or "" if scope is None else str(scope)
