"""The transport in memory keeps the promises of publishers and consumers."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import ClassVar

import pytest

from cqrs_ddd_core.ports.outbox import OutboxMessage
from cqrs_ddd_core.primitives.clock import FixedClock, utc_now
from cqrs_ddd_core.testing import (
    ConsumerConformance,
    ConsumerSubject,
    PublisherConformance,
    PublisherSubject,
)
from cqrs_ddd_infrastructure_messaging.memory import InMemoryTransport, InMemoryTransportConsumer
from cqrs_ddd_infrastructure_messaging.retry import RetryLadder
from cqrs_ddd_infrastructure_messaging.routing import TopicRouter
from cqrs_ddd_infrastructure_messaging.serialization import EnvelopeSerializer, MessageLimits
from cqrs_ddd_infrastructure_messaging.testing import (
    ROUTES,
    TransportConformance,
    TransportSubject,
)


class TestInMemoryTransportPublisher(PublisherConformance):
    @pytest.fixture
    def subject(self) -> PublisherSubject:
        limits = MessageLimits(max_bytes=9_999)
        transport = InMemoryTransport(serializer=EnvelopeSerializer(source="/t", limits=limits))
        return PublisherSubject(transport.publisher, transport.new_consumer, refused_bytes=10_000)


class TestInMemoryTransportConsumer(ConsumerConformance):
    @pytest.fixture
    def subject(self) -> ConsumerSubject:
        transport = InMemoryTransport(retry=RetryLadder(delays=(1.0, 5.0)))
        serializer = EnvelopeSerializer(source="/t")

        async def dead_letters(consumer: str) -> Sequence[OutboxMessage]:
            letters = await transport.dead_letters.list(consumer)
            return [serializer.decode(one.body, one.headers).message for one in letters]

        return ConsumerSubject(
            transport.new_consumer, transport.publisher, max_attempts=3, dead_letters=dead_letters
        )


class _Now(FixedClock):
    """Tells the machine's time: the suite compares it with that of dead letters."""

    def now(self) -> datetime:
        return utc_now()


class TestInMemoryTransport(TransportConformance):
    lacks: ClassVar[Mapping[str, str]] = {
        "crash": "it ends with the process",
        "cut": "it has no connections",
    }

    @pytest.fixture
    def subject(self) -> TransportSubject:
        retry = RetryLadder(delays=(1.0, 5.0))
        transport = InMemoryTransport(
            retry=retry,
            clock=_Now(),
            router=TopicRouter("suite", routes=ROUTES),
            serializer=EnvelopeSerializer(source="/t", limits=MessageLimits(max_bytes=10_000)),
        )

        def new_consumer(
            *, patterns: Collection[str] = (), partitions: int = 0
        ) -> InMemoryTransportConsumer:
            return transport.new_consumer(router=TopicRouter("suite"), patterns=patterns)

        async def publish_bytes(body: bytes, headers: Mapping[str, str]) -> None:
            transport.inject("suite", body, headers)

        return TransportSubject(
            publisher=transport.publisher,
            new_consumer=new_consumer,
            dead_letters=transport.dead_letters,
            max_attempts=retry.max_attempts,
            max_payload_bytes=10_000,
            publish_bytes=publish_bytes,
        )
