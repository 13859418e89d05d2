"""A backlog is drained in order and in flat memory, on each database."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections import defaultdict
from collections.abc import Sequence

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from cqrs_ddd_core.ports.outbox import OutboxMessage
from cqrs_ddd_core.ports.publisher import IMessagePublisher, PublishOutcome
from cqrs_ddd_core.testing.samples import new_message
from cqrs_ddd_infrastructure_messaging import OutboxRelay
from cqrs_ddd_persistence_sqlalchemy import SQLAlchemyOutboxStorage

CHUNK = 5_000
KILOBYTE = 1024


class Counter(IMessagePublisher):
    """Forgets what it confirmed, and notes how much memory was in use."""

    def __init__(self) -> None:
        self.count = 0
        self.bytes: list[int] = []

    async def publish(self, messages: Sequence[OutboxMessage]) -> Sequence[PublishOutcome]:
        await asyncio.sleep(0)
        self.count += len(messages)
        self.bytes.append(tracemalloc.get_traced_memory()[0])
        return [None] * len(messages)


class Archive(IMessagePublisher):
    """Keeps what it confirmed."""

    def __init__(self) -> None:
        self.streams: defaultdict[str, list[OutboxMessage]] = defaultdict(list)

    async def publish(self, messages: Sequence[OutboxMessage]) -> Sequence[PublishOutcome]:
        await asyncio.sleep(0)
        for message in messages:
            self.streams[message.stream].append(message)
        return [None] * len(messages)


async def test_two_relays_drain_a_backlog_together(engine: AsyncEngine) -> None:
    """G4: each message once, each stream in order."""
    storage, archive = SQLAlchemyOutboxStorage(engine), Archive()
    messages = [new_message(f"Order-{number % 37}") for number in range(2_000)]
    await storage.save_messages(messages)
    relays = [
        OutboxRelay(storage, archive, batch_size=50, poll_interval=0.02, lease_seconds=2.0)
        for _ in range(2)
    ]
    for relay in relays:
        await relay.start()
    async with asyncio.timeout(120):
        while await storage.count_pending():  # noqa: ASYNC110 - the relays publish
            await asyncio.sleep(0.02)
    for relay in relays:
        await relay.stop()
    expected: defaultdict[str, list[OutboxMessage]] = defaultdict(list)
    for message in messages:
        expected[message.stream].append(message)
    assert archive.streams == expected


@pytest.mark.parametrize(
    "count",
    [
        10_000,
        pytest.param(200_000, marks=[pytest.mark.slow, pytest.mark.timeout(1800)]),
    ],
)
async def test_memory_stays_flat_while_a_backlog_is_drained(
    postgres_engine: AsyncEngine, count: int
) -> None:
    """G11: what a batch needs, however many wait."""
    storage, broker = SQLAlchemyOutboxStorage(postgres_engine), Counter()
    for start in range(0, count, CHUNK):
        await storage.save_messages(
            [new_message(f"Order-{number % 1000}") for number in range(start, start + CHUNK)]
        )
    relay = OutboxRelay(storage, broker, batch_size=250)
    tracemalloc.start()
    try:
        while broker.count < count:
            await relay.run_once()
    finally:
        tracemalloc.stop()
    await relay.stop()
    assert broker.count == count
    quarter = len(broker.bytes) // 4
    assert max(broker.bytes[-quarter:]) < max(broker.bytes[quarter : 2 * quarter]) + 512 * KILOBYTE
