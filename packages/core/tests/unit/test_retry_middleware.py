"""Commands that lost a race are run again on fresh state."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cqrs_ddd_core.adapters.memory.database import InMemoryDatabase
from cqrs_ddd_core.adapters.memory.repository import InMemoryRepository
from cqrs_ddd_core.adapters.memory.unit_of_work import InMemoryUnitOfWork
from cqrs_ddd_core.cqrs.command import Command
from cqrs_ddd_core.cqrs.mediator import Mediator
from cqrs_ddd_core.cqrs.query import Query
from cqrs_ddd_core.cqrs.registry import HandlerRegistry
from cqrs_ddd_core.domain.aggregate import AggregateRoot
from cqrs_ddd_core.middleware.retry import RetryMiddleware, RetryPolicy
from cqrs_ddd_core.ports.unit_of_work import UnitOfWork
from cqrs_ddd_core.primitives.exceptions import (
    CommitOutcomeUnknownError,
    ConcurrencyError,
    ConfigurationError,
    DomainError,
    OptimisticConcurrencyError,
    TransientPersistenceError,
)
from cqrs_ddd_core.primitives.retry import ExponentialBackoff


class Counter(AggregateRoot[str]):
    value: int = 0


class Increment(Command[int]):
    counter: str


class IncrementTwice(Command[None]):
    counter: str


class Read(Query[int]):
    counter: str


class App:
    """A counter whose handler can be told to meet trouble."""

    def __init__(self, max_attempts: int = 3) -> None:
        self.database = InMemoryDatabase()
        self.counters = InMemoryRepository(Counter, self.database)
        self.units: list[UnitOfWork] = []
        self.slept: list[float] = []
        self.trouble: list[Exception] = []
        self.seen: list[int] = []
        backoff = ExponentialBackoff(initial=0.1, jitter=0)
        self.registry = HandlerRegistry()
        self.registry.register_command_handler(Increment, self.increment)
        self.registry.register_command_handler(IncrementTwice, self.increment_twice)
        self.registry.register_query_handler(Read, self.read)
        self.mediator = Mediator(
            self.registry,
            self._open,
            middlewares=[
                RetryMiddleware(RetryPolicy(max_attempts, backoff=backoff), sleep=self._sleep)
            ],
        )

    def _open(self) -> UnitOfWork:
        self.units.append(InMemoryUnitOfWork(self.database))
        return self.units[-1]

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    def meet_trouble(self) -> None:
        if self.trouble:
            raise self.trouble.pop(0)

    async def increment(self, command: Increment) -> int:
        counter = await self.counters.get_by_id(command.counter) or Counter(id=command.counter)
        self.seen.append(counter.value)
        counter.value += 1
        await self.counters.save(counter)
        self.meet_trouble()
        return counter.value

    async def increment_twice(self, command: IncrementTwice) -> None:
        for _ in range(2):
            await self.mediator.send(Increment(counter=command.counter))

    async def read(self, query: Read) -> int:
        self.meet_trouble()
        return (await self.counters.get(query.counter)).value


async def test_a_retry_runs_in_a_fresh_unit_of_work_on_fresh_state() -> None:
    """S-16: the failed unit of work is of no use to the next try."""
    app = App()
    app.trouble = [TransientPersistenceError("deadlock")]
    response = await app.mediator.send(Increment(counter="c"))
    assert response.result == 1
    assert app.seen == [0, 0]
    assert len(app.units) == 2
    assert await app.mediator.ask(Read(counter="c")) == 1


async def test_concurrent_writers_of_one_aggregate_all_succeed() -> None:
    """S-16: the loser of a race loads again and wins later."""
    app = App(max_attempts=20)
    results = await asyncio.gather(*(app.mediator.send(Increment(counter="c")) for _ in range(8)))
    assert sorted(response.result for response in results) == list(range(1, 9))
    assert await app.mediator.ask(Read(counter="c")) == 8


async def test_waits_begin_with_the_initial_delay_and_double() -> None:
    """H-3: the first wait is the initial one."""
    app = App(max_attempts=4)
    app.trouble = [TransientPersistenceError("deadlock")] * 3
    await app.mediator.send(Increment(counter="c"))
    assert app.slept == [0.1, 0.2, 0.4]


async def test_after_the_last_attempt_the_error_gets_out() -> None:
    app = App(max_attempts=2)
    app.trouble = [OptimisticConcurrencyError("Counter-c", 1, 2) for _ in range(3)]
    with pytest.raises(OptimisticConcurrencyError):
        await app.mediator.send(Increment(counter="c"))
    assert len(app.units) == 2
    assert len(app.trouble) == 1


@pytest.mark.parametrize("error", [DomainError("no"), CommitOutcomeUnknownError("?")])
async def test_other_errors_are_not_retried(error: Exception) -> None:
    app = App()
    app.trouble = [error]
    with pytest.raises(type(error)):
        await app.mediator.send(Increment(counter="c"))
    assert len(app.units) == 1
    assert app.slept == []


async def test_a_nested_failure_retries_the_whole_outer_command() -> None:
    app = App()
    app.trouble = [ConcurrencyError("lost")]
    await app.mediator.send(IncrementTwice(counter="c"))
    assert app.seen == [0, 0, 1]
    assert len(app.units) == 2
    assert await app.mediator.ask(Read(counter="c")) == 2


async def test_queries_are_retried_too() -> None:
    app = App()
    await app.mediator.send(Increment(counter="c"))
    app.trouble = [TransientPersistenceError("connection lost")]
    assert await app.mediator.ask(Read(counter="c")) == 1


async def test_a_cancelled_command_is_not_retried() -> None:
    app = App()
    entered = asyncio.Event()

    async def hang(command: IncrementTwice) -> None:
        entered.set()
        await asyncio.Event().wait()

    registry = HandlerRegistry()
    registry.register_command_handler(IncrementTwice, hang)
    mediator = Mediator(registry, InMemoryUnitOfWork, middlewares=[RetryMiddleware()])
    sending = asyncio.create_task(mediator.send(IncrementTwice(counter="c")))
    await entered.wait()
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert app.slept == []


@given(
    attempts=st.integers(1, 10_000),
    chance=st.floats(0, 1),
    jitter=st.floats(0, 1),
    factor=st.floats(1, 1000),
)
def test_a_wait_stays_between_nothing_and_the_maximum(
    attempts: int, chance: float, jitter: float, factor: float
) -> None:
    backoff = ExponentialBackoff(factor=factor, maximum=9.0, jitter=jitter, random=lambda: chance)
    assert 0 <= backoff.delay(attempts) <= 9.0


def test_jitter_only_shortens_a_wait() -> None:
    assert ExponentialBackoff(initial=1.0, jitter=0.5, random=lambda: 1.0).delay(1) == 0.5
    assert ExponentialBackoff(initial=1.0, jitter=0.5, random=lambda: 0.0).delay(1) == 1.0


def test_numbers_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="at least 1"):
        RetryPolicy(0)
    with pytest.raises(ConfigurationError, match="factor >= 1"):
        ExponentialBackoff(factor=0.5)
