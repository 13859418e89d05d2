"""A broker in memory: one queue per consumer name, redelivery and dead letters."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cqrs_ddd_core.primitives.exceptions import ConfigurationError, MessagingError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from cqrs_ddd_core.ports.outbox import OutboxMessage

__all__ = ["Delivery", "InMemoryMessageBus"]


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message on its way to a consumer, and how often it was tried before."""

    message: OutboxMessage
    failures: int = 0


@dataclass(frozen=True, slots=True)
class _Queue:
    message_types: frozenset[str]
    deliveries: asyncio.Queue[Delivery]


class InMemoryMessageBus:
    """Connects the publishers and consumers of one process.

    A message goes to each consumer name that asked for its type, and to none when nobody did.

    Args:
        is_wanted: Whether a message is for who asked for these types; by its type when not given.
        max_attempts: How often a message is delivered before it becomes a dead letter.
        max_queued: How many messages may wait for one consumer; more are refused.
        max_payload_bytes: The longest payload it takes.
        max_dead_letters: How many dead letters of one consumer it keeps, the latest.
    """

    def __init__(
        self,
        *,
        is_wanted: Callable[[OutboxMessage, Collection[str]], bool] | None = None,
        max_attempts: int = 5,
        max_queued: int = 10_000,
        max_payload_bytes: int = 1_000_000,
        max_dead_letters: int = 1_000,
    ) -> None:
        self._is_wanted = is_wanted or _by_type
        self._max_attempts = max_attempts
        self._max_queued = max_queued
        self._max_payload_bytes = max_payload_bytes
        self._queues: dict[str, _Queue] = {}
        self._dead: defaultdict[str, deque[OutboxMessage]] = defaultdict(
            lambda: deque(maxlen=max_dead_letters)
        )

    def bind(self, consumer: str, message_types: Collection[str]) -> asyncio.Queue[Delivery]:
        """Return the queue of a consumer name, made on first use; for consumers.

        Raises:
            ConfigurationError: The name is bound to other types already.
        """
        wanted = frozenset(message_types)
        queue = self._queues.setdefault(consumer, _Queue(wanted, asyncio.Queue()))
        if queue.message_types != wanted:
            msg = (
                f"consumer {consumer!r} receives {sorted(queue.message_types)} already: "
                "use another name for other types"
            )
            raise ConfigurationError(msg)
        return queue.deliveries

    def accept(self, message: OutboxMessage) -> None:
        """Put a message into the queues of those who want it, all or none; for publishers.

        Raises:
            MessagingError: It is too long, or a queue is full.
        """
        if len(message.payload) > self._max_payload_bytes:
            msg = f"message {message.message_id}: {len(message.payload)} bytes are too many"
            raise MessagingError(msg)
        queues = [q for q in self._queues.values() if self._is_wanted(message, q.message_types)]
        if any(queue.deliveries.qsize() >= self._max_queued for queue in queues):
            msg = f"message {message.message_id}: {self._max_queued} messages wait already"
            raise MessagingError(msg)
        for queue in queues:
            own = replace(message, headers=deepcopy(dict(message.headers)))
            queue.deliveries.put_nowait(Delivery(own))

    def reject(self, consumer: str, delivery: Delivery) -> None:
        """Deliver a message again, behind the others, or make it a dead letter."""
        failures = delivery.failures + 1
        if failures >= self._max_attempts:
            self._dead[consumer].append(delivery.message)
        else:
            self.put_back(consumer, Delivery(delivery.message, failures))

    def put_back(self, consumer: str, delivery: Delivery) -> None:
        """Deliver a message again that nobody has tried."""
        self._queues[consumer].deliveries.put_nowait(delivery)

    def dead_letters(self, consumer: str) -> list[OutboxMessage]:
        """Return the messages a consumer failed to handle, oldest first."""
        return list(self._dead[consumer])


def _by_type(message: OutboxMessage, message_types: Collection[str]) -> bool:
    return message.message_type in message_types
