"""The consumer of RabbitMQ: at least once, in order where asked for, and nothing lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, TypeAlias
from weakref import WeakKeyDictionary

from cqrs_ddd_core.primitives.exceptions import ConfigurationError
from cqrs_ddd_infrastructure_messaging._handling import Handling
from cqrs_ddd_infrastructure_messaging._lanes import StreamLanes
from cqrs_ddd_infrastructure_messaging.consuming import BatchHandler, IBatchMessageConsumer
from cqrs_ddd_infrastructure_messaging.rabbitmq._batching import Batches, Singles, one_by_one
from cqrs_ddd_infrastructure_messaging.rabbitmq._parking import Parking
from cqrs_ddd_infrastructure_messaging.rabbitmq._sending import ConfirmedSender
from cqrs_ddd_infrastructure_messaging.rabbitmq._subscription import Intake, Subscription
from cqrs_ddd_infrastructure_messaging.rabbitmq.connection import RabbitMQConnection
from cqrs_ddd_infrastructure_messaging.rabbitmq.topology import RabbitMQTopology
from cqrs_ddd_infrastructure_messaging.retry import RetryLadder
from cqrs_ddd_infrastructure_messaging.routing import TopicRouter, check_pattern

if TYPE_CHECKING:
    from collections.abc import Collection

    from cqrs_ddd_core.ports.consumer import MessageHandler
    from cqrs_ddd_infrastructure_messaging.rabbitmq._delivery import Delivery
    from cqrs_ddd_infrastructure_messaging.rabbitmq.settings import RabbitMQSettings
    from cqrs_ddd_infrastructure_messaging.serialization import EnvelopeSerializer

__all__ = ["RabbitMQConsumer"]

#: What each consumer name of a connection asked for; its queues keep it after a stop.
_asked_for: WeakKeyDictionary[RabbitMQConnection, dict[str, frozenset[str]]] = WeakKeyDictionary()

# In seconds, over all steps of the ladder; RabbitMQ waits 30 minutes for an acknowledgement.
_LONGEST_HOLD = 1_200.0

_NewIntake: TypeAlias = Callable[[ConfirmedSender], Intake]


@dataclass(frozen=True, slots=True)
class _Request:
    """What was subscribed to; each start makes something new of it."""

    consumer: str
    message_types: frozenset[str]
    new_intake: _NewIntake


class RabbitMQConsumer(IBatchMessageConsumer):
    """Delivers messages from RabbitMQ, at least once.

    A message is acknowledged after its handler returned, or after a copy of it is confirmed to
    wait for its next try or to be a dead letter; never before, and never on cancellation (G9).
    Handlers that must have one effect per message put it in the inbox, in their own transaction:
    after a lost connection or a crash messages come again.

    Order: messages of one stream are handled one after the other in this process. With
    ``partitions`` they are so across all processes of the consumer name, and a message that fails
    holds its stream until it succeeds or is a dead letter; then the stream goes on without it.
    Without, a message that waits for another try is overtaken, and other processes work on
    messages of the same stream at the same time.

    A consumer that was cut off resumes by itself and checks its queues again. ``start`` raises
    when it cannot begin, so that a wrong set-up is seen at once.

    Args:
        connection: To the broker; whoever made it closes it.
        serializer: Reads what arrives.
        router: Knows the topics of the message types; the same as the publishers'.
        settings: Names and limits; the same as the publishers have.
        patterns: Topics it is bound to beside those of the types, such as ``orders.#``.
        retry: How often and after which waits a message is tried again; with ``partitions`` 20
            minutes in all at most.
        partitions: Over how many queues the streams are spread, 1 to 32, each served by one
            process at a time; 0 for one queue that any number of processes share. Another
            number makes other queues: drain the old ones first.
        concurrency: How many handlers run at the same time.
        prefetch: How many unacknowledged messages of each queue are held here; times the longest
            body, that is the memory it takes.
        stop_timeout: Seconds the handlers under way may take to finish after ``stop``.
        skip_other_types: Acknowledge messages of types that were not asked for, which come when
            several types share a topic. Otherwise they are tried again, so that another release
            of the same consumer gets them, and then become dead letters.

    Raises:
        ConfigurationError: A number is out of range.
    """

    def __init__(
        self,
        connection: RabbitMQConnection,
        *,
        serializer: EnvelopeSerializer,
        router: TopicRouter | None = None,
        settings: RabbitMQSettings | None = None,
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
        ladder = retry or RetryLadder()
        if partitions and sum(ladder.delays) > _LONGEST_HOLD:
            msg = (
                f"with partitions a stream is held for {sum(ladder.delays):g} s, and RabbitMQ "
                f"takes messages away after half an hour: use {_LONGEST_HOLD:g} s at most"
            )
            raise ConfigurationError(msg)
        self._connection = connection
        self._serializer = serializer
        self._topology = RabbitMQTopology(settings)
        self._router = router or TopicRouter()
        self._patterns = [check_pattern(pattern) for pattern in patterns]
        self._ladder = ladder
        self._partitions = partitions
        self._concurrency = concurrency
        self._prefetch = prefetch
        self._stop_timeout = stop_timeout
        self._skips_other_types = skip_other_types
        self._requests: dict[str, _Request] = {}
        self._running: dict[str, Subscription] = {}
        self._sender: ConfirmedSender | None = None

    @property
    def is_consuming(self) -> bool:
        """Whether every subscription receives messages at this moment."""
        running = self._running.values()
        return bool(running) and all(subscription.is_consuming for subscription in running)

    async def subscribe(
        self, message_types: Collection[str], handler: MessageHandler, *, consumer: str
    ) -> None:
        """Deliver messages of these types to the handler under a consumer name.

        Raises:
            ConfigurationError: The name is taken, here or for other types; or cannot be a name.
            MessagingError: The consumer is started, and the broker cannot be reached.
        """

        def new_intake(sender: ConfirmedSender) -> Intake:
            return Singles(self._new_lanes(request, handler, sender)[1])

        request = _Request(consumer, frozenset(message_types), new_intake)
        await self._add(request)

    async def subscribe_batch(
        self,
        message_types: Collection[str],
        handler: BatchHandler,
        *,
        consumer: str,
        batch_size: int = 200,
    ) -> None:
        """Deliver messages of these types in batches under a consumer name.

        Raises:
            ConfigurationError: The name is taken, here or for other types; or cannot be a name;
                or ``batch_size`` is not from 1 to ``prefetch``.
            MessagingError: The consumer is started, and the broker cannot be reached.
        """
        if not 1 <= batch_size <= self._prefetch:
            raise ConfigurationError(f"batch_size must be from 1 to prefetch={self._prefetch}")

        def new_intake(sender: ConfirmedSender) -> Intake:
            handling, lanes = self._new_lanes(request, one_by_one(handler), sender)
            name = f"batches of {consumer}"
            return Batches(handler, size=batch_size, handling=handling, lanes=lanes, name=name)

        request = _Request(consumer, frozenset(message_types), new_intake)
        await self._add(request)

    async def start(self) -> None:
        """Begin to deliver.

        Raises:
            BrokerUnavailableError: The broker cannot be reached.
            TopologyMismatchError: A queue or exchange is there and is different.
        """
        if self._sender is not None:
            return
        self._sender = ConfirmedSender(
            self._connection.publishing, timeout=self._topology.settings.publish_timeout
        )
        try:
            for request in self._requests.values():
                await self._run(request, self._sender)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        running, self._running = self._running, {}
        await asyncio.gather(
            *(subscription.stop(timeout=self._stop_timeout) for subscription in running.values())
        )
        sender, self._sender = self._sender, None
        if sender is not None:
            await sender.close()

    async def _add(self, request: _Request) -> None:
        if request.consumer in self._requests:
            msg = f"{request.consumer!r} is subscribed already: use another consumer name"
            raise ConfigurationError(msg)
        self._check_types(request)
        self._require(request)
        self._requests[request.consumer] = request
        if self._sender is not None:
            await self._run(request, self._sender)

    def _check_types(self, request: _Request) -> None:
        if not request.message_types:
            raise ConfigurationError(f"{request.consumer!r} asks for no message types")
        known = _asked_for.setdefault(self._connection, {})
        queue = self._topology.dead_queue(request.consumer)
        types = known.setdefault(queue, request.message_types)
        if types != request.message_types:
            msg = (
                f"consumer {request.consumer!r} receives {sorted(types)} already: "
                "use another name for other types"
            )
            raise ConfigurationError(msg)

    def _require(self, request: _Request) -> None:
        types = sorted(request.message_types)
        declarations = self._topology.of_consumer(
            request.consumer,
            dict.fromkeys([*chain(*map(self._router.patterns_for, types)), *self._patterns]),
            partitions=self._partitions,
            delays=() if self._partitions else sorted(set(self._ladder.delays)),
        )
        may_declare = self._topology.settings.may_declare
        # For publishing too: that is where the copies go.
        for link in (self._connection.consuming, self._connection.publishing):
            link.require(declarations, may_declare=may_declare)

    async def _run(self, request: _Request, sender: ConfirmedSender) -> None:
        subscription = Subscription(
            request.consumer,
            self._connection.consuming,
            self._topology.queues(request.consumer, partitions=self._partitions),
            serializer=self._serializer,
            intake=request.new_intake(sender),
            prefetch=self._prefetch,
            timeout=self._topology.settings.publish_timeout,
            is_shared=not self._partitions,
        )
        self._running[request.consumer] = subscription
        await subscription.start()

    def _new_lanes(
        self, request: _Request, handler: MessageHandler, sender: ConfirmedSender
    ) -> tuple[Handling[Delivery], StreamLanes[Delivery]]:
        handling: Handling[Delivery] = Handling(
            request.consumer,
            request.message_types,
            handler,
            parking=Parking(sender, self._topology, consumer=request.consumer),
            ladder=self._ladder,
            concurrency=self._concurrency,
            holds_streams=self._partitions > 0,
            skips_other_types=self._skips_other_types,
        )
        return handling, StreamLanes(handling.settle, name=f"handlers of {request.consumer}")
