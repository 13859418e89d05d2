"""The consumer of the transport in memory."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING

from cqrs_ddd_core.primitives.exceptions import ConfigurationError, MessagingError
from cqrs_ddd_infrastructure_messaging.consuming import BatchHandler, IBatchMessageConsumer
from cqrs_ddd_infrastructure_messaging.exceptions import NotSubscribedError
from cqrs_ddd_infrastructure_messaging.routing import check_pattern

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from cqrs_ddd_core.adapters.memory.message_bus import Delivery
    from cqrs_ddd_core.ports.consumer import MessageHandler
    from cqrs_ddd_core.ports.outbox import OutboxMessage
    from cqrs_ddd_infrastructure_messaging.memory.transport import InMemoryTransport
    from cqrs_ddd_infrastructure_messaging.routing import TopicRouter

__all__ = ["InMemoryTransportConsumer"]

_logger = logging.getLogger(__name__)


class InMemoryTransportConsumer(IBatchMessageConsumer):
    """Delivers messages of a transport in memory; made by its ``new_consumer``.

    Several consumers with one name take turns, so that streams stay in order.

    Args:
        transport: Whose messages.
        router: Knows the topics of the types.
        patterns: Topics it is bound to beside those of the types.
        skip_other_types: Take messages of types that were not asked for as handled.
    """

    def __init__(
        self,
        transport: InMemoryTransport,
        *,
        router: TopicRouter,
        patterns: Collection[str] = (),
        skip_other_types: bool = False,
    ) -> None:
        self._transport = transport
        self._router = router
        self._patterns = [check_pattern(pattern) for pattern in patterns]
        self._skips_other_types = skip_other_types
        self._workers: dict[str, _Worker] = {}
        self._is_started = False

    @property
    def is_started(self) -> bool:
        """Whether it delivers."""
        return self._is_started

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits for it and no handler is under way."""
        return all(worker.is_idle for worker in self._workers.values())

    async def subscribe(
        self, message_types: Collection[str], handler: MessageHandler, *, consumer: str
    ) -> None:
        await self.subscribe_batch(
            message_types, _in_batches_of_one(handler), consumer=consumer, batch_size=1
        )

    async def subscribe_batch(
        self,
        message_types: Collection[str],
        handler: BatchHandler,
        *,
        consumer: str,
        batch_size: int = 200,
    ) -> None:
        if consumer in self._workers:
            msg = f"{consumer!r} is subscribed already: use another consumer name"
            raise ConfigurationError(msg)
        types = frozenset(message_types)
        topics = [topic for name in types for topic in self._router.patterns_for(name)]
        self._workers[consumer] = worker = _Worker(
            self._transport,
            consumer,
            self._transport.bind(consumer, [*topics, *self._patterns]),
            _of_types(types, handler, consumer, skips_others=self._skips_other_types),
            batch_size=batch_size,
        )
        if self._is_started:
            worker.start()

    async def start(self) -> None:
        self._is_started = True
        for worker in self._workers.values():
            worker.start()
        self._transport.look_later()

    async def stop(self) -> None:
        self._is_started = False
        await asyncio.gather(*(worker.stop() for worker in self._workers.values()))
        self._transport.look_later()


class _Worker:
    def __init__(
        self,
        transport: InMemoryTransport,
        consumer: str,
        queue: asyncio.Queue[Delivery],
        handler: BatchHandler,
        *,
        batch_size: int,
    ) -> None:
        self._transport = transport
        self._consumer = consumer
        self._queue = queue
        self._handler = handler
        self._batch_size = batch_size
        self._task: asyncio.Task[None] | None = None
        self._is_handling = False
        self._is_stopping = False

    @property
    def is_idle(self) -> bool:
        return self._task is None or (self._queue.empty() and not self._is_handling)

    def start(self) -> None:
        if self._task is None:
            self._is_stopping = False
            self._task = asyncio.create_task(self._run(), name=f"consumer {self._consumer}")

    async def stop(self) -> None:
        if self._task is None:
            return
        self._is_stopping = True
        if not self._is_handling:
            self._task.cancel()
        await asyncio.wait([self._task])
        self._task = None

    async def _run(self) -> None:
        while not self._is_stopping:
            # One after the other, so that streams stay in order whoever handles them.
            async with self._transport.turn_of(self._consumer):
                batch = [await self._queue.get()]
                while len(batch) < self._batch_size and not self._queue.empty():
                    batch.append(self._queue.get_nowait())
                await self._deliver(batch)

    async def _deliver(self, batch: Sequence[Delivery]) -> None:
        self._is_handling = True
        waiting = deque(batch)
        try:
            outcomes = await self._outcomes(batch)
            while waiting:
                outcome = outcomes.popleft() if outcomes else await self._outcome_of(waiting[0])
                self._settle(waiting.popleft(), outcome)
        finally:
            # What is left was cancelled before it was handled.
            for delivery in waiting:
                self._transport.put_back(self._consumer, delivery)
            self._is_handling = False
            self._transport.look_later()

    async def _outcomes(self, batch: Sequence[Delivery]) -> deque[Exception | None]:
        """Return an outcome for each, or none at all when they have to be handled one by one."""
        if len(batch) == 1:
            return deque()
        try:
            return deque(await self._handle(batch))
        except Exception:
            _logger.exception("consumer %s failed with %d messages", self._consumer, len(batch))
            return deque()

    async def _outcome_of(self, delivery: Delivery) -> Exception | None:
        try:
            return (await self._handle([delivery]))[0]
        except Exception as error:  # noqa: BLE001 - it is the outcome, which is logged
            return error

    async def _handle(self, batch: Sequence[Delivery]) -> Sequence[Exception | None]:
        outcomes = await self._handler([delivery.message for delivery in batch])
        if len(outcomes) != len(batch):
            msg = f"a batch handler got {len(batch)} messages and returned {len(outcomes)} outcomes"
            raise MessagingError(msg)
        return outcomes

    def _settle(self, delivery: Delivery, outcome: Exception | None) -> None:
        if outcome is not None:
            self._log(delivery, outcome)
            self._transport.reject(self._consumer, delivery, outcome)

    def _log(self, delivery: Delivery, error: Exception) -> None:
        _logger.error(
            "consumer %s failed to handle message %s, try %d",
            self._consumer,
            delivery.message.message_id,
            delivery.failures + 1,
            exc_info=error,
        )


def _in_batches_of_one(handler: MessageHandler) -> BatchHandler:
    async def handle(messages: Sequence[OutboxMessage]) -> Sequence[Exception | None]:
        for message in messages:
            await handler(message)
        return [None] * len(messages)

    return handle


def _of_types(
    message_types: frozenset[str], handler: BatchHandler, consumer: str, *, skips_others: bool
) -> BatchHandler:
    """Return a handler that is called with messages of these types only."""

    def refusal(message: OutboxMessage) -> Exception | None:
        return None if skips_others else NotSubscribedError(message.message_type, consumer)

    async def handle(messages: Sequence[OutboxMessage]) -> Sequence[Exception | None]:
        wanted = [message for message in messages if message.message_type in message_types]
        if len(wanted) == len(messages):
            return await handler(messages)
        outcomes = iter(await handler(wanted) if wanted else ())
        return [
            next(outcomes) if message.message_type in message_types else refusal(message)
            for message in messages
        ]

    return handle
