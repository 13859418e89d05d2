"""Draining an outbox: the next batch is read while one is confirmed, and leases are kept."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from datetime import timedelta

import pytest

from cqrs_ddd_core.adapters.memory import InMemoryOutboxStorage
from cqrs_ddd_core.outbox import OutboxService, OutboxWorker
from cqrs_ddd_core.outbox.leases import PartitionLeases
from cqrs_ddd_core.ports.outbox import OutboxMessage, OutboxPartition, PendingMessage
from cqrs_ddd_core.ports.publisher import IMessagePublisher, PublishOutcome
from cqrs_ddd_core.primitives.exceptions import (
    BrokerUnavailableError,
    ConfigurationError,
    MessagingError,
    TransientPersistenceError,
)
from cqrs_ddd_core.primitives.retry import ExponentialBackoff
from cqrs_ddd_core.testing.samples import new_message

LATER = ExponentialBackoff(initial=60.0, jitter=0)


class Broker(IMessagePublisher):
    """Confirms what it does not refuse, once its gate is open."""

    def __init__(self, refuses: Callable[[OutboxMessage], Exception | None] | None = None) -> None:
        self.refuses = refuses or (lambda _: None)
        self.confirmed: list[OutboxMessage] = []
        self.asked = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()

    async def publish(self, messages: Sequence[OutboxMessage]) -> Sequence[PublishOutcome]:
        self.asked.set()
        await self.gate.wait()
        failed: dict[str, PublishOutcome] = {}
        return [self._publish(message, failed) for message in messages]

    def _publish(self, message: OutboxMessage, failed: dict[str, PublishOutcome]) -> PublishOutcome:
        refusal = failed.get(message.stream) or self.refuses(message)
        if refusal is None:
            self.confirmed.append(message)
        else:
            failed[message.stream] = refusal
        return refusal


class Storage(InMemoryOutboxStorage):
    """Tells when something behind a batch is claimed, and can lose its connection.

    It marks nothing while its gate is closed.
    """

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.gate.set()
        self.marks = 0
        self.claimed_ahead = asyncio.Event()
        self.renewed = asyncio.Event()
        self.is_away = False

    async def claim_pending(
        self,
        leases: Collection[OutboxPartition],
        *,
        limit: int = 100,
        excluding: Collection[int] = (),
    ) -> list[PendingMessage]:
        claimed = await super().claim_pending(leases, limit=limit, excluding=excluding)
        if excluding:
            self.claimed_ahead.set()
        return claimed

    async def mark_published(
        self, leases: Collection[OutboxPartition], sequences: Collection[int]
    ) -> int:
        self.marks += 1
        await self.gate.wait()
        if self.is_away:
            raise TransientPersistenceError("connection lost")
        return await super().mark_published(leases, sequences)

    async def renew_partitions(
        self, leases: Collection[OutboxPartition], *, seconds: float
    ) -> list[OutboxPartition]:
        if self.is_away:
            raise TransientPersistenceError("connection lost")
        renewed = await super().renew_partitions(leases, seconds=seconds)
        self.renewed.set()
        return renewed


async def _drain(storage: InMemoryOutboxStorage, service: OutboxService, size: int) -> None:
    while await storage.count_pending():
        await service.drain(size)


def _messages(count: int, *, streams: int) -> list[OutboxMessage]:
    return [new_message(f"Order-{number % streams}") for number in range(count)]


async def test_everything_is_published_in_order_and_once() -> None:
    storage, broker, messages = InMemoryOutboxStorage(), Broker(), _messages(95, streams=7)
    await storage.save_messages(messages)
    assert await OutboxService(storage, broker).drain(10) == 95
    assert broker.confirmed == messages
    assert await storage.count_pending() == 0


async def test_the_next_batch_is_read_while_one_is_confirmed() -> None:
    storage, broker = Storage(), Broker()
    await storage.save_messages(_messages(20, streams=20))
    broker.gate.clear()
    draining = asyncio.create_task(OutboxService(storage, broker).drain(10))
    async with asyncio.timeout(30):
        await storage.claimed_ahead.wait()
    assert broker.confirmed == []
    broker.gate.set()
    assert await draining == 20


async def test_one_half_is_published_while_the_other_is_marked_and_no_more() -> None:
    """G4: a crash doubles at most what one batch holds."""
    storage, broker, messages = Storage(), Broker(), _messages(60, streams=60)
    await storage.save_messages(messages)
    storage.gate.clear()
    draining = asyncio.create_task(OutboxService(storage, broker).drain(20))
    for _ in range(50):
        await asyncio.sleep(0)
    assert broker.confirmed == messages[:20]
    assert storage.marks == 1
    storage.gate.set()
    assert await draining == 60
    assert broker.confirmed == messages
    assert await storage.count_pending() == 0


async def test_what_cannot_be_marked_is_published_again() -> None:
    """G4: the outbox did not learn that the broker has it."""
    storage, broker, messages = Storage(), Broker(), _messages(6, streams=6)
    await storage.save_messages(messages)
    storage.is_away = True
    service = OutboxService(storage, broker)
    with pytest.raises(TransientPersistenceError):
        await service.drain(4)
    assert len(broker.confirmed) <= 4
    storage.is_away = False
    await _drain(storage, service, 4)
    assert {one.message_id for one in broker.confirmed} == {one.message_id for one in messages}
    assert await storage.count_pending() == 0


async def test_cancelled_it_waits_for_no_mark() -> None:
    """G10: the database may be gone."""
    storage, broker = Storage(), Broker()
    await storage.save_messages(_messages(20, streams=20))
    storage.gate.clear()
    draining = asyncio.create_task(OutboxService(storage, broker).drain(10))
    for _ in range(50):
        await asyncio.sleep(0)
    draining.cancel()
    async with asyncio.timeout(30):
        await asyncio.wait([draining])
    assert draining.cancelled()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_what_was_read_ahead_waits_for_a_failure_in_its_stream() -> None:
    """C-8: order is kept across batches, and who was not tried keeps its attempts."""
    storage, messages = InMemoryOutboxStorage(), _messages(40, streams=4)
    broker = Broker(lambda m: MessagingError("no") if m == messages[1] else None)
    await storage.save_messages(messages)
    service = OutboxService(storage, broker, backoff=LATER)
    while await service.drain(10):
        pass
    assert broker.confirmed == [m for m in messages if m.stream != "Order-1"]
    pending = await storage.list_parked()
    assert pending == []
    assert await storage.count_pending() == 10
    await service.release()
    leases = await storage.lease_partitions("operator", seconds=60)
    assert await storage.claim_pending(leases) == []


@pytest.mark.parametrize("size", [1, 3, 10])
async def test_streams_keep_their_order_whatever_fails(size: int) -> None:
    """C-8, S-8."""
    storage, messages = InMemoryOutboxStorage(), _messages(60, streams=5)
    fails = {message.message_id: 2 for message in messages[::7]}

    def refuse(message: OutboxMessage) -> Exception | None:
        if not fails.get(message.message_id):
            return None
        fails[message.message_id] -= 1
        return MessagingError("no")

    broker = Broker(refuse)
    await storage.save_messages(messages)
    at_once = ExponentialBackoff(initial=0.0, maximum=0.0)
    await _drain(storage, OutboxService(storage, broker, backoff=at_once), size)
    assert sorted(broker.confirmed, key=messages.index) == messages
    for stream in {message.stream for message in messages}:
        published = [m for m in broker.confirmed if m.stream == stream]
        assert published == [m for m in messages if m.stream == stream]


async def test_a_broker_that_goes_away_costs_nobody_an_attempt() -> None:
    storage, messages = InMemoryOutboxStorage(), _messages(20, streams=20)
    broker = Broker(lambda _: BrokerUnavailableError("gone"))
    await storage.save_messages(messages)
    service = OutboxService(storage, broker)
    for _ in range(3):
        with pytest.raises(BrokerUnavailableError):
            await service.drain(10)
    leases = service.partitions
    claimed = await storage.claim_pending(leases)
    assert [item.attempts for item in claimed] == [1] * 20


async def test_it_stops_after_the_batch_under_way() -> None:
    """G10."""
    storage, broker, messages = InMemoryOutboxStorage(), Broker(), _messages(30, streams=3)
    await storage.save_messages(messages)
    assert await OutboxService(storage, broker).drain(10, is_stopping=lambda: True) == 5
    assert broker.confirmed == messages[:5]
    assert await storage.count_pending() == 25


async def test_a_block_ends_although_its_lost_leases_were_forgotten_meanwhile() -> None:
    """G4: the half before may have learnt that another owner has them."""
    storage = InMemoryOutboxStorage()
    leases = PartitionLeases(storage, "former", seconds=0.6)
    await leases.take()

    async def publish() -> None:
        async with leases.kept():
            await storage.release_partitions("former")
            await storage.lease_partitions("another", seconds=60)
            leases.forget()
            await asyncio.Event().wait()

    publishing = asyncio.create_task(publish())
    await asyncio.wait([publishing], timeout=30)
    assert publishing.done(), "the leases were kept though they are lost"
    assert isinstance(publishing.exception(), TimeoutError)


async def test_leases_are_renewed_while_a_broker_takes_its_time() -> None:
    storage, broker = Storage(), Broker()
    await storage.save_messages(_messages(5, streams=5))
    broker.gate.clear()
    service = OutboxService(storage, broker, lease_seconds=0.9)
    draining = asyncio.create_task(service.drain())
    for _ in range(4):
        async with asyncio.timeout(30):
            await storage.renewed.wait()
        storage.renewed.clear()
        assert await storage.lease_partitions("another", seconds=60) == []
    broker.gate.set()
    assert await draining == 5
    assert await storage.count_pending() == 0


async def test_publishing_ends_with_the_leases_when_they_cannot_be_renewed() -> None:
    """G4: or a new owner could be overtaken by what the old one still sends."""
    storage, broker = Storage(), Broker()
    await storage.save_messages(_messages(5, streams=5))
    broker.gate.clear()
    storage.is_away = True
    with pytest.raises(BrokerUnavailableError):
        await OutboxService(storage, broker, lease_seconds=0.2).drain()
    assert await storage.count_pending() == 5


async def test_publishing_ends_when_a_lease_was_lost() -> None:
    storage, broker = Storage(), Broker()
    await storage.save_messages(_messages(5, streams=5))
    broker.gate.clear()
    service = OutboxService(storage, broker, owner="me", lease_seconds=0.9)
    draining = asyncio.create_task(service.drain())
    await broker.asked.wait()
    await storage.release_partitions("me")
    with pytest.raises(BrokerUnavailableError):
        await draining
    assert service.partitions == ()


async def test_services_share_the_work_and_take_over_from_one_that_left() -> None:
    """S-10: any number of relays."""
    storage, broker, messages = InMemoryOutboxStorage(), Broker(), _messages(400, streams=40)
    services = [OutboxService(storage, broker, lease_seconds=1.0) for _ in range(3)]
    halves = messages[:200], messages[200:]

    async def run(service: OutboxService) -> None:
        while await storage.count_pending():
            await service.drain(7)
            await asyncio.sleep(0.01)

    await storage.save_messages(halves[0])
    await asyncio.gather(*(run(service) for service in services))
    await services[0].release()
    await storage.save_messages(halves[1])
    await asyncio.gather(*(run(service) for service in services[1:]))
    assert sorted(broker.confirmed, key=messages.index) == messages
    for stream in {message.stream for message in messages}:
        published = [m for m in broker.confirmed if m.stream == stream]
        assert published == [m for m in messages if m.stream == stream]


async def test_a_second_service_gets_half_of_the_partitions() -> None:
    storage, broker = InMemoryOutboxStorage(), Broker()
    one, two = (OutboxService(storage, broker, lease_seconds=0.9) for _ in range(2))
    while [len(one.partitions), len(two.partitions)] != [8, 8]:
        await one.drain()
        await two.drain()
        await asyncio.sleep(0.01)


async def test_a_worker_purges_what_was_published_long_ago() -> None:
    storage, broker = InMemoryOutboxStorage(), Broker()
    [message] = _messages(1, streams=1)
    await storage.save_messages([message])
    worker = OutboxWorker(OutboxService(storage, broker), retention=timedelta(0))
    await worker.run_once()
    # Purged: its id is forgotten, so it counts as new.
    await storage.save_messages([message])
    assert await storage.count_pending() == 1


async def test_a_worker_without_retention_keeps_everything() -> None:
    storage, broker = InMemoryOutboxStorage(), Broker()
    [message] = _messages(1, streams=1)
    await storage.save_messages([message])
    await OutboxWorker(OutboxService(storage, broker)).run_once()
    await storage.save_messages([message])
    assert await storage.count_pending() == 0


def test_a_batch_of_nothing_is_refused() -> None:
    service = OutboxService(InMemoryOutboxStorage(), Broker())
    with pytest.raises(ConfigurationError, match="batch_size"):
        OutboxWorker(service, batch_size=0)
