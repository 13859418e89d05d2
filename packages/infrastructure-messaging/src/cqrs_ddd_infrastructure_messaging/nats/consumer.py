"""The consumer of NATS JetStream: at least once, in order where asked for, and nothing lost."""

from __future__ import annotations

import asyncio
from itertools import chain
from typing import TYPE_CHECKING

from cqrs_ddd_core.ports.consumer import IMessageConsumer, MessageHandler
from cqrs_ddd_core.primitives.exceptions import ConfigurationError
from cqrs_ddd_infrastructure_messaging._handling import Handling
from cqrs_ddd_infrastructure_messaging.nats._delivery import NATSDelivery, NATSParking
from cqrs_ddd_infrastructure_messaging.nats._running import Running
from cqrs_ddd_infrastructure_messaging.nats.topology import NATSTopology, checked_name
from cqrs_ddd_infrastructure_messaging.retry import RetryLadder
from cqrs_ddd_infrastructure_messaging.routing import TopicRouter, check_pattern

if TYPE_CHECKING:
    from collections.abc import Collection

    from cqrs_ddd_infrastructure_messaging.nats.connection import NATSConnection
    from cqrs_ddd_infrastructure_messaging.nats.settings import NATSSettings
    from cqrs_ddd_infrastructure_messaging.serialization import EnvelopeSerializer

__all__ = ["NATSConsumer"]


class NATSConsumer(IMessageConsumer):
    """Delivers messages from NATS JetStream, at least once.

    A message is acknowledged after its handler returned; one that fails is put back with the
    ladder's wait, and given up only after its dead letter is stored (G9). Handlers that must
    have one effect per message put it in the inbox, in their own transaction. A handler may take
    as long as it likes: the server is told that it is at work.

    The server counts the tries, and it counts deliveries: one that ended with the process, or
    was given back at a stop, is a try as well. Replayed letters start again from one.

    Order: messages of one stream are handled one after the other in this process, and a message
    that waits for another try is overtaken. With ``partitions`` the server itself lets only one
    message of a partition be under way, in all processes of the consumer name, and a message
    that fails holds its partition until it succeeds or is a dead letter: order is strict, at the
    price of one message per partition at a time, so keep the ladder short. Replayed letters keep
    the order among themselves.

    The first start makes the consumer's places on the server; it receives what is published from
    then on, also while it is stopped.

    Args:
        connection: To the server; whoever made it closes it.
        serializer: Reads what arrives.
        router: Knows the topics of the message types; the same as the publishers'.
        settings: Names and limits; the same as the publishers have.
        patterns: Topics it asks for beside those of the types, such as ``orders.#``.
        retry: How often and after which waits a message is tried again.
        partitions: Over how many places the streams are spread, a power of two up to 32; 0 for
            one that any number of processes share. Another number makes other places: drain the
            old ones first.
        concurrency: How many handlers run at the same time.
        prefetch: How many unacknowledged messages are held here; times the longest body, that is
            the memory it takes.
        stop_timeout: Seconds the handlers under way may take to finish after ``stop``.
        skip_other_types: Acknowledge messages of types that were not asked for, which come when
            several types share a topic. Otherwise they are tried again, so that another release
            of the same consumer gets them, and then become dead letters.

    Raises:
        ConfigurationError: A number is out of range.
    """

    def __init__(
        self,
        connection: NATSConnection,
        *,
        serializer: EnvelopeSerializer,
        router: TopicRouter | None = None,
        settings: NATSSettings | None = None,
        patterns: Collection[str] = (),
        retry: RetryLadder | None = None,
        partitions: int = 0,
        concurrency: int = 16,
        prefetch: int = 200,
        stop_timeout: float = 30.0,
        skip_other_types: bool = False,
    ) -> None:
        if not 1 <= concurrency <= prefetch <= 65_535:
            raise ConfigurationError("a consumer needs 1 <= concurrency <= prefetch <= 65535")
        if stop_timeout < 0:
            raise ConfigurationError("a consumer needs stop_timeout >= 0")
        self._connection = connection
        self._serializer = serializer
        self._topology = NATSTopology(settings)
        self._router = router or TopicRouter()
        self._patterns = [check_pattern(pattern) for pattern in patterns]
        self._ladder = retry or RetryLadder()
        self._partitions = partitions
        self._concurrency = concurrency
        self._prefetch = prefetch
        self._stop_timeout = stop_timeout
        self._skips_other_types = skip_other_types
        self._requests: dict[str, tuple[Collection[str], MessageHandler]] = {}
        self._running: dict[str, Running] = {}
        self._is_started = False

    @property
    def is_consuming(self) -> bool:
        """Whether every subscription receives messages at this moment."""
        running = self._running.values()
        return bool(running) and all(one.is_consuming for one in running)

    async def subscribe(
        self, message_types: Collection[str], handler: MessageHandler, *, consumer: str
    ) -> None:
        """Deliver messages of these types to the handler under a consumer name.

        Raises:
            ConfigurationError: The name is taken, or cannot be a name; or there are no types.
            MessagingError: The consumer is started, and the server cannot be reached.
        """
        if consumer in self._requests:
            msg = f"{checked_name(consumer)!r} is subscribed already: use another consumer name"
            raise ConfigurationError(msg)
        if not message_types:
            raise ConfigurationError(f"{consumer!r} asks for no message types")
        self._requests[checked_name(consumer)] = frozenset(message_types), handler
        if self._is_started:
            await self._run(consumer)

    async def start(self) -> None:
        """Begin to deliver.

        Raises:
            BrokerUnavailableError: The server cannot be reached.
            TopologyMismatchError: A stream or a place is there and is different.
        """
        if self._is_started:
            return
        self._is_started = True
        try:
            for consumer in self._requests:
                await self._run(consumer)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        self._is_started = False
        running, self._running = self._running, {}
        await asyncio.gather(*(one.stop(timeout=self._stop_timeout) for one in running.values()))

    async def _run(self, consumer: str) -> None:
        message_types, handler = self._requests[consumer]
        ways = chain(*map(self._router.patterns_for, sorted(message_types)))
        handling = Handling[NATSDelivery](
            consumer,
            message_types,
            handler,
            parking=NATSParking(self._connection, self._topology),
            ladder=self._ladder,
            concurrency=self._concurrency,
            # The server holds them.
            holds_streams=False,
            skips_other_types=self._skips_other_types,
        )
        self._running[consumer] = running = Running(
            consumer,
            self._connection,
            self._topology,
            patterns=[*dict.fromkeys([*ways, *self._patterns])],
            partitions=self._partitions,
            prefetch=self._prefetch,
            serializer=self._serializer,
            handling=handling,
            limit=self._ladder.max_attempts + self._topology.settings.delivery_limit,
        )
        await running.start()
