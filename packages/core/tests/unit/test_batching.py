"""Commands that share a unit of work, and fail alone."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from cqrs_ddd_core.adapters.memory.database import InMemoryDatabase
from cqrs_ddd_core.adapters.memory.inbox import InMemoryInbox
from cqrs_ddd_core.adapters.memory.locking import InMemoryLockStrategy
from cqrs_ddd_core.adapters.memory.outbox import InMemoryOutboxStorage
from cqrs_ddd_core.adapters.memory.unit_of_work import InMemoryUnitOfWork
from cqrs_ddd_core.correlation import get_context, message_context
from cqrs_ddd_core.cqrs.batching import CommandBatcher
from cqrs_ddd_core.cqrs.command import Command, CommandResponse
from cqrs_ddd_core.cqrs.mediator import Mediator
from cqrs_ddd_core.cqrs.registry import HandlerRegistry
from cqrs_ddd_core.domain.events import DomainEvent
from cqrs_ddd_core.middleware.concurrency import ConcurrencyGuardMiddleware
from cqrs_ddd_core.middleware.idempotency import IdempotencyMiddleware
from cqrs_ddd_core.ports.locking import ResourceIdentifier
from cqrs_ddd_core.ports.middleware import IMiddleware
from cqrs_ddd_core.ports.unit_of_work import UnitOfWork, UnitOfWorkState
from cqrs_ddd_core.primitives.exceptions import (
    CommitOutcomeUnknownError,
    ConfigurationError,
    HandlerError,
)
from cqrs_ddd_core.primitives.result import Result


class Log(Command[Result[str]]):
    line: str

    def get_critical_resources(self) -> Sequence[ResourceIdentifier]:
        return (ResourceIdentifier("Line", self.line),)


class LogTwice(Command[None]):
    pass


class Logged(DomainEvent):
    line: str


class BrittleUnitOfWork(InMemoryUnitOfWork):
    """Loses the connection while it commits, when told."""

    is_brittle = False

    async def _commit(self) -> None:
        await super()._commit()
        if self.is_brittle:
            msg = "connection lost"
            raise CommitOutcomeUnknownError(msg)


class Journal:
    """Lines that are written one by one, or as a batch."""

    def __init__(self, *middlewares: IMiddleware) -> None:
        self.database = InMemoryDatabase()
        self.inbox = InMemoryInbox(self.database)
        self.outbox = InMemoryOutboxStorage(self.database)
        self.units: list[BrittleUnitOfWork] = []
        self.contexts: list[tuple[str, str | None, str]] = []
        self.handled: list[str] = []
        self.is_brittle = False
        self.gate: asyncio.Event | None = None
        self.entered = asyncio.Event()
        self.registry = HandlerRegistry()
        self.registry.register_command_handler(Log, self.log)
        self.mediator = Mediator(
            self.registry,
            self._open,
            middlewares=[IdempotencyMiddleware(self.inbox), *middlewares],
            outbox=self.outbox,
        )

    def _open(self) -> UnitOfWork:
        uow = BrittleUnitOfWork(self.database)
        uow.is_brittle = self.is_brittle
        self.units.append(uow)
        return uow

    def committed(self) -> int:
        return sum(uow.state is UnitOfWorkState.COMMITTED for uow in self.units)

    async def log(self, command: Log) -> CommandResponse[Result[str]]:
        self.handled.append(command.line)
        context = get_context()
        self.contexts.append((command.line, context.correlation_id, context.tenant_id))
        self.entered.set()
        if self.gate is not None:
            await self.gate.wait()
        if command.line == "bad":
            msg = "unreadable"
            raise ValueError(msg)
        if command.line == "late":
            return CommandResponse(Result.failure("too late"))
        return CommandResponse(Result.success(command.line), [Logged(line=command.line)])


async def send_all(batcher: CommandBatcher[Any, Any], *lines: str) -> list[Any]:
    sending = [batcher.send(Log(line=line)) for line in lines]
    return [*await asyncio.gather(*sending, return_exceptions=True)]


async def test_a_full_batch_is_one_unit_of_work_and_each_caller_gets_its_own_result() -> None:
    journal = Journal()
    async with CommandBatcher(journal.mediator, max_size=3, max_wait=60) as batcher:
        responses = await send_all(batcher, "a", "b", "c")
    assert [response.result.data for response in responses] == ["a", "b", "c"]
    assert len(journal.units) == 1
    assert await journal.outbox.count_pending() == 3


async def test_a_batch_that_is_not_full_begins_after_a_while() -> None:
    journal = Journal()
    async with CommandBatcher(journal.mediator, max_size=100, max_wait=0.005) as batcher:
        async with asyncio.timeout(10):
            responses = await send_all(batcher, "a", "b")
    assert [response.success for response in responses] == [True, True]
    assert len(journal.units) == 1


@pytest.mark.parametrize("culprit", ["bad", "late"])
async def test_only_the_command_at_fault_fails(culprit: str) -> None:
    journal = Journal()
    async with CommandBatcher(journal.mediator, max_size=3, max_wait=60) as batcher:
        first, second, third = await send_all(batcher, "a", culprit, "c")
    assert (first.result.data, third.result.data) == ("a", "c")
    if culprit == "bad":
        assert isinstance(second, ValueError)
    else:
        assert not second.success
    assert journal.committed() == 2
    assert await journal.outbox.count_pending() == 2


async def test_a_command_alone_in_its_batch_is_handled_once_even_when_it_fails() -> None:
    journal = Journal()
    async with CommandBatcher(journal.mediator, max_size=1) as batcher:
        (error,) = await send_all(batcher, "bad")
    assert isinstance(error, ValueError)
    assert journal.handled == ["bad"]


async def test_a_batch_that_may_have_committed_is_not_run_again() -> None:
    journal = Journal()
    journal.is_brittle = True
    async with CommandBatcher(journal.mediator, max_size=2, max_wait=60) as batcher:
        errors = await send_all(batcher, "a", "b")
    assert [type(error) for error in errors] == [CommitOutcomeUnknownError] * 2
    assert journal.handled == ["a", "b"]


async def test_each_command_runs_under_the_ids_of_its_caller_and_tenants_are_kept_apart() -> None:
    journal = Journal()

    async def send(line: str, tenant: str) -> None:
        with message_context(correlation_id=f"request-{line}", tenant_id=tenant):
            await batcher.send(Log(line=line))

    async with CommandBatcher(journal.mediator, max_size=2, max_wait=60) as batcher:
        await asyncio.gather(
            send("a", "north"), send("b", "south"), send("c", "north"), send("d", "south")
        )
    assert sorted(journal.contexts) == [
        ("a", "request-a", "north"),
        ("b", "request-b", "south"),
        ("c", "request-c", "north"),
        ("d", "request-d", "south"),
    ]
    assert len(journal.units) == 2
    leases = await journal.outbox.lease_partitions("test", seconds=60)
    queued = await journal.outbox.claim_pending(leases)
    told = {one.message.correlation_id: one.message.tenant_id for one in queued}
    assert told["request-a"] == "north"
    assert told["request-d"] == "south"


async def test_a_repeated_command_in_a_batch_has_one_effect() -> None:
    journal = Journal()
    command = Log(line="a")
    async with CommandBatcher(journal.mediator, max_size=2, max_wait=60) as batcher:
        first, second = await asyncio.gather(batcher.send(command), batcher.send(command))
    assert sorted([first.replayed, second.replayed]) == [False, True]
    assert journal.handled == ["a"]


async def test_a_batch_locks_everything_before_and_unlocks_after_the_commit() -> None:
    """C-7: also when commands of a batch name resources in different order."""
    locks = InMemoryLockStrategy()
    journal = Journal(ConcurrencyGuardMiddleware(locks))
    journal.gate = asyncio.Event()
    async with CommandBatcher(journal.mediator, max_size=3, max_wait=60) as batcher:
        sending = asyncio.create_task(send_all(batcher, "b", "a", "b"))
        await journal.entered.wait()
        held = [lock.resource.resource_id for lock in await locks.get_active_locks()]
        journal.gate.set()
        await sending
    assert held == ["a", "b"]
    assert await locks.get_active_locks() == []


async def test_a_batch_handler_gets_all_commands_at_once() -> None:
    journal = Journal()
    seen: list[list[str]] = []

    async def write_all(commands: Sequence[Log]) -> list[Result[str]]:
        seen.append([command.line for command in commands])
        if any(command.line == "bad" for command in commands):
            msg = "unreadable"
            raise ValueError(msg)
        return [
            Result.failure("too late") if command.line == "late" else Result.success(command.line)
            for command in commands
        ]

    async with CommandBatcher(journal.mediator, write_all, max_size=3, max_wait=60) as batcher:
        fine = await send_all(batcher, "a", "b", "c")
        mixed = await send_all(batcher, "d", "bad", "late")
    assert [response.result.data for response in fine] == ["a", "b", "c"]
    assert mixed[0].result.data == "d"
    assert isinstance(mixed[1], ValueError)
    assert not mixed[2].success
    assert seen == [["a", "b", "c"], ["d", "bad", "late"], ["d"], ["bad"], ["late"]]


async def test_a_batch_handler_that_loses_results_is_found_out() -> None:
    async def forgetful(commands: Sequence[Log]) -> list[str]:
        return ["only one"] * (len(commands) - 1)

    async with CommandBatcher(Journal().mediator, forgetful, max_size=1) as batcher:
        with pytest.raises(HandlerError, match="got 1 commands and returned 0 results"):
            await batcher.send(Log(line="a"))


async def test_a_command_cancelled_before_its_batch_begins_is_not_handled() -> None:
    journal = Journal()
    async with CommandBatcher(journal.mediator, max_size=2, max_wait=60) as batcher:
        waiting = asyncio.create_task(batcher.send(Log(line="a")))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await batcher.send(Log(line="b"))
    assert journal.handled == ["b"]


async def test_a_caller_cancelled_while_its_batch_runs_disturbs_nobody() -> None:
    journal = Journal()
    journal.gate = asyncio.Event()
    async with CommandBatcher(journal.mediator, max_size=2, max_wait=60) as batcher:
        leaving = asyncio.create_task(batcher.send(Log(line="a")))
        staying = asyncio.create_task(batcher.send(Log(line="b")))
        await journal.entered.wait()
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        journal.gate.set()
        assert (await staying).result.data == "b"
    assert journal.handled == ["a", "b"]
    assert journal.committed() == 1


async def test_no_more_commands_wait_than_allowed() -> None:
    journal = Journal()
    journal.gate = asyncio.Event()
    batcher = CommandBatcher[Log, Result[str]](
        journal.mediator, max_size=2, max_wait=60, max_pending=2
    )
    first = asyncio.create_task(send_all(batcher, "a", "b"))
    await journal.entered.wait()
    second = asyncio.create_task(send_all(batcher, "c", "d"))
    await asyncio.sleep(0)
    assert journal.handled == ["a"]
    journal.gate.set()
    await asyncio.gather(first, second)
    assert journal.handled == ["a", "b", "c", "d"]
    await batcher.close()


async def test_closing_handles_what_was_collected_and_refuses_more() -> None:
    journal = Journal()
    batcher = CommandBatcher[Log, Result[str]](journal.mediator, max_size=9, max_wait=60)
    waiting = asyncio.create_task(send_all(batcher, "a", "b"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await batcher.close()
    assert [response.result.data for response in await waiting] == ["a", "b"]
    with pytest.raises(HandlerError, match="closed"):
        await batcher.send(Log(line="c"))


async def test_a_command_sent_inside_a_unit_of_work_joins_it() -> None:
    journal = Journal()
    batcher = CommandBatcher[Log, Result[str]](journal.mediator, max_size=9, max_wait=60)

    async def log_twice(command: LogTwice) -> None:
        for line in ("a", "b"):
            await batcher.send(Log(line=line))

    journal.registry.register_command_handler(LogTwice, log_twice)
    await batcher.close()
    await journal.mediator.send(LogTwice())
    assert len(journal.units) == 1
    assert journal.handled == ["a", "b"]


def test_sizes_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="max_size >= 1"):
        CommandBatcher(Journal().mediator, max_size=0)
    with pytest.raises(ConfigurationError, match="max_pending >= max_size"):
        CommandBatcher(Journal().mediator, max_size=9, max_pending=3)
