"""Runs commands and their executors, inside of a unit of work."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid5

from pydantic_core import PydanticSerializationError

from cqrs_ddd_advanced_core.domain.exceptions import CommandNotExecutedError
from cqrs_ddd_advanced_core.undo.executor import ALLOWED, Executed, UndoDecision
from cqrs_ddd_core.cqrs.command import Command
from cqrs_ddd_core.primitives.exceptions import SerializationError
from cqrs_ddd_core.primitives.result import Result

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cqrs_ddd_advanced_core.ports.undo_history import UndoEntry
    from cqrs_ddd_advanced_core.undo.executor import Commands
    from cqrs_ddd_advanced_core.undo.registry import UndoExecutorRegistry
    from cqrs_ddd_core.cqrs.command import CommandResponse
    from cqrs_ddd_core.cqrs.mediator import Mediator

__all__ = ["Performer", "Record"]

_NO: Final = "its executor says that it cannot be undone"


@dataclass(frozen=True, slots=True)
class Record:
    """A command that was just executed, ready to be kept."""

    command: bytes
    memento: bytes | None
    response: CommandResponse[Any]


class Performer:
    """Executes, undoes, redoes and compensates single commands.

    Args:
        mediator: Sends the commands.
        executors: Say how.
    """

    def __init__(self, mediator: Mediator, executors: UndoExecutorRegistry) -> None:
        self._mediator = mediator
        self._executors = executors

    async def execute(self, command: Command[Any]) -> Record:
        """Send a command and remember what undoing it will need.

        Raises:
            CommandNotExecutedError: It failed without an error, or was handled before.
            SerializationError: It would not come back from JSON, or its memento.
        """
        executor = self._executors.get(type(command))
        data = self._dump(command)
        memento = await executor.before(command)
        response = await self._send(command)
        memento = await executor.after(command, response.result, memento)
        codec = self._executors.memento_codec(type(command))
        return Record(data, codec.dump(memento), response)

    async def can_undo(self, entry: UndoEntry) -> UndoDecision:
        """Ask the executor whether a command can be undone."""
        executed = self._restore(entry)
        decision = await self._executors.get(type(executed.command)).can_undo(executed)
        if decision:
            return ALLOWED
        reason = decision.reason if isinstance(decision, UndoDecision) else _NO
        return UndoDecision(allowed=False, reason=f"{entry.command_type} {entry.token}: {reason}")

    async def undo(self, entry: UndoEntry) -> None:
        """Undo a command."""
        executed = self._restore(entry)
        executor = self._executors.get(type(executed.command))
        await self._send_all(await executor.undo(executed), entry, "undo")

    async def redo(self, entry: UndoEntry) -> UndoEntry:
        """Redo a command and return its entry with what was executed and remembered now."""
        executed = self._restore(entry)
        command_type = type(executed.command)
        commands = await self._executors.get(command_type).redo(executed)
        listed = _identified(commands, entry, "redo")
        if len(listed) != 1 or type(listed[0]) is not command_type:
            await self._send_each(listed)
            return entry
        record = await self.execute(listed[0])
        return replace(
            entry,
            command_type=command_type.command_type,
            schema_version=command_type.schema_version,
            command=record.command,
            memento=record.memento,
        )

    async def compensate(self, entry: UndoEntry, error: Exception) -> None:
        """Make up for a command that could not be undone."""
        executed = self._restore(entry)
        executor = self._executors.get(type(executed.command))
        await self._send_all(await executor.compensate(executed, error), entry, "compensate")

    def has_compensation(self, entry: UndoEntry) -> bool:
        """Whether there is something to do when a command could not be undone."""
        return self._executors.get(type(self.command_of(entry))).has_compensation

    def command_of(self, entry: UndoEntry) -> Command[Any]:
        """Return the command of an entry.

        Raises:
            UnknownMessageTypeError: No executor knows its type.
            SerializationError: It does not fit its class any more.
        """
        return self._executors.messages.hydrate_command(
            entry.command_type, entry.command, schema_version=entry.schema_version
        )

    def _restore(self, entry: UndoEntry) -> Executed[Any, Any]:
        command = self.command_of(entry)
        codec = self._executors.memento_codec(type(command))
        return Executed(command, codec.load(entry.memento), entry)

    def _dump(self, command: Command[Any]) -> bytes:
        try:
            data = command.model_dump_json(round_trip=True, warnings="error").encode()
        except PydanticSerializationError as error:
            msg = f"{command.command_type} cannot be written as JSON: {error}"
            raise SerializationError(msg) from error
        # Better now than when somebody wants to undo it.
        if self._executors.messages.hydrate_command(command.command_type, data) != command:
            msg = (
                f"{command.command_type} comes back from JSON as another command: a field of it is "
                "excluded, private, or of a type that is written inexactly"
            )
            raise SerializationError(msg)
        return data

    async def _send_all(self, commands: Commands, entry: UndoEntry, verb: str) -> None:
        await self._send_each(_identified(commands, entry, verb))

    async def _send_each(self, commands: Iterable[Command[Any]]) -> None:
        for command in commands:
            await self._send(command)

    async def _send(self, command: Command[Any]) -> CommandResponse[Any]:
        response: CommandResponse[Any] = await self._mediator.send(command)
        if not response.success:
            result = response.result
            reason = result.error if isinstance(result, Result) else result
            raise CommandNotExecutedError(command.command_type, reason)
        if response.replayed:
            reason = f"{command.command_id} was handled before, and nothing is recorded of it"
            raise CommandNotExecutedError(command.command_type, reason)
        return response


def _identified(commands: Commands, entry: UndoEntry, verb: str) -> list[Command[Any]]:
    """Give commands ids that are the same for each try of one undo, and for no other."""
    if commands is None:
        return []
    listed = [commands] if isinstance(commands, Command) else list(commands)
    return [
        command.model_copy(
            update={"command_id": uuid5(entry.token, f"{verb}:{entry.revision}:{number}")}
        )
        for number, command in enumerate(listed)
    ]
