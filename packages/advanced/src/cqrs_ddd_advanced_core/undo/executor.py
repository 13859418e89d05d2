"""Executors: how commands of one type are undone."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import (
    TYPE_CHECKING,
    Any,
    Final,
    Generic,
    Protocol,
    TypeAlias,
    cast,
    get_args,
    get_origin,
)

from typing_extensions import TypeVar

from cqrs_ddd_advanced_core.domain.exceptions import UndoExecutorRegistrationError
from cqrs_ddd_core.cqrs.command import Command

if TYPE_CHECKING:
    from cqrs_ddd_advanced_core.ports.undo_history import UndoEntry

__all__ = ["ALLOWED", "Commands", "Executed", "IUndoExecutor", "UndoDecision"]

C = TypeVar("C", bound=Command[Any])
M = TypeVar("M", default=None)

#: What an executor returns: one command, several in their order, or ``None`` when there is
#: nothing to send, for instance because it has done the work itself.
Commands: TypeAlias = Command[Any] | Sequence[Command[Any]] | None


@dataclass(frozen=True, slots=True)
class UndoDecision:
    """Whether a command can be undone or redone now, and if not, why."""

    allowed: bool
    reason: str = ""

    def __bool__(self) -> bool:
        return self.allowed


#: Nothing stands against it.
ALLOWED: Final = UndoDecision(allowed=True)


@dataclass(frozen=True, slots=True)
class Executed(Generic[C, M]):
    """A command that was executed, as its executor sees it.

    Attributes:
        command: The command as it was last executed.
        memento: What the executor remembered then.
        entry: Who executed it, when, in which scope and group.
    """

    command: C
    memento: M
    entry: UndoEntry


class IUndoExecutor(Protocol[C, M]):
    """Says how commands of type ``C`` are undone; ``M`` is what it remembers for that.

    ``class RemoveAgain(IUndoExecutor[AddItemToOrder])`` remembers nothing,
    ``class PriceBack(IUndoExecutor[ChangePrice, Decimal])`` a price. Mementos are kept as JSON
    and come back in the declared type.

    All hooks run in the unit of work of what they are part of, so that whatever they write
    commits with it or vanishes; commands they return are sent in it.
    """

    @property
    def command_type(self) -> type[C]:
        """The commands it is for.

        Raises:
            UndoExecutorRegistrationError: The class does not say.
        """
        found = _argument(type(self), 0)
        if not (isinstance(found, type) and issubclass(found, Command)):
            name = type(self).__name__
            msg = f"{name} does not say what it undoes: class {name}(IUndoExecutor[TheCommand])"
            raise UndoExecutorRegistrationError(msg)
        return cast("type[C]", found)

    @property
    def memento_type(self) -> Any:
        """What it remembers; ``None`` for nothing."""
        return _argument(type(self), 1)

    @property
    def has_compensation(self) -> bool:
        """Whether there is something to do when undoing failed."""
        return type(self).compensate is not IUndoExecutor.compensate

    async def before(self, command: C) -> M | None:  # noqa: ARG002 - for those who override it
        """Return what to remember, before the command is executed; nothing here."""
        return None

    async def after(
        self,
        command: C,  # noqa: ARG002 - for those who override it
        result: Any,  # noqa: ARG002
        memento: M | None,
    ) -> M | None:
        """Return what to remember, after the command was executed.

        Args:
            command: The command.
            result: What its handler returned.
            memento: What ``before`` returned; it is kept here.
        """
        return memento

    async def can_undo(self, executed: Executed[C, M]) -> UndoDecision | bool:  # noqa: ARG002
        """Whether it can still be undone; always here."""
        return True

    @abstractmethod
    async def undo(self, executed: Executed[C, M]) -> Commands:
        """Undo the command, or return the commands that do; raising changes nothing."""
        ...

    async def redo(self, executed: Executed[C, M]) -> Commands:
        """Execute the command again, or return the commands that do; here, the same one.

        One command of the same type is recorded in place of the former one, with what is
        remembered this time.
        """
        return executed.command.model_copy(update={"correlation_id": None})

    async def compensate(
        self,
        executed: Executed[C, M],  # noqa: ARG002 - for those who override it
        error: Exception,
    ) -> Commands:
        """Make up for a command that could not be undone, or return the commands that do.

        Args:
            executed: The command, which is still in effect.
            error: Why it could not be undone.
        """
        raise error


def _argument(executor: type, index: int) -> Any:
    for parent in executor.__mro__:
        for base in parent.__dict__.get("__orig_bases__", ()):
            if get_origin(base) is IUndoExecutor:
                arguments = get_args(base)
                return arguments[index] if index < len(arguments) else None
    return None
