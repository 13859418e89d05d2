"""A RabbitMQ as a test sees it: names of its own, and everything removed afterwards."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, TypeAlias

import aio_pika
import pytest
from aiormq.abc import AbstractChannel
from pamqp.commands import Basic

from cqrs_ddd_core.primitives.retry import ExponentialBackoff
from cqrs_ddd_infrastructure_messaging.dead_letter import DeadLetter
from cqrs_ddd_infrastructure_messaging.rabbitmq import (
    RabbitMQConnection,
    RabbitMQPublisher,
    RabbitMQSettings,
    RabbitMQTopology,
)
from cqrs_ddd_infrastructure_messaging.rabbitmq.consumer import RabbitMQConsumer
from cqrs_ddd_infrastructure_messaging.rabbitmq.dead_letters import RabbitMQDeadLetters
from cqrs_ddd_infrastructure_messaging.rabbitmq.topology import Binding, Declaration, Exchange
from cqrs_ddd_infrastructure_messaging.retry import RetryLadder
from cqrs_ddd_infrastructure_messaging.routing import TopicRouter
from cqrs_ddd_infrastructure_messaging.serialization import EnvelopeSerializer, MessageLimits
from tools.services.proxy import TcpProxy

LIMITS = MessageLimits(max_bytes=10_000)
THREE_TRIES = RetryLadder(delays=(0.05, 0.1))
QUICKLY = ExponentialBackoff(initial=0.01, maximum=0.2)


class Broker:
    """A broker, and what a test has made on it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.settings = RabbitMQSettings(prefix=f"test-{uuid.uuid4().hex[:12]}")
        self._opened = AsyncExitStack()
        self._connections: list[RabbitMQConnection] = []
        self._queues: list[str] = []

    @property
    def serializer(self) -> EnvelopeSerializer:
        return EnvelopeSerializer(source="/test", limits=LIMITS)

    @property
    def topology(self) -> RabbitMQTopology:
        return RabbitMQTopology(self.settings)

    def connection(self, url: str | None = None, *, timeout: float = 5.0) -> RabbitMQConnection:
        """Return a connection that is closed after the test."""
        made = RabbitMQConnection(url or self.url, timeout=timeout, backoff=QUICKLY)
        self._connections.append(made)
        self._opened.push_async_callback(made.close)
        return made

    def publisher(
        self,
        connection: RabbitMQConnection | None = None,
        *,
        settings: RabbitMQSettings | None = None,
    ) -> RabbitMQPublisher:
        return RabbitMQPublisher(
            connection or self.connection(),
            router=TopicRouter("test"),
            serializer=self.serializer,
            settings=settings or self.settings,
        )

    def consumer(
        self, connection: RabbitMQConnection | None = None, **options: Any
    ) -> RabbitMQConsumer:
        """Return a consumer with three quick tries, if the options do not say otherwise."""
        options.setdefault("retry", THREE_TRIES)
        options.setdefault("serializer", self.serializer)
        return RabbitMQConsumer(
            connection or self.connection(),
            router=TopicRouter("test"),
            settings=self.settings,
            **options,
        )

    def dead_letters(self, connection: RabbitMQConnection | None = None) -> RabbitMQDeadLetters:
        return RabbitMQDeadLetters(connection or self.connection(), settings=self.settings)

    async def letters(self, count: int, consumer: str = "suite") -> Sequence[DeadLetter]:
        """Wait until a consumer has so many dead letters, and return them."""
        dead_letters = self.dead_letters()
        async with asyncio.timeout(60):
            while (  # noqa: ASYNC110 - no broker tells
                len(found := await dead_letters.list(consumer, limit=10_000)) < count
            ):
                await asyncio.sleep(0.02)
        return found

    async def put(
        self, queue: str, body: bytes, headers: Mapping[str, Any], **properties: Any
    ) -> None:
        """Put a message into a queue, as a stranger would."""
        async with self.channel() as channel:
            await channel.basic_publish(
                body,
                routing_key=queue,
                properties=Basic.Properties(headers=dict(headers), delivery_mode=2, **properties),
                mandatory=True,
            )

    @asynccontextmanager
    async def channel(self) -> AsyncIterator[AbstractChannel]:
        """Give the test a channel of its own, beside the code under test."""
        async with await aio_pika.connect(self.url) as connection:
            yield await (await connection.channel()).get_underlay_channel()

    async def listen(
        self, pattern: str = "#", *, arguments: Mapping[str, str | int] | None = None
    ) -> str:
        """Bind a new queue to the topics of the pattern and return its name."""
        queue = f"{self.settings.prefix}.listening-{len(self._queues)}"
        self._queues.append(queue)
        self.connection().publishing.require(self.topology.shared())
        await self._connections[-1].publishing.channel()
        async with self.channel() as channel:
            await channel.queue_declare(queue, durable=True, arguments=dict(arguments or {}))
            await channel.queue_bind(queue, self.topology.exchange, f"{pattern}.*")
        return queue

    async def take(self, queue: str) -> list[aio_pika.IncomingMessage]:
        """Return all messages of a queue and remove them."""
        taken = []
        async with self.channel() as channel:
            while (found := await channel.basic_get(queue, no_ack=True)).delivery.name != EMPTY:
                taken.append(aio_pika.IncomingMessage(found, no_ack=True))
        return taken

    async def take_ids(self, queue: str) -> list[str]:
        """Return the ids of all messages of a queue in order and remove them."""
        return [str(message.message_id) for message in await self.take(queue)]

    async def count(self, queue: str) -> int:
        async with self.channel() as channel:
            return (await channel.queue_declare(queue, passive=True)).message_count or 0

    async def wait_until_empty(self, *queues: str) -> None:
        """Wait until all messages of the queues are handled, or on their way."""
        async with asyncio.timeout(60):
            for queue in queues:
                while await self.count(queue):  # noqa: ASYNC110 - no broker tells
                    await asyncio.sleep(0.02)

    async def close(self) -> None:
        """Close the connections and remove what they declared."""
        await self._opened.aclose()
        async with self.channel() as channel:
            for queue in self._queues:
                await channel.queue_delete(queue)
            for declaration in self._declared():
                await _delete(channel, declaration)

    def _declared(self) -> Sequence[Declaration]:
        links = [link for made in self._connections for link in (made.publishing, made.consuming)]
        return [declaration for link in links for declaration, _ in link._required]


EMPTY = "Basic.GetEmpty"

NewBroker: TypeAlias = Callable[[str], AbstractAsyncContextManager[Broker]]


async def _delete(channel: AbstractChannel, declaration: Declaration) -> None:
    if isinstance(declaration, Exchange):
        await channel.exchange_delete(declaration.name)
    elif not isinstance(declaration, Binding):
        await channel.queue_delete(declaration.name)


@asynccontextmanager
async def _broker(url: str) -> AsyncIterator[Broker]:
    broker = Broker(url)
    try:
        yield broker
    finally:
        await broker.close()


@pytest.fixture
async def broker(rabbitmq_url: str) -> AsyncIterator[Broker]:
    """The broker that all tests share, under names of this test's own."""
    async with _broker(rabbitmq_url) as broker:
        yield broker


@pytest.fixture
def broker_at() -> NewBroker:
    """Another broker, such as one that the test may kill."""
    return _broker


@pytest.fixture
async def proxy(rabbitmq_url: str) -> AsyncIterator[TcpProxy]:
    """The way to the shared broker, which the test may cut and silence."""
    async with TcpProxy(rabbitmq_url) as proxy:
        yield proxy
