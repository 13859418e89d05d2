"""What RabbitMQ gets from the publisher, and what the publisher makes of its answers."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from cqrs_ddd_core.primitives.exceptions import BrokerUnavailableError
from cqrs_ddd_core.testing.samples import awkward_message, new_message
from cqrs_ddd_infrastructure_messaging.exceptions import (
    MalformedMessageError,
    QueueFullError,
    TopologyMismatchError,
    UnroutableMessageError,
)
from cqrs_ddd_infrastructure_messaging.rabbitmq import RabbitMQSettings
from cqrs_ddd_infrastructure_messaging.serialization import EnvelopeSerializer

if TYPE_CHECKING:
    from tests.conftest import Broker

    from tools.services.proxy import TcpProxy


async def test_a_message_is_persistent_and_its_properties_are_those_of_the_outbox(
    broker: Broker,
) -> None:
    """X-3."""
    queue = await broker.listen()
    message = replace(new_message(), correlation_id="c-1", causation_id="c-0", tenant_id="t")
    assert list(await broker.publisher(broker.connection()).publish([message])) == [None]
    [arrived] = await broker.take(queue)
    assert arrived.delivery_mode == 2
    assert arrived.message_id == str(message.message_id)
    assert arrived.correlation_id == "c-1"
    assert arrived.type == message.message_type
    assert arrived.content_type == "application/json"
    assert arrived.timestamp == message.occurred_at.replace(microsecond=0)
    assert arrived.body == message.payload


async def test_what_arrives_is_the_message(broker: Broker) -> None:
    """C-9, X-7: through the one serializer, for awkward values too."""
    queue = await broker.listen()
    old = replace(new_message(), occurred_at=datetime(1969, 7, 20, tzinfo=UTC))
    long_texts = replace(new_message(), correlation_id="c" * 300, message_type="T" * 200)
    messages = [new_message(), awkward_message(), old, long_texts]
    assert list(await broker.publisher(broker.connection()).publish(messages)) == [None] * 4
    arrived = await broker.take(queue)
    decode = EnvelopeSerializer(source="/test").decode
    found = [
        decode(one.body, {**one.headers, "content-type": one.content_type}).to_message()
        for one in arrived
    ]
    assert sorted(found, key=lambda m: m.message_id) == sorted(messages, key=lambda m: m.message_id)


async def test_messages_that_nobody_wants_are_kept_and_counted(broker: Broker) -> None:
    """X-3, F22: confirmed, because they are on disk in the queue of the unroutable."""
    message = new_message()
    assert list(await broker.publisher(broker.connection()).publish([message])) == [None]
    assert await broker.take_ids(broker.topology.unroutable) == [str(message.message_id)]


async def test_where_nobody_keeps_them_unwanted_messages_have_failed(broker: Broker) -> None:
    """X-3, F22: a returned message holds back its stream and nothing else."""
    broker.settings = replace(broker.settings, unroutable="refuse")
    queue = await broker.listen("event.test.Wanted")
    publisher = broker.publisher(broker.connection())
    unwanted = replace(new_message("a"), message_type="Unwanted")
    behind = replace(new_message("a"), message_type="Wanted")
    other = replace(new_message("b"), message_type="Wanted")
    outcomes = await publisher.publish([unwanted, behind, other])
    assert [type(outcome) for outcome in outcomes] == [
        UnroutableMessageError,
        UnroutableMessageError,
        type(None),
    ]
    assert str(unwanted.message_id) in str(outcomes[0])
    assert await broker.take_ids(queue) == [str(other.message_id)]


async def test_a_queue_that_is_deleted_live_loses_nothing(broker: Broker) -> None:
    """F22."""
    queue, connection = await broker.listen(), broker.connection()
    publisher = broker.publisher(connection)
    first, second, third = (new_message() for _ in range(3))
    await publisher.publish([first])
    assert await broker.take_ids(queue) == [str(first.message_id)]
    async with broker.channel() as channel:
        await channel.queue_delete(queue)
    assert list(await publisher.publish([second])) == [None]
    assert await broker.take_ids(broker.topology.unroutable) == [str(second.message_id)]
    # Even the net is gone: now it is returned, and stays in the outbox.
    async with broker.channel() as channel:
        await channel.queue_delete(broker.topology.unroutable)
    [outcome] = await publisher.publish([third])
    assert isinstance(outcome, UnroutableMessageError)


async def test_a_full_queue_is_nobodys_fault_and_loses_nothing(broker: Broker) -> None:
    """F24: what is refused is sent again until there is room, in the order of its stream."""
    queue = await broker.listen(arguments={"x-max-length": 10, "x-overflow": "reject-publish"})
    publisher = broker.publisher(broker.connection())
    messages = [new_message(f"Order-{number % 5}") for number in range(100)]
    pending, taken = list(messages), []
    refusals = 0
    while pending:
        outcomes = await publisher.publish(pending)
        refused = [o for o in outcomes if o is not None]
        refusals += len(refused)
        assert all(isinstance(outcome, QueueFullError) for outcome in refused)
        pending = [m for m, o in zip(pending, outcomes, strict=True) if o is not None]
        taken += await broker.take_ids(queue)
    assert refusals
    for stream in {message.stream for message in messages}:
        sent = [str(m.message_id) for m in messages if m.stream == stream]
        assert [one for one in taken if one in set(sent)] == sent


async def test_an_oversized_message_is_refused_before_it_is_sent(broker: Broker) -> None:
    """F30."""
    queue = await broker.listen()
    publisher = broker.publisher(broker.connection())
    too_long = new_message("a", payload=b'{"x": "' + b"x" * 20_000 + b'"}')
    fine = new_message("b")
    outcomes = await publisher.publish([too_long, fine])
    assert isinstance(outcomes[0], MalformedMessageError)
    assert await broker.take_ids(queue) == [str(fine.message_id)]


async def test_a_missing_exchange_stops_nobody_else_and_is_made_again(broker: Broker) -> None:
    """F23: the consuming connection does not notice, and the next batch goes through."""
    connection = broker.connection()
    publisher = broker.publisher(connection)
    consuming = await connection.consuming.channel()
    await publisher.publish([new_message()])
    async with broker.channel() as channel:
        await channel.exchange_delete(broker.topology.exchange)
    outcomes = await publisher.publish([new_message(f"Order-{n}") for n in range(40)])
    assert {type(outcome) for outcome in outcomes} == {BrokerUnavailableError}
    assert not consuming.is_closed
    assert connection.consuming.opened == 1
    queue = await broker.listen()
    again = [new_message(f"Order-{n}") for n in range(40)]
    assert list(await publisher.publish(again)) == [None] * 40
    assert set(await broker.take_ids(queue)) == {str(m.message_id) for m in again}


async def test_other_settings_under_the_same_prefix_are_told_apart(broker: Broker) -> None:
    await broker.publisher(broker.connection()).publish([new_message()])
    other = replace(broker.settings, unroutable="refuse")
    publisher = broker.publisher(broker.connection(), settings=other)
    with pytest.raises(TopologyMismatchError, match="alternate-exchange"):
        await publisher.publish([new_message()])


async def test_without_the_right_to_declare_what_is_missing_is_named(broker: Broker) -> None:
    settings = RabbitMQSettings(prefix=broker.settings.prefix, may_declare=False)
    publisher = broker.publisher(broker.connection(), settings=settings)
    with pytest.raises(TopologyMismatchError, match="NOT_FOUND"):
        await publisher.publish([new_message()])
    await broker.publisher(broker.connection()).publish([new_message()])
    assert list(await publisher.publish([new_message()])) == [None]


async def test_calls_at_the_same_time_keep_their_order(broker: Broker) -> None:
    queue, publisher = await broker.listen(), broker.publisher(broker.connection())
    batches = [[new_message("one") for _ in range(5)] for _ in range(5)]
    await asyncio.gather(*map(publisher.publish, batches))
    expected = [str(message.message_id) for batch in batches for message in batch]
    assert await broker.take_ids(queue) == expected


async def test_a_cancelled_call_leaves_a_publisher_that_works(
    broker: Broker, proxy: TcpProxy
) -> None:
    """F52."""
    queue, publisher = await broker.listen(), broker.publisher(broker.connection(proxy.url))
    await publisher.publish([new_message()])
    proxy.blackhole(down=True)
    async with asyncio.TaskGroup() as tasks:
        messages = [new_message(f"Order-{number}") for number in range(10)]
        publishing = tasks.create_task(publisher.publish(messages))
        while await broker.count(queue) < 11:
            assert not publishing.done()
        publishing.cancel()
    assert publishing.cancelled()
    await proxy.heal()
    message = new_message()
    assert list(await publisher.publish([message])) == [None]
    assert (await broker.take_ids(queue))[-1] == str(message.message_id)


async def test_no_message_needs_no_broker(broker: Broker, proxy: TcpProxy) -> None:
    await proxy.refuse()
    assert list(await broker.publisher(broker.connection(proxy.url)).publish([])) == []
