"""Deliveries that are handled one at a time, or many."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict, deque
from typing import TYPE_CHECKING

from cqrs_ddd_core.primitives.exceptions import MessagingError
from cqrs_ddd_infrastructure_messaging._handling import is_being_cancelled

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from cqrs_ddd_core.ports.consumer import MessageHandler
    from cqrs_ddd_core.ports.outbox import OutboxMessage
    from cqrs_ddd_infrastructure_messaging._handling import Handling
    from cqrs_ddd_infrastructure_messaging._lanes import StreamLanes
    from cqrs_ddd_infrastructure_messaging.consuming import BatchHandler
    from cqrs_ddd_infrastructure_messaging.rabbitmq._acknowledging import Acknowledger
    from cqrs_ddd_infrastructure_messaging.rabbitmq._delivery import Delivery

__all__ = ["Batches", "Singles", "one_by_one"]

_logger = logging.getLogger(__name__)


class Singles:
    """Has each delivery settled in the lane of its stream."""

    def __init__(self, lanes: StreamLanes[Delivery]) -> None:
        self._lanes = lanes

    def put(self, delivery: Delivery) -> None:
        """Settle it once those before it in its stream are."""
        self._lanes.put(delivery.stream, delivery)

    async def drain(self, *, timeout: float) -> bool:
        """Wait for what has begun and cancel what takes longer than so many seconds."""
        return await self._lanes.drain(timeout=timeout)


class Batches:
    """Hands what has arrived to a batch handler, and what failed of it to the lanes.

    A stream that has something in its lane goes through the lane until that is empty.

    Args:
        handler: Handles them.
        size: How many at most.
        handling: Knows which ones the handler is called with.
        lanes: Settle the others, one by one.
        name: Name of the task.
    """

    def __init__(
        self,
        handler: BatchHandler,
        *,
        size: int,
        handling: Handling[Delivery],
        lanes: StreamLanes[Delivery],
        name: str,
    ) -> None:
        self._handler = handler
        self._size = size
        self._handling = handling
        self._lanes = lanes
        self._name = name
        self._arrived: deque[Delivery] = deque()
        self._task: asyncio.Task[None] | None = None

    def put(self, delivery: Delivery) -> None:
        """Handle it with the next batch, which is not long to come."""
        self._arrived.append(delivery)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name=self._name)

    async def drain(self, *, timeout: float) -> bool:
        """Wait for what has begun and cancel what takes longer than so many seconds."""
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout
        late: set[asyncio.Task[None]] = set()
        if self._task is not None:
            _, late = await asyncio.wait([self._task], timeout=timeout)
            self._task.cancel()
            await asyncio.wait([self._task])
        is_drained = await self._lanes.drain(timeout=max(0.0, end - loop.time()))
        return is_drained and not late

    async def _run(self) -> None:
        while self._arrived:
            batch = self._next_batch()
            if batch:
                await self._settle(batch)

    def _next_batch(self) -> list[Delivery]:
        batch: list[Delivery] = []
        while self._arrived and len(batch) < self._size:
            delivery = self._arrived.popleft()
            if delivery.is_forsaken:
                continue
            if self._handling.wants(delivery) and not self._lanes.is_busy(delivery.stream):
                batch.append(delivery)
            else:
                self._lanes.put(delivery.stream, delivery)
        return batch

    async def _settle(self, batch: Sequence[Delivery]) -> None:
        done: defaultdict[Acknowledger, list[int]] = defaultdict(list)
        failed: set[Hashable] = set()
        for delivery, outcome in zip(batch, await self._outcomes(batch), strict=True):
            if outcome is None:
                done[delivery.origin].append(delivery.tag)
                continue
            if outcome is not _UNTRIED and delivery.stream not in failed:
                delivery.failure = outcome
            # What follows in its stream was not tried either.
            failed.add(delivery.stream)
            self._lanes.put(delivery.stream, delivery)
        for origin, tags in done.items():
            await origin.acknowledge(tags)

    async def _outcomes(self, batch: Sequence[Delivery]) -> Sequence[Exception | None]:
        messages = [delivery.message for delivery in batch if delivery.message is not None]
        try:
            outcomes = await self._handler(messages)
        except asyncio.CancelledError:
            if is_being_cancelled():
                raise
            return [_UNTRIED] * len(batch)
        except Exception:
            _logger.exception("%s failed with %d messages: one by one", self._name, len(batch))
            return [_UNTRIED] * len(batch)
        if len(outcomes) != len(batch):
            _logger.error("%s: %d outcomes of %d messages", self._name, len(outcomes), len(batch))
            return [_UNTRIED] * len(batch)
        return outcomes


#: The outcome of a message of which nobody knows whether it is to blame.
_UNTRIED = MessagingError("its batch failed")


def one_by_one(handler: BatchHandler) -> MessageHandler:
    """Return a handler of single messages that hands each on as a batch of one."""

    async def handle(message: OutboxMessage) -> None:
        for outcome in await handler([message]):
            if outcome is not None:
                raise outcome

    return handle
