"""A handler's own behaviors, in the order they were added."""

from __future__ import annotations

from typing import Any

import pytest

from cqrs_ddd_advanced_core.cqrs import (
    ConflictCommandHandler,
    PipelinedCommandHandler,
    ResilientCommandHandler,
    RetryableCommandHandler,
)
from cqrs_ddd_core.adapters.memory import InMemoryUnitOfWork
from cqrs_ddd_core.cqrs.command import Command
from cqrs_ddd_core.cqrs.mediator import Mediator
from cqrs_ddd_core.cqrs.registry import HandlerRegistry
from cqrs_ddd_core.ports.middleware import IMiddleware, NextHandler
from cqrs_ddd_core.primitives.exceptions import ConfigurationError


class Greet(Command[str]):
    name: str


class Note(IMiddleware):
    def __init__(self, name: str, seen: list[str]) -> None:
        self.name = name
        self.seen = seen

    async def __call__(self, message: Any, next_handler: NextHandler) -> Any:
        self.seen.append(f"{self.name} before")
        response = await next_handler(message)
        self.seen.append(f"{self.name} after")
        return response


class GreetHandler(PipelinedCommandHandler[Greet, str]):
    async def process(self, command: Greet) -> str:
        return f"Hello {command.name}"


def mediator_with(handler: Any) -> Mediator:
    registry = HandlerRegistry()
    registry.command_handler(handler)
    return Mediator(registry, InMemoryUnitOfWork)


async def test_the_first_behavior_added_is_the_outermost() -> None:
    """H-3: it was the other way round, against the documentation."""
    seen: list[str] = []
    handler = GreetHandler()
    first, second = Note("first", seen), Note("second", seen)
    handler.add_behavior(first)
    handler.add_behavior(second)
    assert handler.get_pipeline() == (first, second)
    assert (await mediator_with(handler).send(Greet(name="Ada"))).result == "Hello Ada"
    assert seen == ["first before", "second before", "second after", "first after"]


async def test_a_class_built_by_the_mediator_adds_its_behaviors_when_it_is_made() -> None:
    seen: list[str] = []

    class Noted(GreetHandler):
        def __init__(self) -> None:
            self.add_behavior(Note("own", seen))

    assert (await mediator_with(Noted).send(Greet(name="Ada"))).result == "Hello Ada"
    assert seen == ["own before", "own after"]


async def test_a_behavior_that_would_never_be_called_is_refused() -> None:
    handler = GreetHandler()
    await mediator_with(handler).send(Greet(name="Ada"))
    with pytest.raises(ConfigurationError, match="before the first command"):
        handler.add_behavior(Note("late", []))


async def test_handlers_do_not_share_behaviors() -> None:
    handler = GreetHandler()
    handler.add_behavior(Note("own", []))
    assert GreetHandler().get_pipeline() == ()


@pytest.mark.parametrize(
    "base, names",
    [
        (RetryableCommandHandler, ["RetryBehavior", "Note"]),
        (ConflictCommandHandler, ["ConflictBehavior", "Note"]),
        (ResilientCommandHandler, ["ConflictBehavior", "RetryBehavior", "Note"]),
    ],
)
def test_what_is_added_runs_inside_of_what_the_class_brings(base: Any, names: list[str]) -> None:
    class Handler(base):  # type: ignore[misc]
        async def _handle_internal(self, command: Greet) -> str:
            return command.name

    handler = Handler()
    handler.add_behavior(Note("own", []))
    assert [type(behavior).__name__ for behavior in handler.get_pipeline()] == names


async def test_a_handler_can_be_called_without_a_mediator() -> None:
    assert await GreetHandler().handle(Greet(name="Ada")) == "Hello Ada"
