"""An executor made of decorated functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from inspect import Parameter, isawaitable, signature
from typing import Any, Final, TypeAlias, get_type_hints

from cqrs_ddd_advanced_core.domain.exceptions import UndoExecutorRegistrationError
from cqrs_ddd_advanced_core.undo.executor import Commands, Executed, IUndoExecutor, UndoDecision
from cqrs_ddd_core.cqrs.command import Command

__all__ = ["FunctionExecutor", "UndoFunction"]

#: A function, async or not, in the place of a method of ``IUndoExecutor``.
UndoFunction: TypeAlias = Callable[..., Any]

_REMEMBERING: Final = ("before", "after")
#: What a function is called with; it may take less, from the end.
_ARGUMENTS: Final = {
    "before": ("command",),
    "after": ("command", "result"),
    "can_undo": ("command", "memento"),
    "undo": ("command", "memento"),
    "redo": ("command", "memento"),
    "compensate": ("command", "error", "memento"),
}

_POSITIONAL: Final = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)


class FunctionExecutor(IUndoExecutor[Any, Any]):
    """Calls functions where a class would have methods.

    Args:
        command_type: The commands it is for.
    """

    def __init__(self, command_type: type[Command[Any]]) -> None:
        self._command_type = command_type
        self._functions: dict[str, UndoFunction] = {}
        self._memento_type: Any = None

    @property
    def command_type(self) -> type[Command[Any]]:
        return self._command_type

    @property
    def memento_type(self) -> Any:
        return self._memento_type

    @property
    def has_compensation(self) -> bool:
        return "compensate" in self._functions

    @property
    def is_complete(self) -> bool:
        """Whether there is a function that undoes."""
        return "undo" in self._functions

    def add(self, hook: str, function: UndoFunction) -> None:
        """Call a function for a hook.

        Raises:
            UndoExecutorRegistrationError: There is one, or it does not say what it remembers.
        """
        if hook in self._functions:
            msg = f"{self._name} has a function for {hook!r} already"
            raise UndoExecutorRegistrationError(msg)
        if hook in _REMEMBERING:
            self._remember_with(function)
        self._functions[hook] = _truncated(function, _ARGUMENTS[hook])

    def _remember_with(self, function: UndoFunction) -> None:
        if any(hook in self._functions for hook in _REMEMBERING):
            msg = (
                f"what is remembered of {self._name} comes from before or after, not from both: "
                "write a class with IUndoExecutor for that"
            )
            raise UndoExecutorRegistrationError(msg)
        self._memento_type = self._returned_type(function)

    def _returned_type(self, function: UndoFunction) -> Any:
        try:
            hints = get_type_hints(function, include_extras=True)
        except (NameError, TypeError):
            hints = {}
        if "return" not in hints:
            msg = (
                f"cannot tell what {function!r} remembers of {self._name}: annotate what it "
                "returns, with a type that can be found from its module"
            )
            raise UndoExecutorRegistrationError(msg)
        return hints["return"]

    @property
    def _name(self) -> str:
        return self._command_type.__name__

    async def before(self, command: Command[Any]) -> Any:
        return await self._call("before", command)

    async def after(self, command: Command[Any], result: Any, memento: Any) -> Any:
        if "after" not in self._functions:
            return memento
        return await self._call("after", command, result)

    async def can_undo(self, executed: Executed[Any, Any]) -> UndoDecision | bool:
        if "can_undo" not in self._functions:
            return True
        decision: UndoDecision | bool = await self._call(
            "can_undo", executed.command, executed.memento
        )
        return decision

    async def undo(self, executed: Executed[Any, Any]) -> Commands:
        commands: Commands = await self._call("undo", executed.command, executed.memento)
        return commands

    async def redo(self, executed: Executed[Any, Any]) -> Commands:
        if "redo" not in self._functions:
            return await super().redo(executed)
        commands: Commands = await self._call("redo", executed.command, executed.memento)
        return commands

    async def compensate(self, executed: Executed[Any, Any], error: Exception) -> Commands:
        commands: Commands = await self._call(
            "compensate", executed.command, error, executed.memento
        )
        return commands

    async def _call(self, hook: str, *arguments: Any) -> Any:
        function = self._functions.get(hook)
        if function is None:
            return None
        returned = function(*arguments)
        return await returned if isawaitable(returned) else returned


def _truncated(function: UndoFunction, names: Sequence[str]) -> UndoFunction:
    """Return a function that takes all arguments and hands on as many as the given one takes."""
    parameters = signature(function).parameters.values()
    if any(one.kind is Parameter.VAR_POSITIONAL for one in parameters):
        return function
    taken = [one for one in parameters if one.kind in _POSITIONAL]
    required = [one for one in taken if one.default is Parameter.empty]
    if not taken or len(required) > len(names):
        msg = f"{function!r} has to take ({', '.join(names)}), or less from the end"
        raise UndoExecutorRegistrationError(msg)
    count = min(len(taken), len(names))
    return lambda *arguments: function(*arguments[:count])
