"""The publisher of RabbitMQ keeps the promises of its port, on a real broker."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cqrs_ddd_core.testing import PublisherConformance, PublisherSubject
from cqrs_ddd_infrastructure_messaging.rabbitmq import RabbitMQConsumer
from cqrs_ddd_infrastructure_messaging.routing import TopicRouter
from cqrs_ddd_infrastructure_messaging.serialization import EnvelopeSerializer

if TYPE_CHECKING:
    from tests.conftest import Broker


class TestRabbitMQPublisher(PublisherConformance):
    @pytest.fixture
    async def subject(self, broker: Broker) -> PublisherSubject:
        connection = broker.connection()

        def new_consumer() -> RabbitMQConsumer:
            # One at a time and with one partition: messages arrive as they were sent.
            return RabbitMQConsumer(
                connection,
                serializer=EnvelopeSerializer(source="/test"),
                router=TopicRouter("test"),
                settings=broker.settings,
                partitions=1,
                concurrency=1,
            )

        return PublisherSubject(broker.publisher(connection), new_consumer, 10_001)
