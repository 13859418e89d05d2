"""The outbox service publishes in order, confirmed, once, and gives failures an end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from cqrs_ddd_core.adapters.memory import (
    InMemoryMessageBus,
    InMemoryMessageConsumer,
    InMemoryMessagePublisher,
    InMemoryOutboxStorage,
)
from cqrs_ddd_core.outbox import OutboxService
from cqrs_ddd_core.ports.outbox import OutboxMessage
from cqrs_ddd_core.ports.publisher import IMessagePublisher, PublishOutcome
from cqrs_ddd_core.primitives.clock import FixedClock
from cqrs_ddd_core.primitives.exceptions import (
    BrokerUnavailableError,
    ConfigurationError,
    MessagingError,
    UndeliverableError,
)
from cqrs_ddd_core.primitives.retry import ExponentialBackoff
from cqrs_ddd_core.testing.publisher import Received
from cqrs_ddd_core.testing.samples import new_message


class RecordingPublisher(IMessagePublisher):
    """Confirms what it does not refuse, and remembers what it was given."""

    def __init__(self) -> None:
        self.published: list[OutboxMessage] = []
        self.tried: list[OutboxMessage] = []
        self.refuses: Callable[[OutboxMessage], Exception | None] = lambda _: None

    async def publish(self, messages: Sequence[OutboxMessage]) -> Sequence[PublishOutcome]:
        await asyncio.sleep(0)
        failed: dict[str, Exception] = {}
        outcomes: list[PublishOutcome] = []
        for message in messages:
            if message.stream not in failed:
                self.tried.append(message)
                refusal = self.refuses(message)
                if refusal is None:
                    self.published.append(message)
                else:
                    failed[message.stream] = refusal
            outcomes.append(failed.get(message.stream))
        return outcomes


@dataclass
class Relay:
    clock: FixedClock = field(default_factory=FixedClock)
    publisher: RecordingPublisher = field(default_factory=RecordingPublisher)

    def __post_init__(self) -> None:
        self.storage = InMemoryOutboxStorage(clock=self.clock)
        self.service = self.new_service()

    def new_service(self, *, max_partitions: int | None = None) -> OutboxService:
        return OutboxService(
            self.storage,
            self.publisher,
            max_attempts=3,
            backoff=ExponentialBackoff(initial=1.0, maximum=4.0, jitter=0),
            max_partitions=max_partitions,
            clock=self.clock,
        )

    async def drain(self) -> None:
        while await self.service.process_batch(10):
            pass


@pytest.fixture
def relay() -> Relay:
    return Relay()


def _refuse_poison(message: OutboxMessage) -> Exception | None:
    return MessagingError("no") if message.stream.startswith("poison") else None


async def test_messages_are_published_in_order_and_once(relay: Relay) -> None:
    messages = [new_message(f"Order-{number % 3}") for number in range(25)]
    await relay.storage.save_messages(messages)
    batches = [await relay.service.process_batch(10) for _ in range(4)]
    assert batches == [10, 10, 5, 0]
    assert relay.publisher.published == messages
    assert await relay.storage.count_pending() == 0


async def test_a_failed_message_is_tried_again_after_growing_waits(relay: Relay) -> None:
    """S-8: a transient failure loses nothing; H-3: the first wait is the initial one."""
    message = new_message()
    await relay.storage.save_messages([message])
    refusals = iter([MessagingError("no"), MessagingError("no"), None])
    relay.publisher.refuses = lambda _: next(refusals)
    assert await relay.service.process_batch() == 1
    relay.clock.advance(0.9)
    assert await relay.service.process_batch() == 0
    relay.clock.advance(0.1)
    assert await relay.service.process_batch() == 1
    relay.clock.advance(1.9)
    assert await relay.service.process_batch() == 0
    relay.clock.advance(0.1)
    assert await relay.service.process_batch() == 1
    assert relay.publisher.published == [message]


async def test_a_message_that_keeps_failing_is_parked_with_its_error(relay: Relay) -> None:
    """C-8, G9: attempts are bounded."""
    poison = new_message("poison")
    await relay.storage.save_messages([poison])
    relay.publisher.refuses = _refuse_poison
    for _ in range(20):
        await relay.service.process_batch()
        relay.clock.advance(60)
    assert relay.publisher.tried == [poison] * 3
    [parked] = await relay.storage.list_parked()
    assert (parked.message, parked.error) == (poison, "MessagingError: no")


async def test_what_no_further_try_will_heal_is_parked_at_once(relay: Relay) -> None:
    message = new_message("poison")
    await relay.storage.save_messages([message])
    relay.publisher.refuses = lambda _: UndeliverableError("nobody knows this command")
    await relay.service.process_batch()
    [parked] = await relay.storage.list_parked()
    assert (parked.message, parked.attempts) == (message, 1)
    assert parked.error == "UndeliverableError: nobody knows this command"


async def test_a_batch_full_of_poison_blocks_nothing_behind_it(relay: Relay) -> None:
    """C-8."""
    poison = [new_message(f"poison-{number}") for number in range(30)]
    good = [new_message(f"good-{number}") for number in range(5)]
    await relay.storage.save_messages([*poison, *good])
    relay.publisher.refuses = _refuse_poison
    await relay.drain()
    assert relay.publisher.published == good


async def test_a_failed_message_is_not_overtaken_in_its_stream(relay: Relay) -> None:
    """C-8: the stream goes on in order when the message was published after all."""
    stream = [new_message("Order-1") for _ in range(4)]
    other = [new_message("Order-2") for _ in range(2)]
    await relay.storage.save_messages([*stream, *other])
    broken = True

    def refuse(message: OutboxMessage) -> Exception | None:
        return MessagingError("no") if broken and message == stream[1] else None

    relay.publisher.refuses = refuse
    await relay.drain()
    assert relay.publisher.published == [stream[0], *other]
    broken = False
    relay.clock.advance(10)
    await relay.drain()
    assert relay.publisher.published == [stream[0], *other, *stream[1:]]


async def test_a_failure_is_noted_for_the_message_that_failed_only(
    relay: Relay, caplog: pytest.LogCaptureFixture
) -> None:
    messages = [new_message("poison") for _ in range(3)]
    await relay.storage.save_messages(messages)
    relay.publisher.refuses = _refuse_poison
    assert await relay.service.process_batch() == 3
    [record] = caplog.records
    assert str(messages[0].message_id) in record.getMessage()


async def test_messages_behind_a_parked_one_have_their_attempts_left(relay: Relay) -> None:
    first, second = new_message("poison"), new_message("poison")
    await relay.storage.save_messages([first, second])
    relay.publisher.refuses = _refuse_poison
    for _ in range(5):
        await relay.service.process_batch()
        relay.clock.advance(60)
    [parked] = await relay.storage.list_parked()
    await relay.storage.discard_parked([parked.sequence])
    await relay.service.process_batch()
    assert relay.publisher.tried[-1] == second
    assert await relay.storage.list_parked() == []


async def test_a_replayed_message_is_published_with_those_behind_it(relay: Relay) -> None:
    messages = [new_message("poison"), new_message("poison")]
    await relay.storage.save_messages(messages)
    relay.publisher.refuses = _refuse_poison
    for _ in range(5):
        await relay.service.process_batch()
        relay.clock.advance(60)
    relay.publisher.refuses = lambda _: None
    await relay.storage.replay_parked([item.sequence for item in await relay.storage.list_parked()])
    await relay.drain()
    assert relay.publisher.published == messages


async def test_an_unavailable_broker_parks_nothing(relay: Relay) -> None:
    """G4: however long it is away, everything is published when it is back."""
    messages = [new_message(f"Order-{number % 2}") for number in range(6)]
    await relay.storage.save_messages(messages)
    relay.publisher.refuses = lambda _: BrokerUnavailableError("connection lost")
    for _ in range(10):
        with pytest.raises(BrokerUnavailableError):
            await relay.service.process_batch()
        relay.clock.advance(60)
    assert await relay.storage.list_parked() == []
    relay.publisher.refuses = lambda _: None
    await relay.drain()
    assert relay.publisher.published == messages


async def test_an_unavailable_broker_costs_no_message_its_attempts(relay: Relay) -> None:
    """A message's own failure still has all its tries, however long the broker was away."""
    message = new_message()
    await relay.storage.save_messages([message])
    relay.publisher.refuses = lambda _: BrokerUnavailableError("connection lost")
    for _ in range(10):
        with pytest.raises(BrokerUnavailableError):
            await relay.service.process_batch()
    relay.publisher.refuses = lambda _: MessagingError("no")
    await relay.service.process_batch()
    assert await relay.storage.list_parked() == []


async def test_what_was_confirmed_before_the_broker_went_away_is_done(relay: Relay) -> None:
    first, second = new_message("Order-1"), new_message("Order-2")
    await relay.storage.save_messages([first, second])
    relay.publisher.refuses = lambda m: BrokerUnavailableError("lost") if m == second else None
    with pytest.raises(BrokerUnavailableError):
        await relay.service.process_batch()
    relay.publisher.refuses = lambda _: None
    await relay.drain()
    assert relay.publisher.published == [first, second]


async def test_a_broker_that_never_answers_counts_as_unavailable() -> None:
    class SilentPublisher(IMessagePublisher):
        async def publish(self, messages: Sequence[OutboxMessage]) -> Sequence[PublishOutcome]:
            await asyncio.Event().wait()
            return []

    storage = InMemoryOutboxStorage()
    await storage.save_messages([new_message()])
    service = OutboxService(storage, SilentPublisher(), publish_timeout=0.05)
    with pytest.raises(BrokerUnavailableError):
        await service.process_batch()
    assert await storage.count_pending() == 1


async def test_many_services_publish_nothing_twice(relay: Relay) -> None:
    """S-10: and keep the order of each stream."""
    messages = [new_message(f"Order-{number % 20}") for number in range(200)]
    await relay.storage.save_messages(messages)
    services = [relay.new_service(max_partitions=4) for _ in range(4)]

    async def run(service: OutboxService) -> None:
        while await relay.storage.count_pending():
            await service.process_batch(7)

    await asyncio.gather(*(run(service) for service in services))
    assert len(relay.publisher.published) == 200
    for stream in {message.stream for message in messages}:
        published = [m for m in relay.publisher.published if m.stream == stream]
        assert published == [m for m in messages if m.stream == stream]


async def test_two_batches_of_one_service_do_not_overlap(relay: Relay) -> None:
    """S-10."""
    messages = [new_message(f"Order-{number}") for number in range(20)]
    await relay.storage.save_messages(messages)
    await asyncio.gather(*(relay.service.process_batch(10) for _ in range(6)))
    assert relay.publisher.published == messages


async def test_a_service_without_partitions_stands_by_until_the_other_is_gone(relay: Relay) -> None:
    other = relay.new_service()
    await relay.service.process_batch()
    await relay.storage.save_messages([new_message()])
    assert await other.process_batch() == 0
    await relay.service.release()
    assert await other.process_batch() == 1


async def test_a_dead_service_is_followed_by_another_when_its_lease_ends(relay: Relay) -> None:
    message = new_message()
    await relay.storage.save_messages([message])
    relay.publisher.refuses = lambda _: BrokerUnavailableError("the process dies here")
    with pytest.raises(BrokerUnavailableError):
        await relay.service.process_batch()
    relay.publisher.refuses = lambda _: None
    other = relay.new_service()
    assert await other.process_batch() == 0
    relay.clock.advance(30)
    assert await other.process_batch() == 1
    assert relay.publisher.published == [message]


async def test_published_messages_are_kept_for_a_while(relay: Relay) -> None:
    await relay.storage.save_messages([new_message()])
    await relay.drain()
    relay.clock.advance(3600)
    assert await relay.service.purge_published(timedelta(hours=2)) == 0
    assert await relay.service.purge_published(timedelta(minutes=30)) == 1


async def test_what_is_saved_in_the_outbox_reaches_a_consumer_whole() -> None:
    """C-9: id, type, payload, correlation and causation arrive at the other end."""
    bus, storage = InMemoryMessageBus(), InMemoryOutboxStorage()
    received, message = Received(), new_message()
    consumer = InMemoryMessageConsumer(bus)
    await consumer.subscribe([message.message_type], received, consumer="billing")
    await consumer.start()
    await storage.save_messages([message])
    await OutboxService(storage, InMemoryMessagePublisher(bus)).process_batch()
    assert await received.wait_for(1) == [message]
    await consumer.stop()


def test_numbers_that_make_no_sense_are_refused() -> None:
    bus, storage = InMemoryMessageBus(), InMemoryOutboxStorage()
    with pytest.raises(ConfigurationError):
        OutboxService(storage, InMemoryMessagePublisher(bus), max_attempts=0)
    with pytest.raises(ConfigurationError):
        OutboxService(storage, InMemoryMessagePublisher(bus), lease_seconds=0)
