"""The transport in memory keeps the promises of publishers and consumers."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from cqrs_ddd_core.ports.outbox import OutboxMessage
from cqrs_ddd_core.testing import (
    ConsumerConformance,
    ConsumerSubject,
    PublisherConformance,
    PublisherSubject,
)
from cqrs_ddd_infrastructure_messaging.memory import InMemoryTransport
from cqrs_ddd_infrastructure_messaging.retry import RetryLadder
from cqrs_ddd_infrastructure_messaging.serialization import EnvelopeSerializer, MessageLimits


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
