"""A handler brings its own middlewares: around its own commands, inside of the global ones."""

from __future__ import annotations

from typing import Any

import pytest

from cqrs_ddd_core.adapters.memory.database import InMemoryDatabase
from cqrs_ddd_core.adapters.memory.repository import InMemoryRepository
from cqrs_ddd_core.adapters.memory.unit_of_work import InMemoryUnitOfWork
from cqrs_ddd_core.cqrs.command import Command
from cqrs_ddd_core.cqrs.handler import CommandHandler, behaviors_of
from cqrs_ddd_core.cqrs.mediator import Mediator
from cqrs_ddd_core.cqrs.query import Query
from cqrs_ddd_core.cqrs.registry import HandlerRegistry
from cqrs_ddd_core.domain.aggregate import AggregateRoot
from cqrs_ddd_core.ports.middleware import IMiddleware, MiddlewareScope, NextHandler
from cqrs_ddd_core.ports.unit_of_work import UnitOfWork
from cqrs_ddd_core.ports.unit_of_work_scope import current_scope, get_current_uow


class Count(Command[int]):
    counter: str = "c"


class CountTwice(Command[None]):
    counter: str = "c"


class Total(Query[int]):
    counter: str = "c"


class Counter(AggregateRoot[str]):
    value: int = 0


class Outside(IMiddleware):
    """Notes that it was called, and whether in a unit of work."""

    def __init__(self, name: str, seen: list[str]) -> None:
        self.name = name
        self.seen = seen

    async def __call__(self, message: Any, next_handler: NextHandler) -> Any:
        self.seen.append(f"{self.name} {'in' if current_scope() else 'out'}")
        return await next_handler(message)


class Inside(Outside):
    scope = MiddlewareScope.INSIDE


class OnlyTwice(Outside):
    def applies_to(self, message_type: type[Any]) -> bool:
        return message_type is CountTwice


class Again(IMiddleware):
    """Runs every command a second time, so that it must get a second unit of work."""

    async def __call__(self, message: Any, next_handler: NextHandler) -> Any:
        await next_handler(message)
        return await next_handler(message)


class CountHandler(CommandHandler[Count, int]):
    def __init__(self, counters: InMemoryRepository[Counter], *behaviors: IMiddleware) -> None:
        self.counters = counters
        self.behaviors = behaviors
        self.units: list[UnitOfWork | None] = []

    async def handle(self, command: Count) -> int:
        self.units.append(get_current_uow())
        counter = await self.counters.get_by_id(command.counter) or Counter(id=command.counter)
        counter.value += 1
        await self.counters.save(counter)
        return counter.value


class App:
    def __init__(self, *middlewares: IMiddleware, **options: Any) -> None:
        self.database = InMemoryDatabase()
        self.counters = InMemoryRepository(Counter, self.database)
        self.registry = HandlerRegistry()
        self.mediator = Mediator(
            self.registry,
            InMemoryUnitOfWork,
            middlewares=middlewares,
            **options,
        )

    def handle(self, *behaviors: IMiddleware) -> CountHandler:
        handler = CountHandler(self.counters, *behaviors)
        self.registry.register_command_handler(Count, handler)
        return handler


async def test_behaviors_run_in_order_inside_of_the_global_middlewares_of_their_scope() -> None:
    seen: list[str] = []
    app = App(Inside("global inner", seen), Outside("global outer", seen))
    app.handle(Inside("own inner", seen), Outside("first", seen), Outside("second", seen))
    await app.mediator.send(Count())
    assert seen == [
        "global outer out",
        "first out",
        "second out",
        "global inner in",
        "own inner in",
    ]


async def test_each_try_of_an_outside_behavior_has_a_unit_of_work_of_its_own() -> None:
    app = App()
    handler = app.handle(Again())
    assert (await app.mediator.send(Count())).result == 2
    first, second = handler.units
    assert first is not second
    assert (await app.counters.get("c")).version == 2


async def test_behaviors_run_for_the_commands_of_their_handler_only() -> None:
    seen: list[str] = []
    app = App()
    app.handle(Outside("count", seen))

    @app.registry.command_handler
    async def count_twice(command: CountTwice) -> None:
        return None

    await app.mediator.send(CountTwice())
    assert seen == []


async def test_behaviors_of_a_nested_command_run_in_the_outer_unit_of_work() -> None:
    seen: list[str] = []
    app = App()
    handler = app.handle(Outside("own", seen), Inside("own inner", seen))

    @app.registry.command_handler
    async def count_twice(command: CountTwice) -> None:
        for _ in range(2):
            await app.mediator.send(Count())

    await app.mediator.send(CountTwice())
    assert seen == ["own in", "own inner in"] * 2
    assert handler.units[0] is handler.units[1]
    assert (await app.counters.get("c")).value == 2


async def test_a_behavior_may_leave_message_types_alone() -> None:
    seen: list[str] = []
    app = App()
    app.handle(OnlyTwice("never", seen), Outside("always", seen))
    await app.mediator.send(Count())
    assert seen == ["always out"]


async def test_a_registered_class_brings_the_behaviors_of_the_class() -> None:
    seen: list[str] = []

    class Handler(CommandHandler[Count, int]):
        behaviors = (Outside("class", seen),)

        async def handle(self, command: Count) -> int:
            return 1

    app = App()
    app.registry.register_command_handler(Count, Handler)
    for _ in range(2):
        await app.mediator.send(Count())
    assert seen == ["class out"] * 2


async def test_a_handler_made_by_a_factory_brings_those_it_was_given() -> None:
    seen: list[str] = []
    counters = InMemoryRepository(Counter)
    app = App(handler_factory=lambda made: made(counters, Outside("made", seen)))
    app.registry.register_command_handler(Count, CountHandler)
    await app.mediator.send(Count())
    assert seen == ["made out"]


async def test_plain_functions_have_none_and_queries_ignore_them() -> None:
    seen: list[str] = []

    class Answer:
        behaviors = (Outside("query", seen),)

        async def handle(self, query: Total) -> int:
            return 7

    async def count(command: Count) -> int:
        return 1

    app = App()
    app.registry.register_command_handler(Count, count)
    app.registry.register_query_handler(Total, Answer)
    assert behaviors_of(count) == ()
    assert (await app.mediator.send(Count())).result == 1
    assert await app.mediator.ask(Total()) == 7
    assert seen == []


async def test_what_a_behavior_raises_rolls_the_unit_of_work_back() -> None:
    class Refuse(IMiddleware):
        scope = MiddlewareScope.INSIDE

        async def __call__(self, message: Any, next_handler: NextHandler) -> Any:
            await next_handler(message)
            raise RuntimeError("no")

    app = App()
    app.handle(Refuse())
    with pytest.raises(RuntimeError, match="no"):
        await app.mediator.send(Count())
    assert await app.counters.get_by_id("c") is None
