"""Several relays, failures and rollbacks on one outbox, on SQLite and PostgreSQL."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from cqrs_ddd_core.outbox import OutboxService
from cqrs_ddd_core.ports.outbox import OutboxMessage
from cqrs_ddd_core.ports.publisher import IMessagePublisher, PublishOutcome
from cqrs_ddd_core.primitives.exceptions import MessagingError
from cqrs_ddd_core.primitives.retry import ExponentialBackoff
from cqrs_ddd_core.testing.conformance import rolled_back
from cqrs_ddd_core.testing.samples import new_message
from cqrs_ddd_persistence_sqlalchemy import SQLAlchemyOutboxStorage, SQLAlchemyUnitOfWork

if TYPE_CHECKING:
    from uuid import UUID

    from sqlalchemy.ext.asyncio import AsyncEngine

AT_ONCE = ExponentialBackoff(initial=0.0, maximum=0.0)


class Broker(IMessagePublisher):
    """Keeps what it confirmed; refuses some messages a number of times."""

    def __init__(self, refusals: dict[UUID, int] | None = None) -> None:
        self.confirmed: list[OutboxMessage] = []
        self.refusals = refusals or {}

    async def publish(self, messages: Sequence[OutboxMessage]) -> Sequence[PublishOutcome]:
        failed: dict[str, PublishOutcome] = {}
        return [await self._publish(message, failed) for message in messages]

    async def _publish(
        self, message: OutboxMessage, failed: dict[str, PublishOutcome]
    ) -> PublishOutcome:
        await asyncio.sleep(0)
        if message.stream not in failed and self.refusals.get(message.message_id, 0):
            self.refusals[message.message_id] -= 1
            failed[message.stream] = MessagingError("refused")
        if message.stream not in failed:
            self.confirmed.append(message)
        return failed.get(message.stream)


def _storage(engine: AsyncEngine) -> SQLAlchemyOutboxStorage:
    return SQLAlchemyOutboxStorage(engine)


async def _drain(storage: SQLAlchemyOutboxStorage, service: OutboxService) -> None:
    while await storage.count_pending():
        if not await service.process_batch(50):
            await asyncio.sleep(0.01)


async def test_a_message_whose_publication_failed_is_published_later(engine: AsyncEngine) -> None:
    """S-8: neither lost nor overtaken."""
    storage = _storage(engine)
    messages = [new_message("Order-1") for _ in range(3)]
    broker = Broker({messages[0].message_id: 2})
    service = OutboxService(storage, broker, backoff=AT_ONCE, max_attempts=5)
    await storage.save_messages(messages)
    await service.process_batch()
    assert broker.confirmed == []
    await _drain(storage, service)
    assert broker.confirmed == messages


async def test_a_message_that_never_succeeds_is_parked_and_can_be_replayed(
    engine: AsyncEngine,
) -> None:
    """S-8, C-8."""
    storage = _storage(engine)
    bad, behind, other = new_message("Order-1"), new_message("Order-1"), new_message("Order-2")
    broker = Broker({bad.message_id: 2})
    service = OutboxService(storage, broker, backoff=AT_ONCE, max_attempts=2)
    await storage.save_messages([bad, behind, other])
    while not (parked := await storage.list_parked()):
        await service.process_batch()
    assert broker.confirmed == [other]
    assert [(item.message, item.attempts) for item in parked] == [(bad, 2)]
    assert parked[0].error == "MessagingError: refused"
    await storage.replay_parked([parked[0].sequence])
    await _drain(storage, service)
    assert broker.confirmed == [other, bad, behind]


async def test_a_rolled_back_unit_of_work_leaves_nothing_to_publish(engine: AsyncEngine) -> None:
    """S-9: and what a worker marks is committed."""
    storage, broker = _storage(engine), Broker()
    kept = new_message()
    async with rolled_back(lambda: SQLAlchemyUnitOfWork(engine)):
        await storage.save_messages([new_message()])
    async with SQLAlchemyUnitOfWork(engine):
        await storage.save_messages([kept])
    await OutboxService(storage, broker).process_batch()
    assert broker.confirmed == [kept]
    assert await SQLAlchemyOutboxStorage(engine).count_pending() == 0


async def _write(
    engine: AsyncEngine, stream: str, random_: random.Random, broker: Broker
) -> list[OutboxMessage]:
    """Save messages in many units of work; return those that were committed."""
    storage, saved = _storage(engine), []
    for number in range(15):
        messages = [new_message(stream) for _ in range(random_.randint(1, 4))]
        if number % 5 == 4:
            async with rolled_back(lambda: SQLAlchemyUnitOfWork(engine)):
                await storage.save_messages(messages)
            continue
        if number % 4 == 0:
            broker.refusals[messages[0].message_id] = 1
        async with SQLAlchemyUnitOfWork(engine):
            await storage.save_messages(messages)
        saved += messages
    return saved


async def test_two_relays_publish_every_message_once_and_in_order(engine: AsyncEngine) -> None:
    """S-10: while writers add messages, some units of work roll back and some messages fail."""
    storage, broker, is_written = _storage(engine), Broker(), asyncio.Event()
    random_ = random.Random(7)  # noqa: S311 - repeatable

    async def relay(max_partitions: int | None) -> None:
        service = OutboxService(
            storage, broker, backoff=AT_ONCE, max_partitions=max_partitions, max_attempts=10
        )
        while not is_written.is_set() or await storage.count_pending():
            if not await service.process_batch(20):
                await asyncio.sleep(0.01)
        await service.release()

    relays = [asyncio.create_task(relay(8)), asyncio.create_task(relay(None))]
    streams = [f"Order-{number}" for number in range(12)]
    saved = await asyncio.gather(*(_write(engine, stream, random_, broker) for stream in streams))
    is_written.set()
    await asyncio.gather(*relays)
    published: defaultdict[str, list[OutboxMessage]] = defaultdict(list)
    for message in broker.confirmed:
        published[message.stream].append(message)
    assert [published[stream] for stream in streams] == saved
