"""Handlers that take too long."""

from __future__ import annotations

import asyncio

import pytest

from cqrs_ddd_core.adapters.memory.database import InMemoryDatabase
from cqrs_ddd_core.adapters.memory.inbox import InMemoryInbox
from cqrs_ddd_core.adapters.memory.unit_of_work import InMemoryUnitOfWork
from cqrs_ddd_core.cqrs.command import Command
from cqrs_ddd_core.cqrs.mediator import Mediator
from cqrs_ddd_core.cqrs.query import Query
from cqrs_ddd_core.cqrs.registry import HandlerRegistry
from cqrs_ddd_core.middleware.timeout import TimeoutMiddleware
from cqrs_ddd_core.ports.unit_of_work import UnitOfWork, UnitOfWorkState
from cqrs_ddd_core.primitives.exceptions import (
    ConfigurationError,
    HandlerTimeoutError,
    UnitOfWorkError,
)


class Slow(Command):
    pass


class Outer(Command):
    pass


class Ask(Query[int]):
    pass


class App:
    def __init__(self, middleware: TimeoutMiddleware) -> None:
        self.database = InMemoryDatabase()
        self.inbox = InMemoryInbox(self.database)
        self.units: list[UnitOfWork] = []
        self.started = asyncio.Event()
        self.registry = HandlerRegistry()
        self.registry.register_command_handler(Slow, self.slow)
        self.registry.register_query_handler(Ask, self.ask)
        self.mediator = Mediator(self.registry, self._open, middlewares=[middleware])

    def _open(self) -> UnitOfWork:
        self.units.append(InMemoryUnitOfWork(self.database))
        return self.units[-1]

    async def slow(self, command: Slow) -> None:
        await self.inbox.receive("test", command.command_id)
        self.started.set()
        await asyncio.Event().wait()

    async def ask(self, query: Ask) -> int:
        await asyncio.Event().wait()
        return 1


async def test_a_slow_command_is_cancelled_and_rolled_back() -> None:
    app = App(TimeoutMiddleware(0.01))
    with pytest.raises(HandlerTimeoutError, match=r"Slow did not finish within 0\.01 s"):
        await app.mediator.send(Slow())
    assert [uow.state for uow in app.units] == [UnitOfWorkState.ROLLED_BACK]
    async with InMemoryUnitOfWork(app.database):
        # The next writer is let in, and nothing is marked.
        assert await app.inbox.receive("test", Slow().command_id) is None


async def test_a_slow_query_is_cancelled() -> None:
    app = App(TimeoutMiddleware(0.01))
    with pytest.raises(HandlerTimeoutError, match="Ask"):
        await app.mediator.ask(Ask())


async def test_a_message_type_has_its_own_limit() -> None:
    app = App(TimeoutMiddleware(0.01, per_type={Slow: None, Query: 0.005}))
    sending = asyncio.create_task(app.mediator.send(Slow()))
    with pytest.raises(HandlerTimeoutError) as caught:
        await app.mediator.ask(Ask())
    assert caught.value.seconds == 0.005
    assert not sending.done()
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending


async def test_a_handler_that_swallows_a_nested_timeout_cannot_commit_half_of_it() -> None:
    app = App(TimeoutMiddleware(None, per_type={Slow: 0.01}))

    async def outer(command: Outer) -> None:
        with pytest.raises(HandlerTimeoutError):
            await app.mediator.send(Slow())

    app.registry.register_command_handler(Outer, outer)
    with pytest.raises(UnitOfWorkError, match="rolled back"):
        await app.mediator.send(Outer())


async def test_a_timeout_error_of_the_handler_itself_is_passed_on() -> None:
    app = App(TimeoutMiddleware(60))

    async def outer(command: Outer) -> None:
        raise TimeoutError

    app.registry.register_command_handler(Outer, outer)
    with pytest.raises(TimeoutError) as caught:
        await app.mediator.send(Outer())
    assert not isinstance(caught.value, HandlerTimeoutError)


async def test_cancelling_the_caller_is_no_timeout() -> None:
    app = App(TimeoutMiddleware(60))
    sending = asyncio.create_task(app.mediator.send(Slow()))
    await app.started.wait()
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert app.units[0].state is UnitOfWorkState.ROLLED_BACK


@pytest.mark.parametrize("seconds", [0, -1])
def test_a_limit_that_is_not_positive_is_refused(seconds: float) -> None:
    with pytest.raises(ConfigurationError, match="positive number of seconds"):
        TimeoutMiddleware(seconds)
