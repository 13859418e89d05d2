"""The queues of one consumer name, consumed through one channel that is opened again when lost."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Protocol

from cqrs_ddd_core.primitives.exceptions import ConfigurationError, MessagingError
from cqrs_ddd_core.primitives.retry import ExponentialBackoff
from cqrs_ddd_infrastructure_messaging.rabbitmq._acknowledging import Acknowledger
from cqrs_ddd_infrastructure_messaging.rabbitmq._delivery import Delivery
from cqrs_ddd_infrastructure_messaging.rabbitmq._errors import is_lost, unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aio_pika.abc import AbstractChannel
    from aiormq.abc import AbstractChannel as DriverChannel
    from aiormq.abc import ConsumerCallback, DeliveredMessage

    from cqrs_ddd_infrastructure_messaging.rabbitmq.link import RabbitMQLink
    from cqrs_ddd_infrastructure_messaging.serialization import EnvelopeSerializer

__all__ = ["Intake", "Subscription"]

_logger = logging.getLogger(__name__)


class Intake(Protocol):
    """Settles deliveries."""

    def put(self, delivery: Delivery) -> None:
        """Take a delivery."""
        ...

    async def drain(self, *, timeout: float) -> bool:
        """Wait for what has begun, cancel what takes longer than so many seconds."""
        ...


class Subscription:
    """Feeds what arrives in some queues to an intake, across losses of the connection.

    Args:
        consumer: Its name.
        link: The connection for consuming.
        queues: What it consumes; required of the link.
        serializer: Reads what arrives.
        intake: Settles it.
        prefetch: How many messages of each queue may be here unacknowledged.
        timeout: Seconds the broker has for an answer.
        is_shared: Whether other processes consume these queues at the same time.
    """

    def __init__(
        self,
        consumer: str,
        link: RabbitMQLink,
        queues: Sequence[str],
        *,
        serializer: EnvelopeSerializer,
        intake: Intake,
        prefetch: int,
        timeout: float,
        is_shared: bool,
    ) -> None:
        self._consumer = consumer
        self._link = link
        self._queues = queues
        self._serializer = serializer
        self._intake = intake
        self._prefetch = prefetch
        self._timeout = timeout
        self._is_shared = is_shared
        self._tags: list[str] = []
        self._backoff = ExponentialBackoff()
        self._stopping = asyncio.Event()
        self._channel: AbstractChannel | None = None
        self._origin: Acknowledger | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def is_consuming(self) -> bool:
        """Whether messages arrive at this moment, as far as anybody can know."""
        return self._origin is not None and not self._origin.is_closed

    async def start(self) -> None:
        """Begin to consume.

        Raises:
            MessagingError: The broker cannot be reached, or what is needed is not there.
        """
        await self._open()
        self._task = asyncio.create_task(self._keep_open(), name=f"consumer {self._consumer}")

    async def stop(self, *, timeout: float) -> None:
        """Take no more, let what has begun come to its end within so many seconds, and close."""
        self._stopping.set()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        if self._origin is not None:
            self._origin.closed.set()
        if self._is_shared:
            await self._take_no_more()
        if not await self._intake.drain(timeout=timeout):
            _logger.warning("%s: handlers did not end in %g s: cancelled", self._consumer, timeout)
        if self._origin is not None:
            await self._origin.flush()
        with suppress(MessagingError):
            await self._close_channel()

    async def _keep_open(self) -> None:
        while self._origin is not None:
            await self._origin.closed.wait()
            _logger.warning("%s: consuming was interrupted", self._consumer)
            with suppress(MessagingError):
                await self._close_channel()
            self._link.check_again()
            await self._reopen()

    async def _reopen(self) -> None:
        failures = 0
        while True:
            try:
                await self._open()
            except MessagingError as error:
                failures += 1
                _logger.warning("%s cannot consume yet: %s", self._consumer, error)
                await asyncio.sleep(self._backoff.delay(failures))
            except ConfigurationError:
                _logger.exception("%s consumes no more", self._consumer)
                self._origin = None
                return
            else:
                _logger.info("%s: consuming goes on", self._consumer)
                return

    async def _open(self) -> None:
        self._channel = await self._link.channel()
        driver = await self._channel.get_underlay_channel()
        self._origin = origin = Acknowledger(driver, timeout=self._timeout)
        self._channel.close_callbacks.add(lambda *_: origin.closed.set())
        driver.on_consumer_cancel_callbacks.add(lambda _: origin.closed.set())
        try:
            async with asyncio.timeout(self._timeout):
                await driver.basic_qos(prefetch_count=self._prefetch)
                self._tags = [
                    await _consume(driver, queue, partial(self._arrived, origin, queue))
                    for queue in self._queues
                ]
        except BaseException as error:
            origin.closed.set()
            if not is_lost(error):
                raise
            failure = unavailable(f"{self._consumer} cannot consume", error)
            if isinstance(error, TimeoutError):
                self._link.drop(failure)
            raise failure from error

    async def _arrived(self, origin: Acknowledger, queue: str, delivered: DeliveredMessage) -> None:
        if origin.is_closed:
            return
        try:
            delivery = Delivery(delivered, origin, self._serializer, queue=queue)
        except Exception:
            # Nobody knows how to read it: only the broker can make it a dead letter.
            _logger.exception("%s cannot take a message", self._consumer)
            await origin.reject(delivered.delivery_tag or 0)
            return
        origin.expect(delivery.tag)
        self._intake.put(delivery)

    async def _take_no_more(self) -> None:
        """Leave to the others what would come while handlers finish.

        Not where a queue has one active consumer: the next one would begin with what comes after
        the messages under way here.
        """
        channel, tags = self._channel, self._tags
        if channel is None or channel.is_closed:
            return
        try:
            async with asyncio.timeout(self._timeout):
                driver = await channel.get_underlay_channel()
                for tag in tags:
                    await driver.basic_cancel(tag)
        except BaseException as error:
            if not is_lost(error):
                raise

    async def _close_channel(self) -> None:
        channel, self._channel = self._channel, None
        if channel is not None:
            await self._link.close_channel(channel)


async def _consume(channel: DriverChannel, queue: str, arrived: ConsumerCallback) -> str:
    consuming = await channel.basic_consume(queue, arrived)
    return consuming.consumer_tag or ""
