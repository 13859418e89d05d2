"""The buffer is bounded, stalls for nobody, and says what became of each message."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from cqrs_ddd_core.ports.outbox import OutboxMessage
from cqrs_ddd_core.ports.publisher import IMessagePublisher, PublishOutcome
from cqrs_ddd_core.primitives.exceptions import (
    BrokerUnavailableError,
    ConfigurationError,
    MessagingError,
)
from cqrs_ddd_core.primitives.retry import ExponentialBackoff
from cqrs_ddd_core.testing.samples import new_message
from cqrs_ddd_infrastructure_messaging import BufferedPublisher, BufferStatistics

_AN_HOUR = 3600.0


class _Broker(IMessagePublisher):
    """Confirms what it gets, in batches; can be down, slow, or refuse a stream."""

    def __init__(self) -> None:
        self.batches: list[list[OutboxMessage]] = []
        self.is_up = asyncio.Event()
        self.is_up.set()
        self.raises: Exception | None = None
        self.outcomes: dict[str, Exception] = {}
        self._more = asyncio.Event()

    @property
    def received(self) -> list[OutboxMessage]:
        return [message for batch in self.batches for message in batch]

    async def publish(self, messages: Sequence[OutboxMessage]) -> Sequence[PublishOutcome]:
        await self.is_up.wait()
        if self.raises is not None:
            raise self.raises
        outcomes = [self.outcomes.get(message.stream) for message in messages]
        self.batches.append(
            [message for message, out in zip(messages, outcomes, strict=True) if out is None]
        )
        self._more.set()
        return outcomes

    async def wait_for(self, count: int) -> None:
        async with asyncio.timeout(30):
            while len(self.received) < count:
                self._more.clear()
                await self._more.wait()


def _messages(count: int) -> list[OutboxMessage]:
    return [new_message(str(number)) for number in range(count)]


async def test_full_batches_go_at_once_however_long_the_wait_may_be() -> None:
    """C-12: a debounce that is reset or waited for under load is a ceiling on throughput."""
    broker = _Broker()
    publisher = BufferedPublisher(broker, max_batch=50, max_wait=_AN_HOUR)
    await publisher.start()
    messages = _messages(5_000)
    for message in messages:
        assert publisher.post(message)
    await broker.wait_for(5_000)
    assert broker.received == messages
    assert max(map(len, broker.batches)) == 50
    await publisher.stop()
    assert publisher.statistics == BufferStatistics(0, 5_000, 0, 0)


async def test_a_batch_that_is_not_full_goes_after_the_wait() -> None:
    broker = _Broker()
    publisher = BufferedPublisher(broker, max_wait=0.01)
    await publisher.start()
    publisher.post(new_message())
    await broker.wait_for(1)
    await publisher.stop()


async def test_stopping_publishes_what_is_left() -> None:
    """G10."""
    broker = _Broker()
    publisher = BufferedPublisher(broker, max_batch=4, max_wait=_AN_HOUR)
    await publisher.start()
    messages = _messages(10)
    for message in messages:
        publisher.post(message)
    await publisher.stop()
    assert broker.received == messages


async def test_flushing_publishes_what_is_there_without_a_loop() -> None:
    broker = _Broker()
    publisher = BufferedPublisher(broker, max_batch=4)
    messages = _messages(10)
    for message in messages:
        publisher.post(message)
    await publisher.flush()
    assert [len(batch) for batch in broker.batches] == [4, 4, 2]
    await publisher.flush()
    assert broker.received == messages


async def test_a_full_buffer_drops_and_counts_and_never_waits() -> None:
    """G11: those being published count, too."""
    broker = _Broker()
    broker.is_up.clear()
    publisher = BufferedPublisher(broker, max_buffer=10, max_batch=4, max_wait=_AN_HOUR)
    messages = _messages(12)
    flushing = asyncio.create_task(publisher.flush())
    taken = [publisher.post(message) for message in messages[:8]]
    await asyncio.sleep(0)
    taken += [publisher.post(message) for message in messages[8:]]
    assert taken == [True] * 10 + [False] * 2
    assert publisher.statistics == BufferStatistics(10, 0, 0, 2)
    broker.is_up.set()
    await flushing
    await publisher.flush()
    assert broker.received == messages[:10]


async def test_messages_stay_in_order_while_the_broker_is_down() -> None:
    broker = _Broker()
    broker.raises = BrokerUnavailableError("down")
    publisher = BufferedPublisher(
        broker, max_batch=4, max_wait=0.01, backoff=ExponentialBackoff(initial=0.001, maximum=0.01)
    )
    messages = _messages(10)
    for message in messages:
        publisher.post(message)
    with pytest.raises(BrokerUnavailableError):
        await publisher.flush()
    assert publisher.statistics.buffered == 10
    await publisher.start()
    broker.raises = None
    await broker.wait_for(10)
    await publisher.stop()
    assert broker.received == messages


async def test_only_what_was_not_sent_is_tried_again() -> None:
    broker = _Broker()
    broker.outcomes = {"1": BrokerUnavailableError("down"), "2": MessagingError("too big")}
    publisher = BufferedPublisher(broker)
    messages = _messages(4)
    for message in messages:
        publisher.post(message)
    with pytest.raises(BrokerUnavailableError):
        await publisher.flush()
    assert publisher.statistics == BufferStatistics(1, 2, 1, 0)
    broker.outcomes = {}
    await publisher.flush()
    assert broker.received == [messages[0], messages[3], messages[1]]


async def test_a_cancelled_batch_stays_in_the_buffer() -> None:
    broker = _Broker()
    broker.is_up.clear()
    publisher = BufferedPublisher(broker)
    publisher.post(new_message())
    flushing = asyncio.create_task(publisher.flush())
    await asyncio.sleep(0)
    flushing.cancel()
    await asyncio.wait([flushing])
    assert publisher.statistics == BufferStatistics(1, 0, 0, 0)


@pytest.mark.parametrize("is_hanging", [True, False])
async def test_stopping_without_a_broker_ends_and_says_what_is_lost(
    is_hanging: bool, caplog: pytest.LogCaptureFixture
) -> None:
    broker = _Broker()
    if is_hanging:
        broker.is_up.clear()
    else:
        broker.raises = BrokerUnavailableError("down")
    publisher = BufferedPublisher(broker, max_wait=_AN_HOUR, stop_timeout=0.01)
    await publisher.start()
    for message in _messages(3):
        publisher.post(message)
    await publisher.stop()
    assert "3 buffered messages are not published" in caplog.text


@pytest.mark.parametrize("max_batch, max_wait", [(0, 1.0), (11, 1.0), (5, 0.0)])
def test_limits_that_cannot_be_are_refused(max_batch: int, max_wait: float) -> None:
    with pytest.raises(ConfigurationError):
        BufferedPublisher(_Broker(), max_buffer=10, max_batch=max_batch, max_wait=max_wait)
