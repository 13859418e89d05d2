"""Exchanges, queues and bindings as data: where a message goes, and where it ends."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from cqrs_ddd_core.primitives.exceptions import ConfigurationError
from cqrs_ddd_infrastructure_messaging._slots import SLOTS, slot_of
from cqrs_ddd_infrastructure_messaging.rabbitmq.settings import RabbitMQSettings

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from cqrs_ddd_core.ports.outbox import OutboxMessage

__all__ = [
    "Binding",
    "Declaration",
    "Exchange",
    "Queue",
    "RabbitMQTopology",
]

_is_name = re.compile(r"[A-Za-z0-9_-]{1,60}").fullmatch


@dataclass(frozen=True, slots=True)
class Exchange:
    """A durable exchange."""

    name: str
    type: str
    arguments: Mapping[str, str | int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Queue:
    """A durable quorum queue; its arguments say so."""

    name: str
    arguments: Mapping[str, str | int | bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Binding:
    """What an exchange puts into a queue."""

    queue: str
    exchange: str
    routing_key: str = ""


Declaration: TypeAlias = Exchange | Queue | Binding


class RabbitMQTopology:
    """Names and declares what a set of publishers and consumers uses.

    ======================================  ====================================================
    exchange ``cqrs.messages``              topic; everything is published to it
    exchange, queue ``cqrs.unroutable``     what no queue wanted, unless that is refused
    exchange ``cqrs.dead``                  direct; what a consumer gave up
    queue ``cqrs.<consumer>``               a consumer's messages; with ``partitions`` there are
                                            ``cqrs.<consumer>.0`` and so on, each with a single
                                            active consumer, and a stream is always in the same
    queue ``cqrs.<consumer>.dead``          its dead letters
    queue ``cqrs.<consumer>.retry.<ms>``    messages waiting so many milliseconds
    ======================================  ====================================================

    Queues are quorum queues: they survive a restart and, in a cluster, the loss of a node. What
    ends somewhere is declared before what leads there.

    Args:
        settings: Names and limits.
    """

    def __init__(self, settings: RabbitMQSettings | None = None) -> None:
        self.settings: RabbitMQSettings = settings or RabbitMQSettings()

    @property
    def exchange(self) -> str:
        """Where messages are published."""
        return self._name("messages")

    @property
    def unroutable(self) -> str:
        """Exchange and queue of what no queue wanted."""
        return self._name("unroutable")

    @property
    def dead(self) -> str:
        """Exchange of the dead letters; their routing key is the consumer's name."""
        return self._name("dead")

    def queues(self, consumer: str, *, partitions: int = 0) -> Sequence[str]:
        """Return the names of a consumer's queues: one, or one for each partition."""
        name = self._name(_checked_name(consumer))
        if not partitions:
            return (name,)
        if not 1 <= partitions <= SLOTS:
            raise ConfigurationError(f"partitions={partitions}: use 1 to {SLOTS}, or 0 for none")
        return tuple(f"{name}.{number}" for number in range(partitions))

    def dead_queue(self, consumer: str) -> str:
        """Return the name of the queue of a consumer's dead letters."""
        return self._name(f"{_checked_name(consumer)}.dead")

    def retry_exchange(self, consumer: str, delay: float) -> str:
        """Return the exchange, and the queue behind it, where messages wait for so many seconds.

        Publish to it with the name of the queue they are to come back to as routing key.
        """
        return self._name(f"{_checked_name(consumer)}.retry.{round(delay * 1000)}")

    def routing_key(self, topic: str, message: OutboxMessage) -> str:
        """Return the topic with the slot of the message's stream as its last word."""
        return f"{topic}.{slot_of(message.tenant_id, message.stream):02d}"

    def shared(self) -> Sequence[Declaration]:
        """Return what publishers need."""
        return (Exchange(self.dead, "direct"), *self._kept_unroutable(), self._messages())

    def of_consumer(
        self,
        consumer: str,
        patterns: Collection[str],
        *,
        partitions: int = 0,
        delays: Collection[float] = (),
    ) -> Sequence[Declaration]:
        """Return what a consumer needs.

        Args:
            consumer: Its name: letters, digits, ``-`` and ``_``.
            patterns: Topics it wants, such as ``orders.*`` or ``orders.#``.
            partitions: Over how many queues its streams are spread, to be handled in order;
                0 for one queue that any number of processes share, in no order.
            delays: Seconds for which its messages may wait for another try.
        """
        dead = self.dead_queue(consumer)
        found: list[Declaration] = [
            *self.shared(),
            Queue(dead, _LOOKED_THROUGH),
            Binding(dead, self.dead, consumer),
        ]
        for delay in delays:
            found += self._retry(consumer, delay)
        names = self.queues(consumer, partitions=partitions)
        arguments = self._work_arguments(consumer, single_active=partitions > 0)
        for number, name in enumerate(names):
            found.append(Queue(name, arguments))
            slots = _slots_of(number, partitions)
            found += [
                Binding(name, self.exchange, f"{pattern}.{slot}")
                for pattern in patterns
                for slot in slots
            ]
        return tuple(found)

    def _messages(self) -> Exchange:
        if self.settings.unroutable == "refuse":
            return Exchange(self.exchange, "topic")
        return Exchange(self.exchange, "topic", {"alternate-exchange": self.unroutable})

    def _kept_unroutable(self) -> Iterator[Declaration]:
        if self.settings.unroutable == "keep":
            yield Exchange(self.unroutable, "fanout")
            yield Queue(self.unroutable, _LOOKED_THROUGH)
            yield Binding(self.unroutable, self.unroutable)

    def _retry(self, consumer: str, delay: float) -> Iterator[Declaration]:
        # The routing key survives the wait, and the default exchange takes it for a queue's name.
        # One time to live for the whole queue: with one per message, a long wait at the head
        # keeps shorter ones behind it waiting.
        name = self.retry_exchange(consumer, delay)
        wait: dict[str, str | int] = {
            "x-message-ttl": round(delay * 1000),
            "x-dead-letter-exchange": "",
        }
        yield Exchange(name, "fanout")
        yield Queue(name, {**_QUORUM, **_AT_LEAST_ONCE, **wait})
        yield Binding(name, name)

    def _work_arguments(self, consumer: str, *, single_active: bool) -> dict[str, str | int | bool]:
        arguments: dict[str, str | int | bool] = {
            **_QUORUM,
            **_AT_LEAST_ONCE,
            "x-dead-letter-exchange": self.dead,
            "x-dead-letter-routing-key": consumer,
            "x-delivery-limit": self.settings.delivery_limit,
        }
        if single_active:
            arguments["x-single-active-consumer"] = True
        if self.settings.max_queued is not None:
            arguments["x-max-length"] = self.settings.max_queued
        return arguments

    def _name(self, rest: str) -> str:
        return f"{self.settings.prefix}.{rest}"


_QUORUM: Mapping[str, str | int] = {"x-queue-type": "quorum"}
# Looking at messages counts as delivering them, and RabbitMQ 4 drops after 20 times; before, a
# negative number does not mean without limit.
_LOOKED_THROUGH: Mapping[str, str | int] = {**_QUORUM, "x-delivery-limit": 1_000_000_000}
# At least once needs reject-publish: https://www.rabbitmq.com/docs/quorum-queues
_AT_LEAST_ONCE: Mapping[str, str | int] = {
    "x-dead-letter-strategy": "at-least-once",
    "x-overflow": "reject-publish",
}


def _slots_of(number: int, partitions: int) -> Sequence[str]:
    """Return what the last word of a routing key may be for a queue."""
    if not partitions:
        return ("*",)
    return [f"{slot:02d}" for slot in range(SLOTS) if slot % partitions == number]


def _checked_name(consumer: str) -> str:
    if not _is_name(consumer) or consumer == "unroutable":
        msg = f"{consumer!r} cannot name a consumer: use 1 to 60 letters, digits, '-' and '_'"
        raise ConfigurationError(msg)
    return consumer
