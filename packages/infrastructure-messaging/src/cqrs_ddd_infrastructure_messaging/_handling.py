"""What happens to a delivery until it may be acknowledged; the same with every broker."""

from __future__ import annotations

import asyncio
import logging
from abc import abstractmethod
from collections.abc import Hashable
from typing import TYPE_CHECKING, Generic, NamedTuple, Protocol, TypeVar

from cqrs_ddd_core.ports.outbox import OutboxMessage
from cqrs_ddd_core.primitives.exceptions import MessagingError
from cqrs_ddd_core.primitives.retry import ExponentialBackoff
from cqrs_ddd_infrastructure_messaging.dead_letter import DeathReason
from cqrs_ddd_infrastructure_messaging.exceptions import AbandonedMessageError, NotSubscribedError

if TYPE_CHECKING:
    from collections.abc import Collection

    from cqrs_ddd_core.ports.consumer import MessageHandler
    from cqrs_ddd_infrastructure_messaging.retry import RetryLadder

__all__ = ["Death", "Delivery", "Handling", "Parking", "is_being_cancelled"]

_logger = logging.getLogger(__name__)


class Death(NamedTuple):
    """Why a message became a dead letter."""

    consumer: str
    reason: DeathReason
    error: Exception
    attempts: int


class Delivery(Protocol):
    """One delivery of a message, readable or not.

    Attributes:
        message: What can be read of it; ``None`` if it is malformed.
        attempt: Which try of this consumer it is, counted from 1.
        failure: Why this try failed, once that is known.
        stream: Deliveries with the same one are handled one after the other.
    """

    message: OutboxMessage | None
    attempt: int
    failure: Exception | None
    stream: Hashable

    @property
    @abstractmethod
    def is_forsaken(self) -> bool:
        """Whether it is left to the broker, which delivers it again."""
        ...

    @abstractmethod
    async def acknowledge(self) -> None:
        """Let the broker forget it, if that is not done already."""
        ...

    @abstractmethod
    async def pause(self, seconds: float) -> None:
        """Wait for so many seconds, or until it is left to the broker."""
        ...


D = TypeVar("D", bound=Delivery)
D_contra = TypeVar("D_contra", bound=Delivery, contravariant=True)


class Parking(Protocol[D_contra]):
    """Where messages wait for another try, and where they end.

    When a method returns, what it did is durable, and the delivery may be acknowledged.
    """

    @abstractmethod
    async def put_off(self, delivery: D_contra, delay: float) -> None:
        """Have it delivered again in so many seconds, as the next try.

        Raises:
            MessagingError: It is not certain that it will be.
        """
        ...

    @abstractmethod
    async def bury(self, delivery: D_contra, death: Death) -> None:
        """Make it a dead letter.

        Raises:
            MessagingError: It is not certain that it is one.
        """
        ...


class Handling(Generic[D]):
    """Has deliveries of one consumer handled, and settles each: acknowledged, later, or dead.

    Args:
        consumer: Its name.
        message_types: What it asked for.
        handler: Returns when the effect is committed.
        parking: Where messages wait for another try, and where they end.
        ladder: How long they wait, and how often.
        concurrency: How many handlers run at a time.
        holds_streams: Whether a stream waits here for its message that failed, instead of going
            on without it.
        skips_other_types: Whether messages nobody here asked for are done with, instead of
            being tried again and then dead.
    """

    def __init__(
        self,
        consumer: str,
        message_types: Collection[str],
        handler: MessageHandler,
        *,
        parking: Parking[D],
        ladder: RetryLadder,
        concurrency: int,
        holds_streams: bool,
        skips_other_types: bool,
    ) -> None:
        self._consumer = consumer
        self._types = frozenset(message_types)
        self._handler = handler
        self._parking = parking
        self._ladder = ladder
        self._slots = asyncio.Semaphore(concurrency)
        self._holds_streams = holds_streams
        self._skips_other_types = skips_other_types
        self._backoff = ExponentialBackoff()

    def wants(self, delivery: D) -> bool:
        """Whether the handler is called with it; otherwise it is only settled."""
        return delivery.message is not None and delivery.message.message_type in self._types

    async def settle(self, delivery: D) -> None:
        """Handle a message and acknowledge it when its effect, or its parking, is durable.

        Nothing is acknowledged otherwise: not on cancellation, and not while the broker does not
        confirm that the message is parked.
        """
        outages = 0
        while True:
            async with self._slots:
                if delivery.is_forsaken:
                    return
                error = await self._failure_of(delivery)
            if error is None:
                await delivery.acknowledge()
                return
            if isinstance(error, self._ladder.outages):
                outages += 1
                await delivery.pause(self._backoff.delay(outages))
                continue
            delay = self._delay_after(delivery, error)
            if delay is None or not self._holds_streams:
                await self._park(delivery, error, delay)
                return
            await delivery.pause(delay)
            delivery.attempt += 1

    async def _failure_of(self, delivery: D) -> Exception | None:
        known, delivery.failure = delivery.failure, None
        if known is not None:
            return known
        message = delivery.message
        assert message is not None  # noqa: S101 - what cannot be read has failed
        if self.wants(delivery):
            return await self._handle(delivery, message)
        if self._skips_other_types:
            return None
        return NotSubscribedError(message.message_type, self._consumer)

    async def _handle(self, delivery: D, message: OutboxMessage) -> Exception | None:
        try:
            await self._handler(message)
        except asyncio.CancelledError:
            if is_being_cancelled():
                raise
            return MessagingError("its handler was cancelled from within")
        except Exception as error:
            _logger.exception("%s failed to handle %s", self._consumer, delivery)
            return error
        return None

    def _delay_after(self, delivery: D, error: Exception) -> float | None:
        if delivery.message is None:
            return None
        return self._ladder.delay_after(delivery.attempt, error)

    async def _park(self, delivery: D, error: Exception, delay: float | None) -> None:
        failures = 0
        while not delivery.is_forsaken:
            try:
                if delay is None:
                    await self._parking.bury(delivery, self._death(delivery, error))
                else:
                    await self._parking.put_off(delivery, delay)
            except MessagingError as refusal:
                failures += 1
                _logger.warning("%s cannot park a message, goes on: %s", self._consumer, refusal)
                await delivery.pause(self._backoff.delay(failures))
            else:
                await delivery.acknowledge()
                return

    def _death(self, delivery: D, error: Exception) -> Death:
        if delivery.message is None:
            reason = DeathReason.MALFORMED
        elif isinstance(error, AbandonedMessageError):
            reason = DeathReason.BROKER
        elif isinstance(error, self._ladder.hopeless):
            reason = DeathReason.HOPELESS
        else:
            reason = DeathReason.EXHAUSTED
        return Death(self._consumer, reason, error, delivery.attempt)


def is_being_cancelled() -> bool:
    """Whether the current task is cancelled from outside."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
