"""Whatever is executed, undone and redone: the state is that of an editor with two stacks."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeAlias

from hypothesis import given, settings
from hypothesis import strategies as st

from cqrs_ddd_advanced_core.adapters.memory import InMemoryUndoHistory
from cqrs_ddd_advanced_core.ports.undo_history import UndoStatus
from cqrs_ddd_advanced_core.undo import UndoExecutorRegistry, UndoService
from cqrs_ddd_core.adapters.memory import InMemoryDatabase, InMemoryRepository, InMemoryUnitOfWork
from cqrs_ddd_core.cqrs.command import Command
from cqrs_ddd_core.cqrs.mediator import Mediator
from cqrs_ddd_core.cqrs.registry import HandlerRegistry
from cqrs_ddd_core.domain.aggregate import AggregateRoot
from cqrs_ddd_core.primitives.id_generator import new_id

if TYPE_CHECKING:
    from uuid import UUID


class Text(AggregateRoot[str]):
    words: tuple[int, ...] = ()


class Write(Command[None]):
    word: int


class Erase(Command[None]):
    pass


#: A group of so many words, or one word alone when 0; or undo and redo.
Step: TypeAlias = int | str
STEPS = st.lists(st.sampled_from([0, 0, 2, 3, "undo", "undo", "redo"]), max_size=15)


class Editor:
    """The model: what is written, in units, and what was taken back."""

    def __init__(self) -> None:
        self.written: list[list[int]] = []
        self.taken_back: list[list[int]] = []

    def write(self, words: list[int]) -> None:
        self.written.append(words)
        self.taken_back.clear()

    def undo(self) -> None:
        if self.written:
            self.taken_back.append(self.written.pop())

    def redo(self) -> None:
        if self.taken_back:
            self.written.append(self.taken_back.pop())

    @property
    def words(self) -> tuple[int, ...]:
        return tuple(word for unit in self.written for word in unit)


class Program:
    """The same with commands."""

    def __init__(self) -> None:
        database, handlers = InMemoryDatabase(), HandlerRegistry()
        self.texts = InMemoryRepository(Text, database)
        executors = UndoExecutorRegistry()
        handlers.register_command_handler(Write, self._write)
        handlers.register_command_handler(Erase, self._erase)
        executors.undo(Write)(lambda command: Erase())
        mediator = Mediator(handlers, lambda: InMemoryUnitOfWork(database))
        self.service = UndoService(mediator, InMemoryUndoHistory(database), executors)

    async def text(self) -> Text:
        return await self.texts.get_by_id("text") or Text(id="text")

    async def _write(self, command: Write) -> None:
        text = await self.text()
        text.words += (command.word,)
        await self.texts.save(text)

    async def _erase(self, command: Erase) -> None:
        text = await self.text()
        text.words = text.words[:-1]
        await self.texts.save(text)


@settings(max_examples=60, deadline=None)
@given(steps=STEPS)
def test_undo_and_redo_are_two_stacks(steps: list[Step]) -> None:
    asyncio.run(_check(steps))


async def _check(steps: list[Step]) -> None:
    program, editor = Program(), Editor()
    for number, step in enumerate(steps):
        await _take(program.service, editor, number * 10, step)
        assert (await program.text()).words == editor.words
        history = await program.service.history()
        undone = [one for one in history if one.status is UndoStatus.UNDONE]
        assert len(undone) == sum(map(len, editor.taken_back))


async def _take(service: UndoService, editor: Editor, word: int, step: Step) -> None:
    if step == "undo":
        await service.undo_last()
        editor.undo()
    elif step == "redo":
        await service.redo_last()
        editor.redo()
    else:
        await _write(service, editor, word, int(step))


async def _write(service: UndoService, editor: Editor, word: int, size: int) -> None:
    group: UUID | None = new_id() if size else None
    words = [word + offset for offset in range(size or 1)]
    for one in words:
        await service.execute(Write(word=one), group=group)
    editor.write(words)
