"""Which executor undoes which command."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from cqrs_ddd_advanced_core.domain.exceptions import (
    UndoExecutorNotFoundError,
    UndoExecutorRegistrationError,
)
from cqrs_ddd_advanced_core.undo._functions import FunctionExecutor, UndoFunction
from cqrs_ddd_advanced_core.undo._memento import MementoCodec
from cqrs_ddd_core.cqrs.message_registry import MessageRegistry

if TYPE_CHECKING:
    from cqrs_ddd_advanced_core.undo.executor import IUndoExecutor
    from cqrs_ddd_core.cqrs.command import Command

__all__ = ["UndoExecutorRegistry"]

F = TypeVar("F", bound=UndoFunction)


class UndoExecutorRegistry:
    """Maps command types to their executors, one for each.

    An executor is a class, or some functions, async or not. A function that needs no memento
    may leave it out:

    ```
    @undo_executors.undo(AddItemToOrder)
    def take_it_out(command: AddItemToOrder) -> RemoveItem: ...
    ```

    Args:
        messages: What stored commands are built with; the registry adds the commands it knows.
    """

    def __init__(self, messages: MessageRegistry | None = None) -> None:
        self._messages = messages or MessageRegistry()
        self._executors: dict[type[Any], IUndoExecutor[Any, Any]] = {}
        self._codecs: dict[type[Any], MementoCodec] = {}
        self._functions: dict[type[Any], FunctionExecutor] = {}

    @property
    def messages(self) -> MessageRegistry:
        """The closed list of commands that stored ones are built as."""
        return self._messages

    def register(self, executor: IUndoExecutor[Any, Any]) -> None:
        """Let an executor undo the commands of its type.

        Raises:
            UndoExecutorRegistrationError: Another one does already, or it does not say which
                commands it is for or what it remembers.
            MessageTypeRegistrationError: Another command has the same type name.
        """
        command_type = executor.command_type
        if self._functions.get(command_type, executor) is not executor:
            raise _taken(command_type)
        if self._executors.get(command_type, executor) is not executor:
            raise _taken(command_type)
        codec = MementoCodec(command_type, executor.memento_type)
        self._messages.register_command(command_type)
        self._executors[command_type] = executor
        self._codecs[command_type] = codec

    def get(self, command_type: type[Any]) -> IUndoExecutor[Any, Any]:
        """Return the executor of a command type.

        Raises:
            UndoExecutorNotFoundError: There is none.
        """
        if command_type not in self._executors:
            raise UndoExecutorNotFoundError(command_type)
        return self._executors[command_type]

    def has_executor(self, command_type: type[Any]) -> bool:
        """Whether commands of a type can be undone."""
        return command_type in self._executors

    def list_executors(self) -> Mapping[type[Command[Any]], IUndoExecutor[Any, Any]]:
        """Return all executors by command type."""
        return dict(self._executors)

    def clear(self) -> None:
        """Forget all executors."""
        self._executors.clear()
        self._codecs.clear()
        self._functions.clear()

    def memento_codec(self, command_type: type[Any]) -> MementoCodec:
        """Return what writes and reads the mementos of a command type.

        Raises:
            UndoExecutorNotFoundError: It has no executor.
        """
        self.get(command_type)
        return self._codecs[command_type]

    def undo(self, command_type: type[Command[Any]]) -> Callable[[F], F]:
        """Undo commands with the decorated function of (command, memento)."""
        return self._decorator(command_type, "undo")

    def redo(self, command_type: type[Command[Any]]) -> Callable[[F], F]:
        """Redo commands with the decorated function of (command, memento)."""
        return self._decorator(command_type, "redo")

    def before(self, command_type: type[Command[Any]]) -> Callable[[F], F]:
        """Remember what the decorated function of (command) returns before it is executed.

        The annotation of what it returns says in which type it comes back.
        """
        return self._decorator(command_type, "before")

    def after(self, command_type: type[Command[Any]]) -> Callable[[F], F]:
        """Remember what the decorated function of (command, result) returns afterwards.

        The annotation of what it returns says in which type it comes back.
        """
        return self._decorator(command_type, "after")

    def can_undo(self, command_type: type[Command[Any]]) -> Callable[[F], F]:
        """Ask the decorated function of (command, memento) for a decision or a bool."""
        return self._decorator(command_type, "can_undo")

    def compensate(self, command_type: type[Command[Any]]) -> Callable[[F], F]:
        """Make up for a failed undo with the decorated function of (command, error, memento)."""
        return self._decorator(command_type, "compensate")

    def _decorator(self, command_type: type[Command[Any]], hook: str) -> Callable[[F], F]:
        def decorate(function: F) -> F:
            executor = self._functions.get(command_type)
            if executor is None:
                if command_type in self._executors:
                    raise _taken(command_type)
                executor = self._functions[command_type] = FunctionExecutor(command_type)
            executor.add(hook, function)
            if executor.is_complete:
                self.register(executor)
            return function

        return decorate


def _taken(command_type: type[Any]) -> UndoExecutorRegistrationError:
    msg = f"{command_type.__name__} has an undo executor already: a command has one"
    return UndoExecutorRegistrationError(msg)
