"""NATS JetStream keeps the promises of publishers and consumers, on a real server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import nats
import pytest

from cqrs_ddd_core.ports.publisher import PublishOutcome
from cqrs_ddd_core.primitives.exceptions import BrokerUnavailableError, SerializationError
from cqrs_ddd_core.testing import (
    ConsumerConformance,
    ConsumerSubject,
    PublisherConformance,
    PublisherSubject,
)
from cqrs_ddd_core.testing.publisher import Received
from cqrs_ddd_core.testing.samples import new_message
from cqrs_ddd_infrastructure_messaging.dead_letter import DeathReason
from cqrs_ddd_infrastructure_messaging.exceptions import (
    DeadLetterError,
    MalformedMessageError,
    QueueFullError,
    TopologyMismatchError,
)
from cqrs_ddd_infrastructure_messaging.nats import NATSConsumer, NATSPublisher, NATSTopology
from cqrs_ddd_infrastructure_messaging.retry import RetryLadder
from cqrs_ddd_infrastructure_messaging.routing import TopicRouter
from cqrs_ddd_infrastructure_messaging.serialization import EnvelopeSerializer, MessageLimits
from tools.services.proxy import TcpProxy

if TYPE_CHECKING:
    from uuid import UUID

    from nats.js import JetStreamContext
    from tests.conformance.conftest import NATS

    from cqrs_ddd_core.ports.consumer import MessageHandler
    from cqrs_ddd_core.ports.outbox import OutboxMessage
    from tools.services.nats import NATSServer

TYPE = "SampleOrderPlaced"


class TestNATSPublisher(PublisherConformance):
    @pytest.fixture
    def subject(self, nats_server: NATS) -> PublisherSubject:
        return PublisherSubject(
            nats_server.publisher(),
            # One at a time: messages arrive as they were sent.
            lambda: nats_server.consumer(partitions=1),
            refused_bytes=10_001,
        )


class TestNATSConsumer(ConsumerConformance):
    @pytest.fixture
    def subject(self, nats_server: NATS) -> ConsumerSubject:
        return _subject(nats_server, partitions=0)


class TestPartitionedNATSConsumer(ConsumerConformance):
    @pytest.fixture
    def subject(self, nats_server: NATS) -> ConsumerSubject:
        return _subject(nats_server, partitions=2)


def _subject(server: NATS, *, partitions: int) -> ConsumerSubject:
    return ConsumerSubject(
        new_consumer=lambda: server.consumer(partitions=partitions),
        publisher=server.publisher(),
        max_attempts=3,
        dead_letters=server.dead_messages,
    )


async def test_a_message_published_twice_arrives_once(nats_server: NATS) -> None:
    """The server knows its id: what a relay repeats after a lost answer has no second copy."""
    received, message, last = Received(), new_message(), new_message()
    async with _consuming(nats_server, received):
        publisher = nats_server.publisher()
        assert list(await publisher.publish([message])) == [None]
        assert list(await publisher.publish([message, last])) == [None, None]
        assert await received.wait_for(2) == [message, last]


async def test_a_handler_that_takes_long_is_not_handed_its_message_again(
    nats_server: NATS,
) -> None:
    """Three times the wait after which the server would do so."""
    settings = nats_server.with_settings(ack_wait=0.2)
    received = Received()
    deliveries: list[OutboxMessage] = []

    async def handle(message: OutboxMessage) -> None:
        deliveries.append(message)
        await asyncio.sleep(0.6)
        await received(message)

    async with _consuming(nats_server, handle, settings=settings):
        await nats_server.publisher().publish([new_message()])
        await received.wait_for(1)
        await nats_server.publisher().publish([last := new_message()])
        await received.wait_for(2)
    assert deliveries == [received.messages[0], last]


async def test_headers_that_do_not_fit_beside_the_body_harm_nobody(nats_server: NATS) -> None:
    """F30: the server would end the connection of who sends them."""
    limits = MessageLimits(max_bytes=1_048_576, max_header_bytes=100_000)
    publisher = NATSPublisher(
        nats_server.connection(),
        router=TopicRouter("test"),
        serializer=EnvelopeSerializer(source="/test", limits=limits),
        settings=nats_server.settings,
    )
    body = b'"' + b"x" * 1_000_000 + b'"'
    wide = new_message("a", payload=b'{"x":' + body + b"}", headers={"h": "y" * 60_000})
    refused, accepted = await publisher.publish([wide, new_message("b")])
    assert isinstance(refused, MalformedMessageError)
    assert accepted is None


async def test_a_silent_server_is_given_up_in_time_and_used_again_when_it_speaks(
    nats_server: NATS,
) -> None:
    """F19: no outcome is a guess; F12: it goes on by itself."""
    async with TcpProxy(nats_server.url) as proxy:
        publisher = NATSPublisher(
            nats_server.connection(proxy.url),
            router=TopicRouter("test"),
            serializer=nats_server.serializer,
            settings=nats_server.with_settings(publish_timeout=0.3),
        )
        first, second = new_message(), new_message()
        received = Received()
        async with _consuming(nats_server, received):
            assert list(await publisher.publish([first])) == [None]
            proxy.blackhole(up=True, down=True)
            async with asyncio.timeout(5):
                [outcome] = await publisher.publish([second])
            assert isinstance(outcome, BrokerUnavailableError)
            await proxy.heal()
            async with asyncio.timeout(10):
                while await _outcome(publisher, second) is not None:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            assert await received.wait_for(2) == [first, second]


async def test_a_server_that_refuses_is_nobodys_fault(nats_server: NATS) -> None:
    """F20: instead of outcomes, for nothing was sent; the address keeps its secrets."""
    async with TcpProxy(nats_server.url) as proxy:
        url = proxy.url.replace("://", "://user:s3cret@")
    publisher = nats_server.publisher(nats_server.connection(url))
    with pytest.raises(BrokerUnavailableError) as caught:
        await publisher.publish([new_message()])
    assert "s3cret" not in str(caught.value)


async def test_streams_with_other_settings_are_not_taken_for_ours(nats_server: NATS) -> None:
    await nats_server.connection().link(nats_server.topology)
    other = NATSTopology(nats_server.with_settings(max_bytes=1_000_000))
    with pytest.raises(TopologyMismatchError, match="messages"):
        await nats_server.connection().link(other)


async def test_a_full_stream_holds_messages_back_in_the_outbox(nats_server: NATS) -> None:
    """F24: nothing that waits is dropped for them."""
    settings = nats_server.with_settings(max_bytes=20_000)
    publisher = NATSPublisher(
        nats_server.connection(),
        router=TopicRouter("test"),
        serializer=nats_server.serializer,
        settings=settings,
    )
    entered, received = asyncio.Event(), Received()

    async def never_ends(_: OutboxMessage) -> None:
        entered.set()
        await asyncio.Event().wait()

    consumer = nats_server.consumer(settings=settings, stop_timeout=0)
    await consumer.subscribe([TYPE], never_ends, consumer="suite")
    await consumer.start()
    messages = [new_message(str(n), payload=b'{"x":"' + b"x" * 4_000 + b'"}') for n in range(8)]
    outcomes = await publisher.publish(messages)
    await entered.wait()
    await consumer.stop()
    assert {type(one) for one in outcomes} == {type(None), QueueFullError}
    stored = [one for one, outcome in zip(messages, outcomes, strict=True) if outcome is None]
    async with _consuming(nats_server, received, settings=settings):
        arrived = await received.wait_for(len(stored))
    assert sorted(one.message_id for one in arrived) == sorted(one.message_id for one in stored)


async def test_a_message_is_given_up_only_when_its_letter_is_stored(nats_server: NATS) -> None:
    """F31, G9: the stream of dead letters is away when it is needed, and there is one letter."""
    async with _consuming(nats_server, Received()):
        pass
    client = await nats.connect(nats_server.url)
    await client.jetstream().delete_stream(nats_server.topology.dead)
    await client.close()

    async def refuse(_: OutboxMessage) -> None:
        raise SerializationError("no")

    async with _consuming(nats_server, refuse):
        await nats_server.publisher().publish([message := new_message()])
        async with asyncio.timeout(30):
            while not (dead := await nats_server.dead_messages("suite")):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    assert list(dead) == [message]


async def test_a_message_that_ends_its_process_again_and_again_becomes_a_letter(
    nats_server: NATS,
) -> None:
    settings = nats_server.with_settings(ack_wait=0.2, delivery_limit=1)
    retry = RetryLadder(delays=())
    entered = asyncio.Event()

    async def never_ends(_: OutboxMessage) -> None:
        entered.set()
        await asyncio.Event().wait()

    async def start() -> NATSConsumer:
        consumer = nats_server.consumer(settings=settings, retry=retry)
        await consumer.subscribe([TYPE], never_ends, consumer="suite")
        await consumer.start()
        return consumer

    consumer = await start()
    await nats_server.publisher().publish([new_message()])
    for _ in range(2):
        await asyncio.wait_for(entered.wait(), 10)
        entered.clear()
        await nats_server.crash(consumer)
        consumer = await start()
    async with asyncio.timeout(10):
        while not (letters := await nats_server.dead_letters().list("suite")):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    await consumer.stop()
    assert [(one.reason, one.attempts) for one in letters] == [(DeathReason.BROKER, 3)]


async def test_a_place_that_was_deleted_is_made_again(nats_server: NATS) -> None:
    """F22."""
    received = Received()
    async with _consuming(nats_server, received) as consumer:
        client = await nats.connect(nats_server.url)
        jetstream = client.jetstream()
        await jetstream.delete_consumer(nats_server.topology.messages, "suite")
        async with asyncio.timeout(10):
            while await _is_missing(jetstream, nats_server.topology.messages):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        await client.close()
        await nats_server.publisher().publish([message := new_message()])
        assert await received.wait_for(1) == [message]
        assert consumer.is_consuming


async def test_letters_of_a_consumer_without_a_place_are_not_thrown_away(
    nats_server: NATS,
) -> None:
    async def refuse(_: OutboxMessage) -> None:
        raise SerializationError("no")

    dead_letters = nats_server.dead_letters()
    async with _consuming(nats_server, refuse):
        await nats_server.publisher().publish([new_message()])
        async with asyncio.timeout(10):
            while not await dead_letters.list("suite"):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    client = await nats.connect(nats_server.url)
    await client.jetstream().delete_consumer(nats_server.topology.messages, "suite-again")
    await client.close()
    with pytest.raises(DeadLetterError, match="start it first"):
        await dead_letters.replay_all("suite")
    assert len(await dead_letters.list("suite")) == 1


@pytest.mark.fault
async def test_nothing_is_lost_when_the_server_is_killed_and_started_again(
    new_nats_server: Callable[[], NATSServer], nats_at: Callable[[str], NATS]
) -> None:
    """F21."""
    process = new_nats_server()
    server = nats_at(process.url)
    messages = [new_message(f"Order-{number % 20}") for number in range(1_000)]
    handled: set[UUID] = set()

    async def handle(message: OutboxMessage) -> None:
        handled.add(message.message_id)

    async with _consuming(server, handle):
        publisher, remaining = server.publisher(), list(messages)
        async with asyncio.timeout(120):
            while remaining:
                batch = remaining[:50]
                try:
                    outcomes = await publisher.publish(batch)
                except BrokerUnavailableError:
                    await asyncio.sleep(0.05)
                    continue
                failed = [m for m, one in zip(batch, outcomes, strict=True) if one is not None]
                remaining[:50] = failed
                if len(remaining) in (750, 500, 250):
                    await asyncio.to_thread(process.crash)
                    await asyncio.to_thread(process.start)
            while len(handled) < len(messages):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
    await server.close()
    assert handled == {message.message_id for message in messages}


async def _outcome(publisher: NATSPublisher, message: OutboxMessage) -> PublishOutcome:
    try:
        return (await publisher.publish([message]))[0]
    except BrokerUnavailableError as error:
        return error


async def _is_missing(jetstream: JetStreamContext, stream: str) -> bool:
    try:
        await jetstream.consumer_info(stream, "suite")
    except nats.js.errors.NotFoundError:
        return True
    return False


@asynccontextmanager
async def _consuming(
    server: NATS, handler: MessageHandler, **options: Any
) -> AsyncIterator[NATSConsumer]:
    consumer = server.consumer(**options)
    await consumer.subscribe([TYPE], handler, consumer="suite")
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()
