"""Health tells the truth about the broker, the publisher and the consumers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest

from cqrs_ddd_core.primitives.exceptions import BrokerUnavailableError
from cqrs_ddd_core.testing.samples import new_message
from cqrs_ddd_infrastructure_messaging.rabbitmq import RabbitMQHealth

if TYPE_CHECKING:
    from tests.conftest import Broker

    from tools.services.proxy import TcpProxy


@dataclass
class _Consumer:
    is_consuming: bool


async def test_all_is_well_when_the_broker_answers(broker: Broker) -> None:
    connection = broker.connection()
    publisher = broker.publisher(connection)
    health = RabbitMQHealth(connection, publisher=publisher, settings=broker.settings)
    before = await health.check()
    assert before.is_healthy
    assert before.last_confirmed is None
    assert before.unroutable == 0
    await broker.listen()
    await publisher.publish([new_message()])
    after = await health.check()
    assert after.is_healthy
    assert after.last_confirmed is not None
    assert not after.warnings


async def test_what_nobody_wanted_is_a_warning(broker: Broker) -> None:
    """F22: the alert."""
    connection = broker.connection()
    await broker.publisher(connection).publish([new_message(), new_message("b")])
    status = await RabbitMQHealth(connection, settings=broker.settings).check()
    assert status.is_healthy
    assert status.unroutable == 2
    assert "2 messages" in status.warnings[0]


async def test_where_unwanted_messages_are_refused_none_are_counted(broker: Broker) -> None:
    broker.settings = replace(broker.settings, unroutable="refuse")
    connection = broker.connection()
    status = await RabbitMQHealth(connection, settings=broker.settings).check()
    assert status.is_healthy
    assert status.unroutable is None


@pytest.mark.parametrize("fault", ["refused", "silent"])
async def test_a_broker_that_does_not_answer_is_a_problem_until_it_does(
    broker: Broker, proxy: TcpProxy, fault: str
) -> None:
    """X-7: also when the connection was well a moment ago."""
    connection = broker.connection(proxy.url, timeout=0.3)
    publisher = broker.publisher(connection)
    health = RabbitMQHealth(connection, publisher=publisher, settings=broker.settings)
    assert (await health.check()).is_healthy
    if fault == "refused":
        await proxy.refuse()
    else:
        proxy.blackhole(down=True)
    broken = await health.check()
    assert not broken.is_healthy
    assert broken.unroutable is None
    await proxy.heal()
    await connection.publishing.channel_when_open()
    assert (await health.check()).is_healthy


async def test_the_publishers_last_failure_counts_until_it_succeeds(
    broker: Broker, proxy: TcpProxy
) -> None:
    connection = broker.connection(proxy.url)
    publisher = broker.publisher(connection)
    health = RabbitMQHealth(connection, publisher=publisher, settings=broker.settings)
    await proxy.refuse()
    with pytest.raises(BrokerUnavailableError):
        await publisher.publish([new_message()])
    await proxy.heal()
    await connection.publishing.channel_when_open()
    assert not (await health.check()).is_healthy
    await publisher.publish([new_message()])
    assert (await health.check()).is_healthy


async def test_a_consumer_that_receives_nothing_is_a_problem(broker: Broker) -> None:
    consumers = {"billing": _Consumer(True), "loyalty": _Consumer(False)}
    connection = broker.connection()
    broker.publisher(connection)
    health = RabbitMQHealth(connection, consumers=consumers, settings=broker.settings)
    status = await health.check()
    assert status.consumers == {"billing": True, "loyalty": False}
    assert status.problems == ("consumer 'loyalty' receives nothing",)
