"""Commands that come again: one effect, the same answer."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest

from cqrs_ddd_core.adapters.memory.database import InMemoryDatabase
from cqrs_ddd_core.adapters.memory.inbox import InMemoryInbox
from cqrs_ddd_core.adapters.memory.outbox import InMemoryOutboxStorage
from cqrs_ddd_core.adapters.memory.unit_of_work import InMemoryUnitOfWork
from cqrs_ddd_core.correlation import message_context
from cqrs_ddd_core.cqrs.command import Command, CommandResponse
from cqrs_ddd_core.cqrs.mediator import Mediator
from cqrs_ddd_core.cqrs.registry import HandlerRegistry
from cqrs_ddd_core.domain.aggregate import AggregateRoot
from cqrs_ddd_core.domain.events import DomainEvent
from cqrs_ddd_core.middleware.idempotency import IdempotencyMiddleware
from cqrs_ddd_core.ports.unit_of_work import UnitOfWork
from cqrs_ddd_core.primitives.exceptions import (
    ConfigurationError,
    InboxError,
    SerializationError,
)
from cqrs_ddd_core.primitives.result import Result


@dataclass(frozen=True)
class Receipt:
    number: UUID
    total: Decimal


class Pay(Command[Receipt]):
    amount: Decimal


class PayTwice(Command[None]):
    first: UUID
    second: UUID


class Ping(Command):
    pass


class Judge(Command[Result[int]]):
    good: bool


class Paid(DomainEvent):
    amount: Decimal


class Till:
    def __init__(self) -> None:
        self.database = InMemoryDatabase()
        self.outbox = InMemoryOutboxStorage(self.database)
        self.registry = HandlerRegistry()
        self.registry.register_command_handler(Pay, self.pay)
        self.mediator = Mediator(
            self.registry,
            self._open,
            middlewares=[IdempotencyMiddleware(InMemoryInbox(self.database))],
            outbox=self.outbox,
        )
        self.handled = 0
        self.failing = 0

    def _open(self) -> UnitOfWork:
        return InMemoryUnitOfWork(self.database)

    async def pay(self, command: Pay) -> CommandResponse[Receipt]:
        self.handled += 1
        await asyncio.sleep(0)
        if self.failing:
            self.failing -= 1
            msg = "the till is stuck"
            raise RuntimeError(msg)
        receipt = Receipt(uuid4(), command.amount)
        return CommandResponse(receipt, [Paid(amount=command.amount)])


async def test_a_repeated_command_has_one_effect_and_the_same_result() -> None:
    till = Till()
    command = Pay(amount=Decimal("12.30"))
    first = await till.mediator.send(command)
    second = await till.mediator.send(command)
    assert (first.replayed, second.replayed) == (False, True)
    assert second.result == first.result
    assert type(second.result.total) is Decimal
    assert second.command_id == command.command_id
    assert not second.events
    assert till.handled == 1
    assert await till.outbox.count_pending() == 1


async def test_of_concurrent_repeats_one_is_handled() -> None:
    till = Till()
    command = Pay(amount=Decimal(1))
    responses = await asyncio.gather(*(till.mediator.send(command) for _ in range(8)))
    assert till.handled == 1
    assert sorted(response.replayed for response in responses) == [False] + [True] * 7
    assert len({response.result.number for response in responses}) == 1


async def test_a_failed_command_can_be_tried_again() -> None:
    till = Till()
    till.failing = 1
    command = Pay(amount=Decimal(1))
    with pytest.raises(RuntimeError, match="stuck"):
        await till.mediator.send(command)
    response = await till.mediator.send(command)
    assert not response.replayed
    assert till.handled == 2


async def test_a_failed_result_leaves_no_mark() -> None:
    till = Till()
    answers = [Result.failure("not now"), Result.success(7)]

    async def judge(command: Judge) -> Result[int]:
        return answers.pop(0)

    till.registry.register_command_handler(Judge, judge)
    command = Judge(good=True)
    assert not (await till.mediator.send(command)).success
    assert (await till.mediator.send(command)).result.data == 7
    assert (await till.mediator.send(command)).result.data == 7
    assert answers == []


async def test_tenants_may_use_the_same_command_id() -> None:
    till = Till()
    command = Pay(amount=Decimal(1))
    for tenant in ("north", "south"):
        with message_context(tenant_id=tenant):
            assert not (await till.mediator.send(command)).replayed
    assert till.handled == 2


async def test_nested_commands_are_marked_in_the_outer_unit_of_work() -> None:
    till = Till()

    async def pay_twice(command: PayTwice) -> None:
        for command_id in (command.first, command.second):
            await till.mediator.send(Pay(amount=Decimal(1), command_id=command_id))

    till.registry.register_command_handler(PayTwice, pay_twice)
    same = uuid4()
    await till.mediator.send(PayTwice(first=same, second=same))
    assert till.handled == 1
    assert (await till.mediator.send(Pay(amount=Decimal(1), command_id=same))).replayed


async def test_a_nested_mark_vanishes_with_the_outer_command() -> None:
    till = Till()
    nested = Pay(amount=Decimal(1))

    async def pay_and_fail(command: PayTwice) -> None:
        await till.mediator.send(nested)
        msg = "after all not"
        raise RuntimeError(msg)

    till.registry.register_command_handler(PayTwice, pay_and_fail)
    with pytest.raises(RuntimeError, match="after all"):
        await till.mediator.send(PayTwice(first=uuid4(), second=uuid4()))
    assert not (await till.mediator.send(nested)).replayed
    assert await till.outbox.count_pending() == 1


async def test_a_command_whose_result_is_not_there_yet_cannot_be_answered() -> None:
    till = Till()

    async def judge(command: Judge) -> Result[int]:
        return (await till.mediator.send(command)).result

    till.registry.register_command_handler(Judge, judge)
    with pytest.raises(InboxError, match="its own handler sent it again"):
        await till.mediator.send(Judge(good=True))


async def test_a_command_without_result_that_its_handler_sends_again_is_a_repeat() -> None:
    till, replayed = Till(), list[bool]()

    async def ping(command: Ping) -> None:
        replayed.append((await till.mediator.send(command)).replayed)

    till.registry.register_command_handler(Ping, ping)
    command = Ping()
    await till.mediator.send(command)
    assert (await till.mediator.send(command)).replayed
    assert replayed == [True]


@pytest.mark.parametrize("returned", ["text", UUID(int=1)])
async def test_a_command_that_declares_no_result_must_return_none(returned: Any) -> None:
    till = Till()

    async def ping(command: Ping) -> Any:
        return returned

    till.registry.register_command_handler(Ping, ping)
    with pytest.raises(SerializationError, match="the result of Ping cannot be written"):
        await till.mediator.send(Ping())


async def test_a_missing_result_is_refused_when_the_type_allows_none() -> None:
    till = Till()

    async def judge(command: Judge) -> Any:
        return None

    till.registry.register_command_handler(Judge, judge)
    with pytest.raises(SerializationError, match="the result of Judge cannot be read"):
        await till.mediator.send(Judge(good=True))


class Account(AggregateRoot[str]):
    pass


class Open(Command[list[Account]]):
    pass


async def test_a_command_that_returns_an_aggregate_is_refused() -> None:
    till = Till()

    async def handle(command: Open) -> list[Account]:
        raise NotImplementedError

    till.registry.register_command_handler(Open, handle)
    with pytest.raises(ConfigurationError, match="return its id or a read model"):
        await till.mediator.send(Open())
