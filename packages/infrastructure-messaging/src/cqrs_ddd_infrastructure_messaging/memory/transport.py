"""A broker in memory that can lose, double, delay and reorder."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from functools import partial
from typing import TYPE_CHECKING

from cqrs_ddd_core.adapters.memory.message_bus import Delivery
from cqrs_ddd_core.adapters.memory.publisher import InMemoryMessagePublisher
from cqrs_ddd_core.primitives.clock import FixedClock
from cqrs_ddd_core.primitives.id_generator import new_id
from cqrs_ddd_infrastructure_messaging.dead_letter import DeadLetter, DeathReason
from cqrs_ddd_infrastructure_messaging.exceptions import MalformedMessageError
from cqrs_ddd_infrastructure_messaging.memory._exchange import Exchange
from cqrs_ddd_infrastructure_messaging.memory._timeline import Timeline
from cqrs_ddd_infrastructure_messaging.memory.consumer import InMemoryTransportConsumer
from cqrs_ddd_infrastructure_messaging.memory.dead_letters import InMemoryDeadLetters
from cqrs_ddd_infrastructure_messaging.memory.faults import FaultPlan, Faults
from cqrs_ddd_infrastructure_messaging.retry import RetryLadder
from cqrs_ddd_infrastructure_messaging.routing import TopicRouter
from cqrs_ddd_infrastructure_messaging.serialization import EncodedMessage, EnvelopeSerializer

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from uuid import UUID

    from cqrs_ddd_core.ports.publisher import IMessagePublisher
    from cqrs_ddd_infrastructure_messaging.dead_letter import IDeadLetters

__all__ = ["InMemoryTransport"]

# Seconds until a message is delivered again that met an outage.
_OUTAGE = 1.0


class InMemoryTransport:
    """Publisher, consumers and dead letters of one process, for tests of your own programs.

    It behaves as brokers do: messages are written to bytes and read back, go to every consumer
    name whose topics they match, are tried again by the ladder and end as dead letters. The
    messages of a stream arrive in order, unless the plan says otherwise or one fails: it comes
    again behind those that followed it. One message or batch at a time is handled per consumer
    name, so that a test runs the same way each time.

    Waiting takes no time: whenever all started consumers are idle, the transport's clock jumps
    to the next delivery that is due.

    Args:
        faults: What goes wrong on purpose; nothing when not given.
        retry: How often a message is tried, and how long it waits in between.
        router: Says to which topic a message goes.
        serializer: Writes and reads messages, with their limits.
        clock: The transport's own time.
        passes_time: Whether waits end by themselves; otherwise ``advance`` ends them.
        max_queued: How many messages may wait for one consumer name; more are refused.
    """

    def __init__(
        self,
        faults: FaultPlan | None = None,
        *,
        retry: RetryLadder | None = None,
        router: TopicRouter | None = None,
        serializer: EnvelopeSerializer | None = None,
        clock: FixedClock | None = None,
        passes_time: bool = True,
        max_queued: int = 10_000,
    ) -> None:
        self._clock = clock or FixedClock()
        self._timeline = Timeline(self._clock)
        self._ladder = retry or RetryLadder()
        self._router = router or TopicRouter()
        self._serializer = serializer or EnvelopeSerializer(source="/memory")
        self._passes_time = passes_time
        self._bus = Exchange(
            self._router,
            self._serializer,
            Faults(faults or FaultPlan()),
            self._timeline,
            on_change=self.look_later,
            max_queued=max_queued,
        )
        self._letters = InMemoryDeadLetters(
            lambda letter: self.inject(letter.consumer, letter.body, letter.headers)
        )
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._consumers: list[InMemoryTransportConsumer] = []
        self._is_quiet = asyncio.Event()

    @property
    def clock(self) -> FixedClock:
        """The transport's own time."""
        return self._clock

    @property
    def publisher(self) -> IMessagePublisher:
        """Publishes to the consumers of this transport, through the faults."""
        return InMemoryMessagePublisher(self._bus)

    @property
    def dead_letters(self) -> IDeadLetters:
        """What its consumers gave up."""
        return self._letters

    def new_consumer(
        self,
        *,
        router: TopicRouter | None = None,
        patterns: Collection[str] = (),
        skip_other_types: bool = False,
    ) -> InMemoryTransportConsumer:
        """Return a consumer; those with the same consumer names share messages.

        Args:
            router: Knows the topics of the types it asks for; that of the transport if not given.
            patterns: Topics it is bound to beside those of the types, such as ``orders.#``.
            skip_other_types: Take messages of types that were not asked for as handled, instead
                of trying them again and giving them up.
        """
        consumer = InMemoryTransportConsumer(
            self,
            router=router or self._router,
            patterns=patterns,
            skip_other_types=skip_other_types,
        )
        self._consumers.append(consumer)
        return consumer

    def inject(self, consumer: str, body: bytes, headers: Mapping[str, str]) -> None:
        """Deliver bytes to one subscribed consumer name, as if they came from a stranger."""
        try:
            message = self._serializer.decode(body, headers).message
        except MalformedMessageError as error:
            received = EncodedMessage(body, dict(headers))
            reason = DeathReason.MALFORMED
            self._bury(consumer, received, error, reason, message_id=error.message_id)
        else:
            self.put_back(consumer, Delivery(message))

    def advance(self, seconds: float) -> None:
        """Let so many seconds of the transport's clock pass."""
        self._timeline.advance(seconds)
        self.look_later()

    async def drain(self, *, timeout: float = 30.0) -> None:
        """Wait until the started consumers have handled everything, waits and retries included.

        Without ``passes_time`` it waits for what is due now.

        Args:
            timeout: Seconds, by the clock of the machine.

        Raises:
            TimeoutError: A handler takes longer than that.
        """
        async with asyncio.timeout(timeout):
            while not self._is_idle() or self._may_jump():
                self._is_quiet.clear()
                self.look_later()
                await self._is_quiet.wait()

    def bind(self, consumer: str, patterns: Collection[str]) -> asyncio.Queue[Delivery]:
        """Return the queue of a consumer name, bound to patterns of topics; for consumers."""
        return self._bus.bind(consumer, patterns)

    def turn_of(self, consumer: str) -> asyncio.Lock:
        """Return what one consumer of a name has at a time; for consumers."""
        return self._turns[consumer]

    def put_back(self, consumer: str, delivery: Delivery) -> None:
        """Deliver a message again that nobody has tried; for consumers."""
        self._bus.put_back(consumer, delivery)
        self.look_later()

    def reject(self, consumer: str, delivery: Delivery, error: Exception) -> None:
        """Deliver a message again later, or make it a dead letter; for consumers."""
        if isinstance(error, self._ladder.outages):
            self._timeline.plan(_OUTAGE, partial(self._bus.put_back, consumer, delivery))
            return
        attempt, message = delivery.failures + 1, delivery.message
        delay = self._ladder.delay_after(attempt, error)
        if delay is not None:
            again = partial(self._bus.put_back, consumer, Delivery(message, attempt))
            self._timeline.plan(delay, again)
            return
        is_hopeless = isinstance(error, self._ladder.hopeless)
        reason = DeathReason.HOPELESS if is_hopeless else DeathReason.EXHAUSTED
        self._bury(
            consumer,
            self._serializer.encode(message),
            error,
            reason,
            message_id=message.message_id,
            attempts=attempt,
        )

    def look_later(self) -> None:
        """See in a moment whether everybody is idle; for consumers."""
        asyncio.get_running_loop().call_soon(self._look)

    def _look(self) -> None:
        while self._is_idle() and self._may_jump():
            self._timeline.advance_to_next()
        if self._is_idle():
            self._is_quiet.set()

    def _is_idle(self) -> bool:
        return all(consumer.is_idle for consumer in self._consumers)

    def _may_jump(self) -> bool:
        """Whether time passes: nobody would see a message arrive while no consumer is started."""
        is_started = any(consumer.is_started for consumer in self._consumers)
        return self._passes_time and is_started and len(self._timeline) > 0

    def _bury(
        self,
        consumer: str,
        received: EncodedMessage,
        error: Exception,
        reason: DeathReason,
        *,
        message_id: UUID | None,
        attempts: int = 1,
    ) -> None:
        self._letters.bury(
            DeadLetter(
                letter_id=new_id(),
                message_id=message_id,
                consumer=consumer,
                reason=reason,
                error=f"{type(error).__name__}: {error}",
                attempts=attempts,
                died_at=self._clock.now(),
                body=received.body,
                headers=received.headers,
            )
        )
