"""The consumer of the in-memory message bus."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from cqrs_ddd_core.ports.consumer import IMessageConsumer, MessageHandler
from cqrs_ddd_core.primitives.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Collection

    from cqrs_ddd_core.adapters.memory.message_bus import Delivery, InMemoryMessageBus

__all__ = ["InMemoryMessageConsumer"]

_logger = logging.getLogger(__name__)


class InMemoryMessageConsumer(IMessageConsumer):
    """Delivers messages in this process, one at a time per consumer name.

    Consumers with the same name on one bus share its messages.

    Args:
        bus: Shared with the publishers.
    """

    def __init__(self, bus: InMemoryMessageBus) -> None:
        self._bus = bus
        self._workers: dict[str, _Worker] = {}
        self._is_started = False

    async def subscribe(
        self, message_types: Collection[str], handler: MessageHandler, *, consumer: str
    ) -> None:
        if consumer in self._workers:
            msg = f"{consumer!r} is subscribed already: use another consumer name"
            raise ConfigurationError(msg)
        queue = self._bus.bind(consumer, message_types)
        self._workers[consumer] = worker = _Worker(self._bus, queue, consumer, handler)
        if self._is_started:
            worker.start()

    async def start(self) -> None:
        self._is_started = True
        for worker in self._workers.values():
            worker.start()

    async def stop(self) -> None:
        self._is_started = False
        await asyncio.gather(*(worker.stop() for worker in self._workers.values()))


class _Worker:
    def __init__(
        self,
        bus: InMemoryMessageBus,
        queue: asyncio.Queue[Delivery],
        consumer: str,
        handler: MessageHandler,
    ) -> None:
        self._bus = bus
        self._queue = queue
        self._consumer = consumer
        self._handler = handler
        self._task: asyncio.Task[None] | None = None
        self._is_stopping = False
        self._is_idle = False

    def start(self) -> None:
        if self._task is None:
            self._is_stopping = False
            self._task = asyncio.create_task(self._run(), name=f"consumer {self._consumer}")

    async def stop(self) -> None:
        if self._task is None:
            return
        self._is_stopping = True
        if self._is_idle:
            self._task.cancel()
        await asyncio.wait([self._task])
        self._task = None

    async def _run(self) -> None:
        while not self._is_stopping:
            self._is_idle = True
            delivery = await self._queue.get()
            self._is_idle = False
            await self._deliver(delivery)

    async def _deliver(self, delivery: Delivery) -> None:
        try:
            await self._handler(delivery.message)
        except Exception:
            _logger.exception(
                "consumer %s failed to handle message %s, try %d",
                self._consumer,
                delivery.message.message_id,
                delivery.failures + 1,
            )
            self._bus.reject(self._consumer, delivery)
        except BaseException:
            self._bus.put_back(self._consumer, delivery)
            raise
