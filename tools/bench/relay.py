"""Relaying an outbox from PostgreSQL to RabbitMQ, beside the same publishes by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import aio_pika
from aio_pika.abc import AbstractExchange

from cqrs_ddd_core.ports.outbox import MessageKind, OutboxMessage
from cqrs_ddd_infrastructure_messaging import EnvelopeSerializer, OutboxRelay, TopicRouter
from cqrs_ddd_infrastructure_messaging.rabbitmq import (
    RabbitMQConnection,
    RabbitMQPublisher,
    RabbitMQSettings,
    RabbitMQTopology,
)
from cqrs_ddd_persistence_sqlalchemy import SQLAlchemyOutboxStorage
from tools.bench.broker import broker_url
from tools.bench.harness import Comparison, Operation
from tools.bench.postgres import empty_database, new_event, opened, settle

__all__ = ["COMPARISONS"]

_BATCH = 500
_STREAMS = 5_000
_BACKLOG = 200_000


def _message() -> OutboxMessage:
    event, stream = new_event(), f"Order-{uuid4().int % _STREAMS}"
    return OutboxMessage(event.event_id, MessageKind.EVENT, "OrderPlaced", event.payload, stream)


@asynccontextmanager
async def _relaying() -> AsyncIterator[tuple[Operation, Operation]]:
    with broker_url() as url:
        settings = RabbitMQSettings(prefix=f"bench-{uuid4().hex[:8]}")
        async with (
            empty_database(),
            _listening(url, settings),
            opened(4) as bench,
            _exchange(url, settings) as raw,
        ):
            storage = SQLAlchemyOutboxStorage(bench.engine)
            for _ in range(_BACKLOG // 5_000):
                await storage.save_messages([_message() for _ in range(5_000)])
            await settle(bench)
            connection = RabbitMQConnection(url)
            publisher = RabbitMQPublisher(
                connection,
                router=TopicRouter(),
                serializer=EnvelopeSerializer(source="/bench"),
                settings=settings,
            )
            relay = OutboxRelay(storage, publisher, batch_size=2 * _BATCH)
            messages = [_message() for _ in range(_BATCH)]

            async def by_hand() -> int:
                await asyncio.gather(*(_publish(raw, message) for message in messages))
                return len(messages)

            async def ours() -> int:
                done = await relay.run_once()
                if not done:
                    msg = f"{_BACKLOG} messages were not enough"
                    raise RuntimeError(msg)
                return done

            yield by_hand, ours
            await relay.stop()
            await connection.close()


async def _publish(exchange: AbstractExchange, message: OutboxMessage) -> None:
    """Publish persistent, mandatory and confirmed, with the least that a consumer needs."""
    await exchange.publish(
        aio_pika.Message(
            message.payload,
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            message_id=str(message.message_id),
            type=message.message_type,
            content_type="application/json",
            headers={"stream": message.stream},
        ),
        routing_key="OrderPlaced.0",
    )


@asynccontextmanager
async def _exchange(url: str, settings: RabbitMQSettings) -> AsyncIterator[AbstractExchange]:
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel(on_return_raises=True)
        yield await channel.get_exchange(RabbitMQTopology(settings).exchange)


@asynccontextmanager
async def _listening(url: str, settings: RabbitMQSettings) -> AsyncIterator[None]:
    """Bind one quorum queue to everything; what it holds does not grow beyond a limit."""
    topology = RabbitMQTopology(settings)
    connection = RabbitMQConnection(url)
    connection.publishing.require(topology.shared())
    channel = await connection.publishing.channel()
    queue = await channel.declare_queue(
        f"{settings.prefix}.all",
        durable=True,
        arguments={"x-queue-type": "quorum", "x-max-length": 10_000},
    )
    await queue.bind(topology.exchange, "#")
    try:
        yield
    finally:
        await queue.delete(if_unused=False, if_empty=False)
        await connection.close()


COMPARISONS = [
    Comparison(
        "relay-500",
        "messages",
        "aio-pika, 500 confirmed publishes at a time",
        _relaying,
        aim=0.85,
    )
]
