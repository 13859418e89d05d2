"""Consuming from RabbitMQ into PostgreSQL, each message once: in batches and one by one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from uuid import UUID, uuid4

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage

from cqrs_ddd_core.ports.outbox import MessageKind, OutboxMessage
from cqrs_ddd_infrastructure_messaging import (
    EnvelopeSerializer,
    IdempotentConsumer,
    RetryLadder,
    TopicRouter,
)
from cqrs_ddd_infrastructure_messaging.rabbitmq import (
    RabbitMQConnection,
    RabbitMQConsumer,
    RabbitMQPublisher,
    RabbitMQSettings,
    RabbitMQTopology,
)
from cqrs_ddd_infrastructure_messaging.rabbitmq.topology import Exchange, Queue
from cqrs_ddd_persistence_sqlalchemy import SQLAlchemyInbox, SQLAlchemyUnitOfWork
from tools.bench.broker import broker_url
from tools.bench.harness import Comparison, Operation
from tools.bench.postgres import Bench, new_event, opened

__all__ = ["COMPARISONS"]

_PREFETCH = 400
_BATCH = 200
_TASKS = 8

# What a careful engineer would write by hand.
_MARK = """
INSERT INTO cqrs_inbox (consumer, tenant_id, message_id, received_at)
VALUES ($1, '', $2, clock_timestamp()) ON CONFLICT DO NOTHING
"""
_MARK_MANY = """
INSERT INTO cqrs_inbox (consumer, tenant_id, message_id, received_at)
SELECT $1, '', id, clock_timestamp() FROM unnest($2::uuid[]) AS id
ON CONFLICT DO NOTHING RETURNING message_id
"""


class _Counter:
    """Lets handlers pass while somebody waits for messages to be handled."""

    def __init__(self) -> None:
        self._handled = 0
        self._wanted = 0
        self._gate = asyncio.Event()
        self._enough = asyncio.Event()

    async def turn(self) -> None:
        await self._gate.wait()

    def open(self) -> None:
        """Let everything pass from now on."""
        self._gate.set()

    def count(self, number: int) -> None:
        self._handled += number
        if self._handled >= self._wanted:
            self._enough.set()

    async def more(self, number: int) -> int:
        """Wait until so many more are handled; return how many were."""
        before, self._wanted = self._handled, self._handled + number
        self._enough.clear()
        self._gate.set()
        async with asyncio.timeout(60):
            await self._enough.wait()
        self._gate.clear()
        return self._handled - before


class _Queues:
    """Queues of the same messages, one for each way."""

    def __init__(self, url: str) -> None:
        self.settings = RabbitMQSettings(prefix=f"bench-{uuid4().hex[:8]}")
        self.topology = RabbitMQTopology(self.settings)
        self.serializer = EnvelopeSerializer(source="/bench")
        self.connection = RabbitMQConnection(url)

    def consumer(self, *, concurrency: int) -> RabbitMQConsumer:
        return RabbitMQConsumer(
            self.connection,
            serializer=self.serializer,
            settings=self.settings,
            prefetch=_PREFETCH,
            concurrency=concurrency,
        )

    async def declare(self) -> None:
        """Declare the queue of the raw way as ours is."""
        consumer = self.consumer(concurrency=1)
        await consumer.subscribe(["OrderPlaced"], _nothing, consumer="raw")
        await consumer.start()
        await consumer.stop()

    async def fill(self, count: int) -> None:
        publisher = RabbitMQPublisher(
            self.connection,
            router=TopicRouter(),
            serializer=self.serializer,
            settings=self.settings,
        )
        for _ in range(count // 500):
            outcomes = await publisher.publish([_message() for _ in range(500)])
            failed = [outcome for outcome in outcomes if outcome is not None]
            if failed:
                raise failed[0]
        await publisher.close()

    async def close(self, url: str) -> None:
        """Remove everything that was declared."""
        await self.connection.close()
        async with await aio_pika.connect(url) as connection, connection.channel() as channel:
            for consumer in ("raw", "ours"):
                delays = RetryLadder().delays
                for declared in self.topology.of_consumer(consumer, ["#"], delays=delays):
                    if isinstance(declared, Queue):
                        await channel.queue_delete(declared.name)
                    elif isinstance(declared, Exchange):
                        await channel.exchange_delete(declared.name)


async def _nothing(_: OutboxMessage) -> None: ...


def _message() -> OutboxMessage:
    event = new_event()
    stream = f"Order-{uuid4().int % 1000}"
    return OutboxMessage(event.event_id, MessageKind.EVENT, "OrderPlaced", event.payload, stream)


class _RawConsumer:
    """aio-pika's own consumer: what has arrived stands in a buffer."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._arrived: asyncio.Queue[AbstractIncomingMessage] = asyncio.Queue()

    async def start(self, channel: AbstractChannel, queue: str) -> None:
        await channel.set_qos(prefetch_count=_PREFETCH)
        await (await channel.get_queue(queue, ensure=False)).consume(self._arrived.put)

    async def batch(self) -> int:
        """Mark what has arrived with one statement and acknowledge it with one frame."""
        batch = [await self._arrived.get()]
        while len(batch) < _BATCH and not self._arrived.empty():
            batch.append(self._arrived.get_nowait())
        ids = [UUID(message.message_id) for message in batch]
        async with self._bench.pool.acquire() as connection, connection.transaction():
            await connection.fetch(_MARK_MANY, "raw", ids)
        await batch[-1].ack(multiple=True)
        return len(batch)

    async def one_by_one(self) -> int:
        """Mark each in a transaction of its own and acknowledge it."""
        await asyncio.gather(*(self._some(_BATCH // _TASKS) for _ in range(_TASKS)))
        return _BATCH

    async def _some(self, count: int) -> None:
        for _ in range(count):
            message = await self._arrived.get()
            async with self._bench.pool.acquire() as connection, connection.transaction():
                await connection.execute(_MARK, "raw", UUID(message.message_id))
            await message.ack()


@asynccontextmanager
async def _consuming(count: int, *, in_batches: bool) -> AsyncIterator[tuple[Operation, Operation]]:
    tasks = 1 if in_batches else _TASKS
    with broker_url() as url:
        async with _queues(url) as queues, opened(tasks) as bench:
            await queues.declare()
            counter = _Counter()
            ours = queues.consumer(concurrency=tasks)
            await _subscribe(ours, _idempotent(bench), counter, in_batches=in_batches)
            await queues.fill(count)
            raw = _RawConsumer(bench)
            async with await aio_pika.connect(url) as connection:
                [queue] = queues.topology.queues("raw")
                await raw.start(await connection.channel(), queue)
                await ours.start()
                yield (raw.batch if in_batches else raw.one_by_one), partial(counter.more, _BATCH)
                counter.open()
                await ours.stop()


@asynccontextmanager
async def _queues(url: str) -> AsyncIterator[_Queues]:
    queues = _Queues(url)
    try:
        yield queues
    finally:
        await queues.close(url)


def _idempotent(bench: Bench) -> IdempotentConsumer:
    return IdempotentConsumer(
        _nothing,
        consumer="ours",
        inbox=SQLAlchemyInbox(bench.engine),
        uow_factory=partial(SQLAlchemyUnitOfWork, bench.engine),
    )


async def _subscribe(
    consumer: RabbitMQConsumer,
    idempotent: IdempotentConsumer,
    counter: _Counter,
    *,
    in_batches: bool,
) -> None:
    async def handle(message: OutboxMessage) -> None:
        await counter.turn()
        await idempotent(message)
        counter.count(1)

    async def handle_batch(messages: Sequence[OutboxMessage]) -> Sequence[Exception | None]:
        await counter.turn()
        outcomes = await idempotent.handle_batch(messages)
        counter.count(len(messages))
        return outcomes

    if in_batches:
        await consumer.subscribe_batch(
            ["OrderPlaced"], handle_batch, consumer="ours", batch_size=_BATCH
        )
    else:
        await consumer.subscribe(["OrderPlaced"], handle, consumer="ours")


COMPARISONS = [
    Comparison(
        "consume-batches",
        "messages",
        "aio-pika, asyncpg, one insert a batch",
        partial(_consuming, 80_000, in_batches=True),
        aim=0.8,
    ),
    Comparison(
        "consume-one-by-one",
        "messages",
        "aio-pika, asyncpg, a transaction each",
        partial(_consuming, 20_000, in_batches=False),
        aim=0.9,
    ),
]
