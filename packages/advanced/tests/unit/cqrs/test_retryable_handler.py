"""A handler whose commands are run again after errors that pass."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from cqrs_ddd_advanced_core.cqrs import RetryableCommandHandler, RetryBehavior
from cqrs_ddd_core.adapters.memory import (
    InMemoryDatabase,
    InMemoryInbox,
    InMemoryRepository,
    InMemoryUnitOfWork,
)
from cqrs_ddd_core.cqrs.command import Command
from cqrs_ddd_core.cqrs.mediator import Mediator
from cqrs_ddd_core.cqrs.registry import HandlerRegistry
from cqrs_ddd_core.domain.aggregate import AggregateRoot
from cqrs_ddd_core.middleware import IdempotencyMiddleware
from cqrs_ddd_core.ports.unit_of_work import UnitOfWork
from cqrs_ddd_core.ports.unit_of_work_scope import get_current_uow
from cqrs_ddd_core.primitives.exceptions import (
    ConfigurationError,
    DomainError,
    LockAcquisitionError,
    OptimisticConcurrencyError,
    TransientPersistenceError,
)


class Count(Command[int]):
    counter: str = "c"


class CountTwice(Command[None]):
    counter: str = "c"


class Counter(AggregateRoot[str]):
    value: int = 0


class CountHandler(RetryableCommandHandler[Count, int]):
    retry_delay = 0.0

    def __init__(self, repo: InMemoryRepository[Counter]) -> None:
        self.repo = repo
        self.trouble: list[Exception] = []
        self.seen: list[int] = []
        self.units: list[UnitOfWork | None] = []

    async def _handle_internal(self, command: Count) -> int:
        counter = await self.repo.get_by_id(command.counter) or Counter(id=command.counter)
        self.seen.append(counter.value)
        self.units.append(get_current_uow())
        counter.value += 1
        await self.repo.save(counter)
        if self.trouble:
            raise self.trouble.pop(0)
        return counter.value


class App:
    def __init__(
        self, handler: type[CountHandler] = CountHandler, *, idempotent: bool = False
    ) -> None:
        self.database = InMemoryDatabase()
        self.counters = InMemoryRepository(Counter, self.database)
        self.handler = handler(self.counters)
        self.registry = HandlerRegistry()
        self.registry.command_handler(self.handler)
        inbox = InMemoryInbox(self.database)
        self.mediator = Mediator(
            self.registry,
            lambda: InMemoryUnitOfWork(self.database),
            middlewares=[IdempotencyMiddleware(inbox)] if idempotent else [],
        )

    async def value(self) -> int:
        return (await self.counters.get("c")).value


@pytest.mark.parametrize(
    "error",
    [
        TransientPersistenceError("deadlock"),
        OptimisticConcurrencyError("Counter-c", 1, 2),
        LockAcquisitionError("Counter-c", 1.0),
    ],
)
async def test_a_retry_runs_in_a_fresh_unit_of_work_on_fresh_state(error: Exception) -> None:
    app = App()
    app.handler.trouble = [error, error]
    assert (await app.mediator.send(Count())).result == 1
    assert app.handler.seen == [0, 0, 0]
    assert len(set(app.handler.units)) == 3
    assert await app.value() == 1


async def test_other_errors_get_out_at_once() -> None:
    app = App()
    app.handler.trouble = [DomainError("no")]
    with pytest.raises(DomainError, match="no"):
        await app.mediator.send(Count())
    assert app.handler.seen == [0]


async def test_max_retries_counts_the_tries_after_the_first() -> None:
    app = App()
    app.handler.trouble = [TransientPersistenceError("deadlock")] * 5
    with pytest.raises(TransientPersistenceError):
        await app.mediator.send(Count())
    assert len(app.handler.seen) == 4
    assert len(app.handler.trouble) == 1


async def test_no_retries_means_one_try() -> None:
    class Once(CountHandler):
        max_retries = 0

    app = App(Once)
    app.handler.trouble = [TransientPersistenceError("deadlock")]
    with pytest.raises(TransientPersistenceError):
        await app.mediator.send(Count())
    assert app.handler.seen == [0]


async def test_a_nested_command_is_retried_with_its_outer_one_only() -> None:
    app = App()

    class TwiceHandler(RetryableCommandHandler[CountTwice, None]):
        retry_delay = 0.0

        async def _handle_internal(self, command: CountTwice) -> None:
            for _ in range(2):
                await app.mediator.send(Count())

    app.registry.command_handler(TwiceHandler)
    app.handler.trouble = [TransientPersistenceError("deadlock")]
    await app.mediator.send(CountTwice())
    assert app.handler.seen == [0, 0, 1]
    assert len(set(app.handler.units)) == 2
    assert await app.value() == 2


async def test_inside_an_outer_unit_of_work_that_is_not_retried_nothing_is() -> None:
    app = App()
    app.handler.trouble = [TransientPersistenceError("deadlock")]
    with pytest.raises(TransientPersistenceError):
        async with InMemoryUnitOfWork(app.database):
            await app.mediator.send(Count())
    assert app.handler.seen == [0]
    assert await app.counters.get_by_id("c") is None


async def test_a_repeated_command_has_one_effect_however_often_each_is_retried() -> None:
    app = App(idempotent=True)
    command = Count()
    app.handler.trouble = [TransientPersistenceError("deadlock")] * 2
    responses = [await app.mediator.send(command) for _ in range(2)]
    assert [(response.result, response.replayed) for response in responses] == [
        (1, False),
        (1, True),
    ]
    assert app.handler.seen == [0, 0, 0]
    assert await app.value() == 1


async def test_all_of_many_writers_of_one_aggregate_get_through() -> None:
    class Patient(CountHandler):
        max_retries = 200
        retry_delay = 0.001
        max_retry_delay = 0.01

    app = App(Patient)
    responses = await asyncio.gather(*(app.mediator.send(Count()) for _ in range(16)))
    assert sorted(response.result for response in responses) == list(range(1, 17))
    assert await app.value() == 16


def waits(handler: RetryableCommandHandler[Any], count: int) -> list[float | None]:
    """What the retry behavior of a handler answers after each failure."""
    [behavior] = handler.get_pipeline()
    assert isinstance(behavior, RetryBehavior)
    error = TransientPersistenceError("deadlock")
    return [behavior.policy.next_delay(attempts, error) for attempts in range(1, count + 1)]


class Waiting(RetryableCommandHandler[Count, int]):
    max_retries = 5
    retry_delay = 1.0
    max_retry_delay = 5.0
    jitter = 0.0

    async def _handle_internal(self, command: Count) -> int:
        return 1


def test_the_first_wait_is_the_retry_delay_itself() -> None:
    """H-3: it was multiplied once too often."""
    assert waits(Waiting(), 6) == [1.0, 2.0, 4.0, 5.0, 5.0, None]


def test_without_exponential_backoff_all_waits_are_equal() -> None:
    class Even(Waiting):
        exponential_backoff = False

    assert waits(Even(), 6) == [1.0] * 5 + [None]


def test_jitter_shortens_a_wait_by_its_share_at_most() -> None:
    class Jittery(Waiting):
        jitter = 0.25

    delays = [delay for delay in waits(Jittery(), 5) if delay is not None]
    assert all(
        longest * 0.75 <= delay <= longest
        for delay, longest in zip(delays, [1.0, 2.0, 4.0, 5.0, 5.0], strict=True)
    )


async def test_numbers_that_make_no_sense_are_refused_when_the_handler_is_first_used() -> None:
    class Wrong(CountHandler):
        max_retries = -1

    with pytest.raises(ConfigurationError, match="max_retries"):
        await App(Wrong).mediator.send(Count())
