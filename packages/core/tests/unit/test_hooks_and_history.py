"""Who is told about messages, and what is remembered of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

import pytest

from cqrs_ddd_core.adapters.memory.unit_of_work import InMemoryUnitOfWork
from cqrs_ddd_core.cqrs.command import Command
from cqrs_ddd_core.cqrs.mediator import Mediator
from cqrs_ddd_core.cqrs.query import Query
from cqrs_ddd_core.cqrs.registry import HandlerRegistry
from cqrs_ddd_core.instrumentation import HookRegistry
from cqrs_ddd_core.middleware.history import CommandHistory
from cqrs_ddd_core.middleware.lifecycle import LifecycleHooks
from cqrs_ddd_core.ports.middleware import IMiddleware
from cqrs_ddd_core.primitives.clock import FixedClock
from cqrs_ddd_core.primitives.result import Result


class Greet(Command[Result[str]]):
    name: str


class Ask(Query[str]):
    pass


class Listener:
    """Writes down what it is told."""

    def __init__(self, name: str = "", log: list[str] | None = None) -> None:
        self.name = name
        self.told: list[str] = [] if log is None else log
        self.details: list[Mapping[str, Any]] = []

    async def __call__(self, operation: str, details: Mapping[str, Any], /) -> None:
        self.told.append(f"{self.name} {operation}".strip())
        self.details.append(details)


def app(*middlewares: IMiddleware) -> Mediator:
    async def greet(command: Greet) -> Result[str]:
        if command.name == "nobody":
            msg = "who?"
            raise LookupError(msg)
        if command.name == "foe":
            return Result.failure("no")
        return Result.success(f"hello {command.name}")

    async def ask(query: Ask) -> str:
        return "answer"

    registry = HandlerRegistry()
    registry.register_command_handler(Greet, greet)
    registry.register_query_handler(Ask, ask)
    return Mediator(registry, InMemoryUnitOfWork, middlewares=middlewares)


async def test_hooks_hear_of_beginning_success_and_failure() -> None:
    hooks, listener = LifecycleHooks(), Listener()
    hooks.subscribe("*", listener)
    mediator = app(hooks)
    command = Greet(name="Ada")
    response = await mediator.send(command)
    await mediator.ask(Ask())
    await mediator.send(Greet(name="foe"))
    with pytest.raises(LookupError):
        await mediator.send(Greet(name="nobody"))
    assert listener.told == [
        "command:executing",
        "command:executed",
        "query:executing",
        "query:executed",
        "command:executing",
        "command:failed",
        "command:executing",
        "command:failed",
    ]
    done = listener.details[1]
    assert done["message"] is command
    assert done["message_type"] == "Greet"
    assert done["message_id"] == command.command_id
    assert done["response"] is response
    assert isinstance(listener.details[-1]["error"], LookupError)


async def test_hooks_subscribe_by_pattern_and_can_leave() -> None:
    hooks, listener = LifecycleHooks(), Listener()
    leave = hooks.subscribe("command:exec*", listener)
    mediator = app(hooks)
    await mediator.ask(Ask())
    await mediator.send(Greet(name="Ada"))
    leave()
    leave()
    await mediator.send(Greet(name="Ada"))
    assert listener.told == ["command:executing", "command:executed"]


async def test_a_hook_registered_in_one_task_hears_what_happens_in_another() -> None:
    """C-14: the registry is a plain object, not a context variable."""
    hooks, listener = LifecycleHooks(), Listener()

    async def start_up() -> None:
        hooks.subscribe("command:executed", listener)

    await asyncio.create_task(start_up())
    await asyncio.create_task(app(hooks).send(Greet(name="Ada")))
    assert listener.told == ["command:executed"]


async def test_a_hook_that_raises_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    registry, listener = HookRegistry(), Listener()

    async def broken(operation: str, details: Mapping[str, Any], /) -> None:
        msg = "hook broke"
        raise RuntimeError(msg)

    registry.register(broken, operations="command:executed", priority=1)
    registry.register(listener, operations="command:executed")
    with caplog.at_level(logging.ERROR):
        response = await app(LifecycleHooks(registry)).send(Greet(name="Ada"))
    assert response.success
    assert listener.told == ["command:executed"]
    assert registry.failures == 1
    assert "hook broke" in caplog.text


async def test_hooks_run_by_priority_then_in_the_order_of_registration() -> None:
    registry = HookRegistry()
    log: list[str] = []
    registry.register(Listener("third", log))
    registry.register(Listener("first", log), priority=9)
    registry.register(Listener("fourth", log))
    registry.register(Listener("second", log), operations="job:*", priority=1)
    await registry.notify("job:done", {})
    assert log == [f"{name} job:done" for name in ("first", "second", "third", "fourth")]


async def test_a_predicate_decides_each_time() -> None:
    registry, listener = HookRegistry(), Listener()
    registry.register(listener, predicate=lambda operation, details: details["size"] > 1)
    for size in (1, 2, 3):
        await registry.notify(f"job:{size}", {"size": size})
    assert listener.told == ["job:2", "job:3"]


async def test_a_hook_registered_later_hears_of_known_operations() -> None:
    registry, listener = HookRegistry(), Listener()
    assert not registry.watches("job:done")
    registry.register(listener, operations="job:*")
    await registry.notify("job:done", {})
    assert registry.watches("job:done")
    assert listener.told == ["job:done"]


async def test_the_history_tells_what_was_done_and_what_failed() -> None:
    clock = FixedClock()
    history = CommandHistory(clock=clock)
    mediator = app(history)
    await mediator.send(Greet(name="Ada"))
    await mediator.send(Greet(name="foe"))
    with pytest.raises(LookupError):
        await mediator.send(Greet(name="nobody"))
    await mediator.ask(Ask())
    entries = history.list()
    assert [entry.success for entry in entries] == [True, False, False]
    assert [entry.error for entry in entries] == [None, None, "LookupError: who?"]
    assert [entry.command.command_type for entry in entries] == ["Greet"] * 3
    assert {entry.started_at for entry in entries} == {clock.now()}


async def test_the_history_keeps_the_last_commands_and_can_be_cleared() -> None:
    history = CommandHistory(limit=2)
    mediator = app(history)
    sent = [Greet(name=name) for name in "abc"]
    for command in sent:
        await mediator.send(command)
    assert [entry.command for entry in history.list()] == sent[1:]
    history.clear()
    assert history.list() == []
