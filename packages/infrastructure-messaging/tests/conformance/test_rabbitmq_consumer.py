from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cqrs_ddd_core.testing import ConsumerConformance, ConsumerSubject

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.conftest import Broker

    from cqrs_ddd_core.ports.outbox import OutboxMessage


class TestRabbitMQConsumer(ConsumerConformance):
    @pytest.fixture
    def subject(self, broker: Broker) -> ConsumerSubject:
        return _subject(broker)


class TestPartitionedRabbitMQConsumer(ConsumerConformance):
    @pytest.fixture
    def subject(self, broker: Broker) -> ConsumerSubject:
        return _subject(broker, partitions=2)


def _subject(broker: Broker, *, partitions: int = 0) -> ConsumerSubject:
    async def dead_letters(consumer: str) -> Sequence[OutboxMessage]:
        letters = await broker.dead_letters().list(consumer)
        decode = broker.serializer.decode
        return [decode(letter.body, letter.headers).to_message() for letter in letters]

    return ConsumerSubject(
        new_consumer=lambda: broker.consumer(partitions=partitions),
        publisher=broker.publisher(),
        max_attempts=3,
        dead_letters=dead_letters,
    )
