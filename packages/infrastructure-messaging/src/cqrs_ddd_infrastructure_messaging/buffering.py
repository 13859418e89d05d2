"""A buffer before a publisher, for messages that may be lost."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cqrs_ddd_core.background.polling import PollingLoop
from cqrs_ddd_core.primitives.exceptions import BrokerUnavailableError, ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cqrs_ddd_core.ports.outbox import OutboxMessage
    from cqrs_ddd_core.ports.publisher import IMessagePublisher
    from cqrs_ddd_core.primitives.retry import ExponentialBackoff

__all__ = ["BufferStatistics", "BufferedPublisher"]

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class BufferStatistics:
    """What became of the messages that were posted.

    Attributes:
        buffered: Still here; a crash loses these.
        published: Confirmed by the broker.
        refused: Refused by the broker, and given up.
        dropped: Not taken, because the buffer was full.
    """

    buffered: int
    published: int
    refused: int
    dropped: int


class BufferedPublisher(PollingLoop):
    """Takes messages without waiting and publishes them in batches, for telemetry and the like.

    **A crash loses what is buffered**, and a full buffer drops what is posted. What must arrive
    belongs into the outbox. For the same reason this is no ``IMessagePublisher``: an outbox would
    take a buffered message for a confirmed one.

    A full batch goes at once and a message waits for ``max_wait`` at most, while the broker can
    be reached (C-12). While it cannot, messages stay in the buffer and are tried again after
    growing waits. Messages are published in the order posted; a lost confirmation publishes some
    twice.

    Start it, and stop it to publish what is left. It belongs to one event loop.

    Args:
        publisher: Who publishes.
        max_buffer: How many messages it holds at most, those being published included.
        max_batch: How many are published at once.
        max_wait: Seconds until a batch that is not full is published.
        backoff: How long to wait, in seconds, while the broker cannot be reached.
        stop_timeout: Seconds that ``stop`` gives the batch under way, and then the rest.
    """

    def __init__(
        self,
        publisher: IMessagePublisher,
        *,
        max_buffer: int = 10_000,
        max_batch: int = 500,
        max_wait: float = 1.0,
        backoff: ExponentialBackoff | None = None,
        stop_timeout: float = 30.0,
    ) -> None:
        if not 1 <= max_batch <= max_buffer:
            raise ConfigurationError("a buffer needs 1 <= max_batch <= max_buffer")
        super().__init__(
            self._publish_batch,
            name="buffered publisher",
            poll_interval=max_wait,
            jitter=0.0,
            backoff=backoff,
            stop_timeout=stop_timeout,
        )
        self._publisher = publisher
        self._flush_timeout = stop_timeout
        self._max_buffer = max_buffer
        self._max_batch = max_batch
        self._buffer: deque[OutboxMessage] = deque()
        self._under_way: Sequence[OutboxMessage] = ()
        self._published = 0
        self._refused = 0
        self._dropped = 0

    @property
    def statistics(self) -> BufferStatistics:
        """What became of the messages so far."""
        return BufferStatistics(self._held, self._published, self._refused, self._dropped)

    def post(self, message: OutboxMessage) -> bool:
        """Take a message, to be published soon; return whether there was room for it."""
        if self._held >= self._max_buffer:
            self._dropped += 1
            return False
        self._buffer.append(message)
        if len(self._buffer) >= self._max_batch:
            self.trigger()
        return True

    async def flush(self) -> None:
        """Publish all that is buffered now.

        Raises:
            BrokerUnavailableError: The broker cannot be reached; the messages stay buffered.
        """
        left = self._held
        while left > 0 and (done := await self.run_once()):
            left -= done

    async def stop(self) -> None:
        """Finish the batch under way and publish the rest, unless the broker cannot be reached."""
        await super().stop()
        try:
            async with asyncio.timeout(self._flush_timeout):
                await self.flush()
        except (BrokerUnavailableError, TimeoutError) as error:
            _logger.warning("%d buffered messages are not published: %r", self._held, error)

    @property
    def _held(self) -> int:
        return len(self._buffer) + len(self._under_way)

    async def _publish_batch(self) -> int:
        size = min(len(self._buffer), self._max_batch)
        if size:
            self._under_way = [self._buffer.popleft() for _ in range(size)]
            try:
                await self._publish_under_way()
            finally:
                self._buffer.extendleft(reversed(self._under_way))
                self._under_way = ()
        return size

    async def _publish_under_way(self) -> None:
        outcomes = await self._publisher.publish(self._under_way)
        unsent, unavailable = [], None
        for message, outcome in zip(self._under_way, outcomes, strict=True):
            if isinstance(outcome, BrokerUnavailableError):
                unsent.append(message)
                unavailable = outcome
            elif outcome is None:
                self._published += 1
            else:
                self._refused += 1
                _logger.warning("message %s was refused: %r", message.message_id, outcome)
        self._under_way = unsent
        if unavailable is not None:
            raise unavailable
