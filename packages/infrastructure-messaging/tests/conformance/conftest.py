"""A NATS server as a test sees it: names of its own, and everything removed afterwards."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from typing import Any

import nats
import pytest

from cqrs_ddd_core.ports.consumer import IMessageConsumer
from cqrs_ddd_core.ports.outbox import OutboxMessage
from cqrs_ddd_core.primitives.retry import ExponentialBackoff
from cqrs_ddd_infrastructure_messaging.nats import (
    NATSConnection,
    NATSConsumer,
    NATSDeadLetters,
    NATSPublisher,
    NATSSettings,
    NATSTopology,
)
from cqrs_ddd_infrastructure_messaging.retry import RetryLadder
from cqrs_ddd_infrastructure_messaging.routing import TopicRouter
from cqrs_ddd_infrastructure_messaging.serialization import EnvelopeSerializer, MessageLimits

LIMITS = MessageLimits(max_bytes=10_000)
THREE_TRIES = RetryLadder(delays=(0.05, 0.1))
QUICKLY = ExponentialBackoff(initial=0.01, maximum=0.2)


class NATS:
    """A server, and what a test has made on it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.settings = NATSSettings(
            prefix=f"test-{uuid.uuid4().hex[:12]}", ack_wait=1.0, publish_timeout=5.0
        )
        self._opened = AsyncExitStack()

    @property
    def serializer(self) -> EnvelopeSerializer:
        return EnvelopeSerializer(source="/test", limits=LIMITS)

    @property
    def topology(self) -> NATSTopology:
        return NATSTopology(self.settings)

    def connection(self, url: str | None = None) -> NATSConnection:
        """Return a connection that is closed after the test."""
        made = NATSConnection(url or self.url, timeout=5.0, backoff=QUICKLY)
        self._opened.push_async_callback(made.close)
        return made

    def publisher(
        self, connection: NATSConnection | None = None, *, router: TopicRouter | None = None
    ) -> NATSPublisher:
        return NATSPublisher(
            connection or self.connection(),
            router=router or TopicRouter("test"),
            serializer=self.serializer,
            settings=self.settings,
        )

    def consumer(self, connection: NATSConnection | None = None, **options: Any) -> NATSConsumer:
        """Return a consumer with three quick tries, if the options do not say otherwise."""
        options.setdefault("retry", THREE_TRIES)
        options.setdefault("settings", self.settings)
        return NATSConsumer(connection or self.connection(), serializer=self.serializer, **options)

    def dead_letters(self, connection: NATSConnection | None = None) -> NATSDeadLetters:
        return NATSDeadLetters(connection or self.connection(), settings=self.settings)

    async def dead_messages(self, consumer: str) -> Sequence[OutboxMessage]:
        """Return the dead letters of a consumer as the messages they were."""
        decode = self.serializer.decode
        letters = await self.dead_letters().list(consumer)
        return [decode(letter.body, letter.headers).to_message() for letter in letters]

    def with_settings(self, **changes: Any) -> NATSSettings:
        return replace(self.settings, **changes)

    async def crash(self, consumer: IMessageConsumer) -> None:
        """End a consumer as a killed process would."""
        assert isinstance(consumer, NATSConsumer)
        for running in consumer._running.values():
            for task in [*running._subscription._tasks, *running._lanes._tasks]:
                task.cancel()
        link = consumer._connection._link
        assert link is not None
        link.client._transport._io_writer.transport.abort()  # type: ignore[union-attr]
        consumer._connection._is_closed = True

    async def close(self) -> None:
        """Close the connections and remove the streams."""
        await self._opened.aclose()
        client = await nats.connect(self.url)
        for stream in (self.topology.messages, self.topology.dead):
            with suppress(nats.js.errors.NotFoundError):
                await client.jetstream().delete_stream(stream)
        await client.close()


@pytest.fixture
async def nats_server(nats_url: str) -> AsyncIterator[NATS]:
    """The server that all tests share, under names of this test's own."""
    server = NATS(nats_url)
    try:
        yield server
    finally:
        await server.close()


@pytest.fixture
def nats_at() -> type[NATS]:
    """Another server, such as one that the test may kill."""
    return NATS
