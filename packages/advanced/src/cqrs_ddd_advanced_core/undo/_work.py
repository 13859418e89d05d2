"""What the service sends through the mediator, so that history and effects share one commit."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

from pydantic import PrivateAttr

from cqrs_ddd_core.cqrs.batching import CommandBatch
from cqrs_ddd_core.cqrs.command import Command, CommandResponse

if TYPE_CHECKING:
    from cqrs_ddd_core.cqrs.mediator import Mediator

__all__ = [
    "CompensateUndo",
    "DiscardUndo",
    "ExecuteUndoable",
    "RedoCommands",
    "UndoCommands",
    "UndoWork",
    "register_work",
    "send_work",
]

T = TypeVar("T")


class UndoWork(CommandBatch):
    """Does some work in one unit of work, around commands that are sent in it.

    Being a batch, it locks what its commands lock, and leaves marking ids to them. The work is
    run again when a middleware retries it, so it begins anew each time.
    """

    _perform: Callable[[], Awaitable[Any]] = PrivateAttr()

    @classmethod
    def around(
        cls,
        commands: Sequence[Command[Any]],
        perform: Callable[[], Awaitable[Any]],
        correlation_id: str | None,
    ) -> Self:
        """Return work that sends commands."""
        work = cls(size=len(commands), correlation_id=correlation_id)
        work._commands = tuple(commands)
        work._perform = perform
        return work

    async def perform(self) -> CommandResponse[Any]:
        """Do the work and return its result as the response to this command."""
        return CommandResponse(await self._perform())


class ExecuteUndoable(UndoWork):
    """Executes a command and records it."""

    command_type: ClassVar[str] = "undo.Execute"


class UndoCommands(UndoWork):
    """Undoes commands."""

    command_type: ClassVar[str] = "undo.Undo"


class RedoCommands(UndoWork):
    """Redoes commands."""

    command_type: ClassVar[str] = "undo.Redo"


class CompensateUndo(UndoWork):
    """Makes up for a command that could not be undone."""

    command_type: ClassVar[str] = "undo.Compensate"


class DiscardUndo(UndoWork):
    """Takes commands out of what can be undone."""

    command_type: ClassVar[str] = "undo.Discard"


async def _perform(work: UndoWork) -> CommandResponse[Any]:
    return await work.perform()


def register_work(mediator: Mediator) -> None:
    """Let a mediator handle what is sent here; once or several times."""
    for kind in (ExecuteUndoable, UndoCommands, RedoCommands, CompensateUndo, DiscardUndo):
        mediator.registry.register_command_handler(kind, _perform)


async def send_work(
    mediator: Mediator,
    kind: type[UndoWork],
    commands: Sequence[Command[Any]],
    perform: Callable[[], Awaitable[T]],
    *,
    correlation_id: str | None = None,
) -> CommandResponse[T]:
    """Do some work in one unit of work and return its result, after the commit.

    Args:
        mediator: Sends it.
        kind: What it is called in logs and metrics.
        commands: What it locks the resources of.
        perform: The work.
        correlation_id: The request it belongs to; taken from the context when not given.
    """
    return await mediator.send(kind.around(commands, perform, correlation_id))
