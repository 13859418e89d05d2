"""The relay wakes up, publishes, purges, stops and tells how it is; on memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta

from cqrs_ddd_core.adapters.memory import (
    InMemoryDatabase,
    InMemoryOutboxStorage,
    InMemoryUnitOfWork,
    InMemoryWakeUp,
)
from cqrs_ddd_core.background import WorkerState
from cqrs_ddd_core.ports.outbox import OutboxMessage
from cqrs_ddd_core.ports.publisher import IMessagePublisher, PublishOutcome
from cqrs_ddd_core.primitives.clock import FixedClock, utc_now
from cqrs_ddd_core.primitives.exceptions import BrokerUnavailableError, UndeliverableError
from cqrs_ddd_core.primitives.retry import ExponentialBackoff
from cqrs_ddd_core.testing.conformance import rolled_back
from cqrs_ddd_core.testing.samples import new_message
from cqrs_ddd_infrastructure_messaging import OutboxRelay

NEVER = 3600.0
AT_ONCE = ExponentialBackoff(initial=0.001, maximum=0.001)


class Broker(IMessagePublisher):
    """Confirms what it does not refuse, and tells when it did."""

    def __init__(self) -> None:
        self.confirmed: list[OutboxMessage] = []
        self.refuses: Callable[[OutboxMessage], Exception | None] = lambda _: None
        self.asked = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()

    async def publish(self, messages: Sequence[OutboxMessage]) -> Sequence[PublishOutcome]:
        self.asked.set()
        await self.gate.wait()
        outcomes = [self.refuses(message) for message in messages]
        self.confirmed += [m for m, o in zip(messages, outcomes, strict=True) if o is None]
        return outcomes

    async def wait_for(self, count: int) -> None:
        async with asyncio.timeout(30):
            while len(self.confirmed) < count:  # noqa: ASYNC110 - the relay marks meanwhile
                await asyncio.sleep(0.001)


async def test_a_commit_wakes_it_and_a_rollback_does_not() -> None:
    database, wake_up, broker = InMemoryDatabase(), InMemoryWakeUp(), Broker()
    storage = InMemoryOutboxStorage(database, wake_up=wake_up)
    kept = new_message()
    relay = OutboxRelay(storage, broker, wake_up=wake_up, poll_interval=NEVER)
    await relay.start()
    async with rolled_back(lambda: InMemoryUnitOfWork(database)):
        await storage.save_messages([new_message()])
    async with InMemoryUnitOfWork(database):
        await storage.save_messages([kept])
    await broker.wait_for(1)
    await relay.stop()
    assert broker.confirmed == [kept]


async def test_without_wake_ups_it_finds_everything_by_polling() -> None:
    storage, broker = InMemoryOutboxStorage(), Broker()
    relay = OutboxRelay(storage, broker, poll_interval=0.01)
    await relay.start()
    await storage.save_messages([new_message()])
    await broker.wait_for(1)
    await relay.stop()


async def test_a_stopped_relay_is_not_woken_any_more() -> None:
    wake_up, broker = InMemoryWakeUp(), Broker()
    storage = InMemoryOutboxStorage(wake_up=wake_up)
    relay = OutboxRelay(storage, broker, wake_up=wake_up, poll_interval=NEVER)
    for _ in range(2):
        await relay.start()
        await relay.stop()
    await storage.save_messages([new_message()])
    assert broker.confirmed == []


async def test_stop_finishes_the_batch_under_way_and_leaves_nothing_leased() -> None:
    """G10."""
    storage, broker = InMemoryOutboxStorage(), Broker()
    messages = [new_message(f"Order-{number}") for number in range(30)]
    await storage.save_messages(messages)
    broker.gate.clear()
    relay = OutboxRelay(storage, broker, batch_size=10)
    await relay.start()
    await broker.asked.wait()
    stopping = asyncio.create_task(relay.stop())
    await asyncio.sleep(0)
    broker.gate.set()
    await stopping
    assert broker.confirmed == messages[:5]
    leases = await storage.lease_partitions("another", seconds=60)
    assert len(leases) == storage.partitions
    # What was read ahead was not tried.
    rest = await storage.claim_pending(leases)
    assert [item.message for item in rest] == messages[5:]
    assert {item.attempts for item in rest} == {1}


async def test_a_broker_that_never_answers_does_not_keep_it_from_stopping() -> None:
    """G10: within the deadline."""
    storage, broker = InMemoryOutboxStorage(), Broker()
    await storage.save_messages([new_message()])
    broker.gate.clear()
    relay = OutboxRelay(storage, broker, stop_timeout=0.05)
    await relay.start()
    await broker.asked.wait()
    async with asyncio.timeout(30):
        await relay.stop()
    assert await storage.count_pending() == 1
    assert len(await storage.lease_partitions("another", seconds=60)) == storage.partitions


async def test_health_tells_what_waits_and_since_when() -> None:
    clock, broker = FixedClock(utc_now()), Broker()
    storage = InMemoryOutboxStorage(clock=clock)
    relay = OutboxRelay(storage, broker, clock=clock, message_backoff=AT_ONCE)
    assert (await relay.health()).oldest_age_seconds == 0.0
    poison, behind = (new_message("poison", occurred_at=clock.now()) for _ in range(2))
    broker.refuses = lambda m: UndeliverableError("no") if m == poison else None
    fine = [new_message(f"Order-{number}") for number in range(120)]
    await storage.save_messages([poison, behind, *fine])
    broker.refuses = lambda m: UndeliverableError("no") if m.stream == "poison" else None
    await relay.run_once()
    clock.advance(90)
    health = await relay.health()
    assert (health.pending, health.parked, health.oldest_age_seconds) == (1, 1, 90.0)
    assert (health.state, health.partitions) == (WorkerState.STOPPED, storage.partitions)
    assert 0 < health.rate <= 122
    assert not health.is_healthy


async def test_health_says_that_the_broker_is_away_and_when_it_is_back() -> None:
    storage, broker = InMemoryOutboxStorage(), Broker()
    await storage.save_messages([new_message()])
    broker.refuses = lambda _: BrokerUnavailableError("connection lost")
    relay = OutboxRelay(storage, broker, poll_interval=0.01, backoff=AT_ONCE)
    await relay.start()
    async with asyncio.timeout(30):
        while (health := await relay.health()).state is not WorkerState.FAILING:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    assert health.last_error is not None
    assert "connection lost" in health.last_error
    broker.refuses = lambda _: None
    await broker.wait_for(1)
    async with asyncio.timeout(30):
        while not (await relay.health()).is_healthy:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    await relay.stop()


async def test_published_messages_are_kept_for_their_time() -> None:
    clock, broker = FixedClock(utc_now()), Broker()
    storage, message = InMemoryOutboxStorage(clock=clock), new_message()
    await storage.save_messages([message])
    await OutboxRelay(storage, broker, clock=clock).run_once()
    clock.advance(8 * 24 * 3600)
    kept = OutboxRelay(storage, broker, owner="kept", retention=None, clock=clock)
    await kept.run_once()
    await storage.save_messages([message])
    assert await storage.count_pending() == 0
    await kept.stop()
    await OutboxRelay(storage, broker, clock=clock, retention=timedelta(days=7)).run_once()
    await storage.save_messages([message])
    assert await storage.count_pending() == 1
