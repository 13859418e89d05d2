"""Streams, subjects and durable consumers as data: where a message goes, and where it ends."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cqrs_ddd_core.primitives.exceptions import ConfigurationError
from cqrs_ddd_infrastructure_messaging._slots import SLOTS, slot_of
from cqrs_ddd_infrastructure_messaging.nats._driver import api
from cqrs_ddd_infrastructure_messaging.nats.settings import NATSSettings

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from uuid import UUID

    from cqrs_ddd_core.ports.outbox import OutboxMessage

__all__ = ["NATSTopology"]

_is_name = re.compile(r"[A-Za-z0-9_-]{1,60}").fullmatch

# Five words of a subject, 0 or 1 each, so that a wildcard in the last ones asks for a range of
# slots: a consumer of servers before 2.10 has one filter only.
_BITS = SLOTS.bit_length() - 1
# The last word of every subject: `orders.#` asks for `orders` too, and `>` for at least one word.
_END = "-"


class NATSTopology:
    """Names what a set of publishers and consumers uses.

    ============================================  ==============================================
    stream ``cqrs-messages``                      keeps a message until every consumer that asked
                                                  for it has acknowledged it
    its subjects ``cqrs.messages.<slot>.<topic>``  what is published
    its subjects ``cqrs.again.<consumer>``        dead letters that are replayed
    stream ``cqrs-dead``                          dead letters, ``cqrs.dead.<consumer>.<letter>``
    durable ``<consumer>``                        a consumer's place; with ``partitions`` there
                                                  are ``<consumer>-of4-0`` and so on
    durable ``<consumer>-again``                  its place among what is replayed to it
    ============================================  ==============================================

    Args:
        settings: Names and limits.
    """

    def __init__(self, settings: NATSSettings | None = None) -> None:
        self.settings: NATSSettings = settings or NATSSettings()

    @property
    def messages(self) -> str:
        """The stream of messages."""
        return f"{self.settings.prefix}-messages"

    @property
    def dead(self) -> str:
        """The stream of dead letters."""
        return f"{self.settings.prefix}-dead"

    def streams(self) -> Sequence[api.StreamConfig]:
        """Return both streams."""
        settings, prefix = self.settings, self.settings.prefix
        return (
            api.StreamConfig(
                name=self.messages,
                subjects=[f"{prefix}.messages.>", f"{prefix}.again.>"],
                retention=api.RetentionPolicy.INTEREST,
                discard=api.DiscardPolicy.NEW,
                storage=api.StorageType.FILE,
                max_bytes=settings.max_bytes,
                num_replicas=settings.replicas,
                duplicate_window=settings.duplicate_window,
            ),
            api.StreamConfig(
                name=self.dead,
                subjects=[f"{prefix}.dead.*.*"],
                retention=api.RetentionPolicy.LIMITS,
                discard=api.DiscardPolicy.NEW,
                storage=api.StorageType.FILE,
                num_replicas=settings.replicas,
                duplicate_window=settings.duplicate_window,
            ),
        )

    def subject(self, topic: str, message: OutboxMessage) -> str:
        """Return the subject a message is published to."""
        slot = slot_of(message.tenant_id, message.stream)
        bits = ".".join(f"{slot:0{_BITS}b}")
        return f"{self.settings.prefix}.messages.{bits}.{topic}.{_END}"

    def topic_in(self, subject: str) -> str:
        """Return the topic a message was published to."""
        return ".".join(subject.split(".")[2 + _BITS : -1])

    def is_replay(self, subject: str) -> bool:
        """Whether a message comes from the dead letters."""
        return subject.startswith(f"{self.settings.prefix}.again.")

    def again_subject(self, consumer: str) -> str:
        """Return the subject of what is replayed to a consumer."""
        return f"{self.settings.prefix}.again.{checked_name(consumer)}"

    def again_durable(self, consumer: str) -> str:
        """Return the name of a consumer's place among what is replayed to it."""
        return f"{checked_name(consumer)}-again"

    def dead_subject(self, consumer: str, letter_id: UUID | None = None) -> str:
        """Return the subject of one dead letter of a consumer, or of all."""
        return f"{self.settings.prefix}.dead.{checked_name(consumer)}.{letter_id or '*'}"

    def durables(
        self, consumer: str, patterns: Collection[str], *, partitions: int, prefetch: int
    ) -> Sequence[api.ConsumerConfig]:
        """Return a consumer's places.

        Args:
            consumer: Its name: letters, digits, ``-`` and ``_``.
            patterns: Topics it wants. The server looks at one filter; with several patterns
                everything arrives, and the consumer looks.
            partitions: A power of two up to 32, or 0.
            prefetch: How many messages of one place may be unacknowledged.
        """
        name = checked_name(consumer)
        topics = _filter_of(patterns)
        again = self._durable(
            self.again_durable(consumer),
            self.again_subject(consumer),
            1 if partitions else prefetch,
        )
        if not partitions:
            subject = f"{self.settings.prefix}.messages.{_words(_BITS)}{topics}"
            return (self._durable(name, subject, prefetch), again)
        fixed = _exponent(partitions)
        # One unacknowledged message at a time: the server itself keeps the order, however many
        # processes ask.
        parts = (
            self._durable(
                f"{name}-of{partitions}-{number}",
                f"{self.settings.prefix}.messages.{_bits(number, fixed)}"
                f"{_words(_BITS - fixed)}{topics}",
                1,
            )
            for number in range(partitions)
        )
        return (*parts, again)

    def _durable(self, name: str, subject: str, max_unacknowledged: int) -> api.ConsumerConfig:
        return api.ConsumerConfig(
            durable_name=name,
            deliver_policy=api.DeliverPolicy.NEW,
            ack_policy=api.AckPolicy.EXPLICIT,
            ack_wait=self.settings.ack_wait,
            max_deliver=-1,
            max_ack_pending=max_unacknowledged,
            filter_subject=subject,
        )


def checked_name(consumer: str) -> str:
    """Return the name of a consumer.

    Raises:
        ConfigurationError: It is none.
    """
    if not _is_name(consumer):
        msg = f"{consumer!r} cannot name a consumer: use 1 to 60 letters, digits, '-' and '_'"
        raise ConfigurationError(msg)
    return consumer


def _filter_of(patterns: Collection[str]) -> str:
    """Return the end of a subject that takes at least what the patterns ask for."""
    if len(patterns) != 1:
        return ">"
    words = next(iter(patterns)).split(".")
    if "#" in words:
        return "".join(f"{word}." for word in words[: words.index("#")]) + ">"
    return ".".join((*words, _END))


def _exponent(partitions: int) -> int:
    exponent = partitions.bit_length() - 1
    if partitions != 1 << exponent or exponent > _BITS:
        msg = f"partitions={partitions}: use 1, 2, 4, 8, 16 or {SLOTS}, or 0 for none"
        raise ConfigurationError(msg)
    return exponent


def _bits(number: int, count: int) -> str:
    return "".join(f"{bit}." for bit in f"{number:0{count}b}") if count else ""


def _words(count: int) -> str:
    return "*." * count
