"""Every transport keeps the promises of a whole transport."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping
from typing import TYPE_CHECKING

import pytest

from cqrs_ddd_core.ports.consumer import IMessageConsumer
from cqrs_ddd_core.primitives.exceptions import BrokerUnavailableError
from cqrs_ddd_infrastructure_messaging.nats import NATSConsumer
from cqrs_ddd_infrastructure_messaging.rabbitmq import RabbitMQConsumer, RabbitMQPublisher
from cqrs_ddd_infrastructure_messaging.retry import RetryLadder
from cqrs_ddd_infrastructure_messaging.routing import TopicRouter
from cqrs_ddd_infrastructure_messaging.testing import (
    ROUTES,
    TransportConformance,
    TransportSubject,
)
from cqrs_ddd_infrastructure_messaging.testing.faults import FaultTests
from tools.services.proxy import TcpProxy

if TYPE_CHECKING:
    from tests.conformance.conftest import NATS
    from tests.conftest import Broker

LADDER = RetryLadder(delays=(0.02, 0.04))


@pytest.fixture
async def rabbitmq_subject(broker: Broker) -> AsyncIterator[TransportSubject]:
    async with TcpProxy(broker.url) as proxy:

        def new_consumer(
            *, patterns: Collection[str] = (), partitions: int = 0
        ) -> RabbitMQConsumer:
            return RabbitMQConsumer(
                broker.connection(proxy.url),
                serializer=broker.serializer,
                router=TopicRouter("suite"),
                settings=broker.settings,
                retry=LADDER,
                patterns=patterns,
                partitions=partitions,
            )

        async def publish_bytes(body: bytes, headers: Mapping[str, str]) -> None:
            await broker.put(f"{broker.settings.prefix}.suite", body, headers)

        yield TransportSubject(
            publisher=RabbitMQPublisher(
                broker.connection(proxy.url),
                router=TopicRouter("suite", routes=ROUTES),
                serializer=broker.serializer,
                settings=broker.settings,
            ),
            new_consumer=new_consumer,
            dead_letters=broker.dead_letters(),
            max_attempts=LADDER.max_attempts,
            max_payload_bytes=10_000,
            publish_bytes=publish_bytes,
            crash=_crash_rabbitmq,
            cut_connections=proxy.cut,
        )


async def _crash_rabbitmq(consumer: IMessageConsumer) -> None:
    assert isinstance(consumer, RabbitMQConsumer)
    for subscription in consumer._running.values():
        assert subscription._task is not None
        intake = subscription._intake
        for task in [subscription._task, *intake._lanes._tasks]:  # type: ignore[attr-defined]
            task.cancel()
    consumer._connection.consuming.drop(BrokerUnavailableError("killed"))


@pytest.fixture
async def nats_subject(nats_server: NATS) -> AsyncIterator[TransportSubject]:
    server = nats_server
    async with TcpProxy(server.url) as proxy:

        def new_consumer(*, patterns: Collection[str] = (), partitions: int = 0) -> NATSConsumer:
            return server.consumer(
                server.connection(proxy.url),
                router=TopicRouter("suite"),
                retry=LADDER,
                patterns=patterns,
                partitions=partitions,
            )

        async def publish_bytes(body: bytes, headers: Mapping[str, str]) -> None:
            link = await server.connection().link(server.topology)
            subject = f"{server.settings.prefix}.messages.0.0.0.0.0.event.suite"
            await link.jetstream.publish(
                f"{subject}.SampleOrderPlaced.-", body, headers=dict(headers)
            )

        yield TransportSubject(
            publisher=server.publisher(
                server.connection(proxy.url), router=TopicRouter("suite", routes=ROUTES)
            ),
            new_consumer=new_consumer,
            dead_letters=server.dead_letters(),
            max_attempts=LADDER.max_attempts,
            max_payload_bytes=10_000,
            publish_bytes=publish_bytes,
            crash=server.crash,
            cut_connections=proxy.cut,
        )


class TestRabbitMQTransport(TransportConformance):
    @pytest.fixture
    def subject(self, rabbitmq_subject: TransportSubject) -> TransportSubject:
        return rabbitmq_subject


class TestNATSTransport(TransportConformance):
    @pytest.fixture
    def subject(self, nats_subject: TransportSubject) -> TransportSubject:
        return nats_subject


@pytest.mark.fault
class TestRabbitMQUnderManyCuts(FaultTests):
    messages_under_cuts, cuts = 3_000, 40

    @pytest.fixture
    def subject(self, rabbitmq_subject: TransportSubject) -> TransportSubject:
        return rabbitmq_subject


@pytest.mark.fault
class TestNATSUnderManyCuts(FaultTests):
    messages_under_cuts, cuts = 3_000, 40

    @pytest.fixture
    def subject(self, nats_subject: TransportSubject) -> TransportSubject:
        return nats_subject
