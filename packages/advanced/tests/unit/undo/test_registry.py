"""Executors are checked when they are registered."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, ClassVar

import pytest

from cqrs_ddd_advanced_core.domain.exceptions import (
    UndoExecutorNotFoundError,
    UndoExecutorRegistrationError,
)
from cqrs_ddd_advanced_core.ports.undo_history import UndoEntry
from cqrs_ddd_advanced_core.undo import Executed, IUndoExecutor, UndoExecutorRegistry
from cqrs_ddd_core.cqrs.command import Command
from cqrs_ddd_core.primitives.clock import utc_now
from cqrs_ddd_core.primitives.exceptions import MessageTypeRegistrationError, SerializationError


class Rename(Command[None]):
    name: str


class Reprice(Command[None]):
    price: Decimal


class OtherRename(Command[None]):
    command_type: ClassVar[str] = "Rename"


class RenameBack(IUndoExecutor[Rename, str]):
    async def before(self, command: Rename) -> str:
        return "old"

    async def undo(self, executed: Executed[Rename, str]) -> Rename:
        return Rename(name=executed.memento)


class RenameBackLoudly(RenameBack):
    """Inherits what it is for."""


class RepriceBack(IUndoExecutor[Reprice]):
    async def undo(self, executed: Executed[Reprice, None]) -> None:
        """Nothing to do."""


class Vague(IUndoExecutor):  # type: ignore[type-arg]
    async def undo(self, executed: Executed[Any, Any]) -> None:
        """Of what?"""


@pytest.fixture
def registry() -> UndoExecutorRegistry:
    return UndoExecutorRegistry()


def test_a_class_says_what_it_undoes_and_what_it_remembers(registry: UndoExecutorRegistry) -> None:
    executor = RenameBack()
    registry.register(executor)
    registry.register(executor)
    assert (executor.command_type, executor.memento_type) == (Rename, str)
    assert registry.get(Rename) is executor
    assert registry.has_executor(Rename)
    assert not registry.has_executor(Reprice)
    assert registry.list_executors() == {Rename: executor}
    assert registry.messages.get_command("Rename") is Rename


def test_a_subclass_undoes_what_its_base_does() -> None:
    assert RenameBackLoudly().command_type is Rename
    assert RenameBackLoudly().memento_type is str


def test_without_a_second_argument_nothing_is_remembered() -> None:
    assert RepriceBack().memento_type in (None, type(None))


def test_only_a_class_that_overrides_it_has_a_compensation() -> None:
    class Loud(RenameBack):
        async def compensate(self, executed: Executed[Rename, str], error: Exception) -> None:
            """Say sorry."""

    assert (RenameBack().has_compensation, Loud().has_compensation) == (False, True)


def test_a_class_that_does_not_say_what_it_undoes_is_refused(
    registry: UndoExecutorRegistry,
) -> None:
    with pytest.raises(UndoExecutorRegistrationError, match="does not say what it undoes"):
        registry.register(Vague())


def test_a_command_has_one_executor(registry: UndoExecutorRegistry) -> None:
    registry.register(RenameBack())
    with pytest.raises(UndoExecutorRegistrationError, match="Rename has an undo executor already"):
        registry.register(RenameBack())
    with pytest.raises(UndoExecutorRegistrationError, match="Rename has an undo executor already"):
        registry.undo(Rename)(lambda command: command)


def test_functions_and_a_class_do_not_mix(registry: UndoExecutorRegistry) -> None:
    registry.before(Rename)(_old_name)
    with pytest.raises(UndoExecutorRegistrationError, match="has an undo executor already"):
        registry.register(RenameBack())


def test_a_hook_has_one_function(registry: UndoExecutorRegistry) -> None:
    registry.undo(Rename)(lambda command: command)
    with pytest.raises(UndoExecutorRegistrationError, match="a function for 'undo' already"):
        registry.undo(Rename)(lambda command: command)


def test_two_commands_of_one_name_are_refused(registry: UndoExecutorRegistry) -> None:
    registry.undo(Rename)(lambda command: command)
    with pytest.raises(MessageTypeRegistrationError):
        registry.undo(OtherRename)(lambda command: command)


def test_nothing_can_be_undone_without_a_function_that_undoes(
    registry: UndoExecutorRegistry,
) -> None:
    registry.before(Rename)(_old_name)
    assert not registry.has_executor(Rename)
    with pytest.raises(UndoExecutorNotFoundError, match="nobody has said how Rename is undone"):
        registry.get(Rename)


@pytest.mark.parametrize(
    "function", [lambda: None, lambda command, memento, more: None, lambda *, command: None]
)
def test_a_function_that_takes_something_else_is_refused(
    registry: UndoExecutorRegistry, function: Any
) -> None:
    with pytest.raises(UndoExecutorRegistrationError, match=r"has to take \(command, memento\)"):
        registry.undo(Rename)(function)


def _of_unknown_type(command: Rename) -> Nowhere:  # type: ignore[name-defined]  # noqa: F821
    return "old"


@pytest.mark.parametrize("function", [lambda command: "old", _of_unknown_type])
def test_what_is_remembered_needs_a_type(registry: UndoExecutorRegistry, function: Any) -> None:
    with pytest.raises(UndoExecutorRegistrationError, match="annotate what it returns"):
        registry.before(Rename)(function)


async def test_a_function_may_take_all_there_is(registry: UndoExecutorRegistry) -> None:
    taken: list[tuple[object, ...]] = []
    registry.undo(Rename)(lambda *everything: taken.append(everything))
    command = Rename(name="new")
    await registry.get(Rename).undo(_executed(command))
    assert taken == [(command, None)]


async def test_without_a_compensation_the_error_is_raised_again() -> None:
    error = RuntimeError("no way")
    with pytest.raises(RuntimeError, match="no way"):
        await RepriceBack().compensate(_executed(Reprice(price=Decimal(1))), error)


def test_any_is_no_type_to_remember(registry: UndoExecutorRegistry) -> None:
    def anything(command: Rename) -> Any: ...

    registry.before(Rename)(anything)
    with pytest.raises(UndoExecutorRegistrationError, match="has no type"):
        registry.undo(Rename)(lambda command: command)


def test_what_has_no_json_form_cannot_be_remembered(registry: UndoExecutorRegistry) -> None:
    def somebody(command: Rename) -> UndoExecutorRegistry:
        return registry

    registry.before(Rename)(somebody)
    with pytest.raises(UndoExecutorRegistrationError, match="cannot be kept as JSON"):
        registry.undo(Rename)(lambda command: command)


def test_something_is_remembered_before_or_after(registry: UndoExecutorRegistry) -> None:
    registry.before(Rename)(_old_name)
    with pytest.raises(UndoExecutorRegistrationError, match="not from both"):
        registry.after(Rename)(_old_name)


@pytest.mark.parametrize("memento", [None, 1, b"\xff"])
def test_a_memento_of_another_type_is_refused(
    registry: UndoExecutorRegistry, memento: object
) -> None:
    registry.register(RenameBack())
    with pytest.raises(SerializationError, match="what is remembered of Rename"):
        registry.memento_codec(Rename).dump(memento)


def test_a_memento_that_no_longer_fits_says_so(registry: UndoExecutorRegistry) -> None:
    registry.register(RenameBack())
    with pytest.raises(SerializationError, match="cannot be read as"):
        registry.memento_codec(Rename).load(None)


def test_an_executor_that_remembers_nothing_refuses_a_memento(
    registry: UndoExecutorRegistry,
) -> None:
    registry.register(RepriceBack())
    assert registry.memento_codec(Reprice).dump(None) is None
    with pytest.raises(SerializationError):
        registry.memento_codec(Reprice).dump("something")


def test_all_can_be_forgotten(registry: UndoExecutorRegistry) -> None:
    registry.undo(Rename)(lambda command: command)
    registry.clear()
    assert registry.list_executors() == {}
    registry.register(RenameBack())
    assert registry.has_executor(Rename)


def _executed(command: Command[Any]) -> Executed[Any, Any]:
    now = utc_now()
    entry = UndoEntry(command.command_id, "", command.command_type, b"{}", now, now)
    return Executed(command, None, entry)


def _old_name(command: Rename) -> str:
    return "old"
