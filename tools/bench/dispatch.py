"""Sending a command that touches no database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from cqrs_ddd_core.adapters.memory.unit_of_work import InMemoryUnitOfWork
from cqrs_ddd_core.cqrs.command import Command
from cqrs_ddd_core.cqrs.mediator import Mediator
from cqrs_ddd_core.cqrs.registry import HandlerRegistry
from cqrs_ddd_core.ports.middleware import IMiddleware, NextHandler
from tools.bench.harness import Comparison, Operation

__all__ = ["COMPARISONS"]

_CALLS = 2_000


class AddOne(Command[int]):
    """A command with one field."""

    number: int


class PassOn(IMiddleware):
    """A middleware that does nothing."""

    async def __call__(self, message: Any, next_handler: NextHandler) -> Any:
        """Call the next handler."""
        return await next_handler(message)


async def add_one(command: AddOne) -> int:
    """Handle the command."""
    return command.number + 1


@asynccontextmanager
async def _new_commands(
    middlewares: Sequence[IMiddleware],
) -> AsyncIterator[tuple[Operation, Operation]]:
    send = _mediator(middlewares).send

    async def bare() -> int:
        for number in range(_CALLS):
            await add_one(AddOne(number=number))
        return _CALLS

    async def sent() -> int:
        for number in range(_CALLS):
            await send(AddOne(number=number))
        return _CALLS

    yield bare, sent


@asynccontextmanager
async def _one_command(
    middlewares: Sequence[IMiddleware],
) -> AsyncIterator[tuple[Operation, Operation]]:
    send = _mediator(middlewares).send
    command = AddOne(number=1)

    async def bare() -> int:
        for _ in range(_CALLS):
            await add_one(command)
        return _CALLS

    async def sent() -> int:
        for _ in range(_CALLS):
            await send(command)
        return _CALLS

    yield bare, sent


def _mediator(middlewares: Sequence[IMiddleware]) -> Mediator:
    registry = HandlerRegistry()
    registry.register_command_handler(AddOne, add_one)
    return Mediator(registry, InMemoryUnitOfWork, middlewares=middlewares)


_THREE = (PassOn(), PassOn(), PassOn())

COMPARISONS = [
    Comparison(
        "send",
        "commands",
        "await handler(Command(...))",
        partial(_new_commands, ()),
        aim=10,
        slowdown=True,
    ),
    Comparison(
        "send-3-middlewares",
        "commands",
        "await handler(Command(...))",
        partial(_new_commands, _THREE),
        aim=20,
        slowdown=True,
    ),
    # The same without building the message, which nobody does twice with one command id: it
    # shows the mediator's own cost and nothing else.
    Comparison(
        "send-built", "commands", "await handler(command)", partial(_one_command, ()), slowdown=True
    ),
    Comparison(
        "send-built-3-middlewares",
        "commands",
        "await handler(command)",
        partial(_one_command, _THREE),
        slowdown=True,
    ),
]
