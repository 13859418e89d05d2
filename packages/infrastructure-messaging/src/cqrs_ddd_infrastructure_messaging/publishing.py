"""Publishers around publishers: one per kind of message, and one that counts."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING

from cqrs_ddd_core.instrumentation import HookRegistry
from cqrs_ddd_core.ports.outbox import MessageKind
from cqrs_ddd_core.ports.publisher import IMessagePublisher, PublishOutcome
from cqrs_ddd_core.primitives.exceptions import BrokerUnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cqrs_ddd_core.ports.outbox import OutboxMessage

__all__ = ["InstrumentedPublisher", "KindPublisher", "PublisherMetrics"]


class KindPublisher(IMessagePublisher):
    """Publishes events one way and commands another, such as to a broker and to local handlers.

    The order of a stream holds over both: what follows a message that failed in its stream is
    not sent, whichever way it would go. When one way is unavailable, the streams that need it
    wait and the others go on.

    Args:
        events: Where events go.
        commands: Where commands go.
    """

    def __init__(self, *, events: IMessagePublisher, commands: IMessagePublisher) -> None:
        self._publishers: Mapping[MessageKind, IMessagePublisher] = {
            MessageKind.EVENT: events,
            MessageKind.COMMAND: commands,
        }

    async def publish(self, messages: Sequence[OutboxMessage]) -> Sequence[PublishOutcome]:
        outcomes: list[PublishOutcome] = [None] * len(messages)
        failed: dict[tuple[str, str], Exception] = {}
        for kind, numbers in _stages(messages):
            await self._publish(kind, messages, numbers, outcomes, failed)
        return outcomes

    async def _publish(
        self,
        kind: MessageKind,
        messages: Sequence[OutboxMessage],
        numbers: Sequence[int],
        outcomes: list[PublishOutcome],
        failed: dict[tuple[str, str], Exception],
    ) -> None:
        for number in numbers:
            outcomes[number] = failed.get(_stream(messages[number]))
        to_send = [number for number in numbers if outcomes[number] is None]
        if not to_send:
            return
        found = await _outcomes(self._publishers[kind], [messages[number] for number in to_send])
        for number, outcome in zip(to_send, found, strict=True):
            outcomes[number] = outcome
            if outcome is not None:
                failed.setdefault(_stream(messages[number]), outcome)


@dataclass(frozen=True, slots=True)
class PublisherMetrics:
    """What a publisher did so far; times in milliseconds.

    Attributes:
        confirmed: Messages that the broker has.
        failed: Messages that were refused, or held back behind one that was.
        unavailable: Messages that were not sent because the broker could not be reached.
        batches: Calls that have ended, well or not.
        in_flight: Calls under way.
    """

    confirmed: int = 0
    failed: int = 0
    unavailable: int = 0
    batches: int = 0
    in_flight: int = 0
    mean_ms: float = 0.0
    max_ms: float = 0.0


class InstrumentedPublisher(IMessagePublisher):
    """Counts and times what a publisher does, and tells hooks about it.

    The operations are ``messages:publishing``, ``messages:published`` and, when the call raised,
    ``messages:failed``. The details have ``publisher`` and ``messages``, and then ``outcomes``
    or ``error`` and ``duration_ms``. A hook that raises is logged and changes nothing.

    Args:
        publisher: Who publishes.
        hooks: Where hooks are registered.
        name: What hooks know the publisher by.
    """

    def __init__(
        self,
        publisher: IMessagePublisher,
        *,
        hooks: HookRegistry | None = None,
        name: str = "broker",
    ) -> None:
        self._publisher = publisher
        self._hooks = hooks or HookRegistry()
        self._name = name
        self._counts = {"confirmed": 0, "failed": 0, "unavailable": 0, "batches": 0, "in_flight": 0}
        self._total_ms = 0.0
        self._max_ms = 0.0

    @property
    def metrics(self) -> PublisherMetrics:
        """What it did so far."""
        batches = self._counts["batches"]
        mean_ms = self._total_ms / batches if batches else 0.0
        return PublisherMetrics(**self._counts, mean_ms=mean_ms, max_ms=self._max_ms)

    async def publish(self, messages: Sequence[OutboxMessage]) -> Sequence[PublishOutcome]:
        await self._notify("publishing", messages)
        self._counts["in_flight"] += 1
        started = perf_counter()
        try:
            outcomes = await self._publisher.publish(messages)
        except BaseException as error:
            duration_ms = self._end(started)
            self._count([error] * len(messages))
            await self._notify("failed", messages, error=error, duration_ms=duration_ms)
            raise
        duration_ms = self._end(started)
        self._count(outcomes)
        await self._notify("published", messages, outcomes=outcomes, duration_ms=duration_ms)
        return outcomes

    def _end(self, started: float) -> float:
        duration_ms = (perf_counter() - started) * 1000
        self._counts["in_flight"] -= 1
        self._counts["batches"] += 1
        self._total_ms += duration_ms
        self._max_ms = max(self._max_ms, duration_ms)
        return duration_ms

    def _count(self, outcomes: Sequence[BaseException | None]) -> None:
        confirmed = sum(outcome is None for outcome in outcomes)
        unavailable = sum(isinstance(outcome, BrokerUnavailableError) for outcome in outcomes)
        self._counts["confirmed"] += confirmed
        self._counts["unavailable"] += unavailable
        self._counts["failed"] += len(outcomes) - confirmed - unavailable

    async def _notify(
        self, stage: str, messages: Sequence[OutboxMessage], **details: object
    ) -> None:
        operation = f"messages:{stage}"
        if self._hooks.watches(operation):
            about = {"publisher": self._name, "messages": messages, **details}
            await self._hooks.notify(operation, about)


def _stages(
    messages: Sequence[OutboxMessage],
) -> list[tuple[MessageKind, list[int]]]:
    """Split messages into batches of one kind, as few as the order within streams allows.

    All events and then all commands, unless an event follows a command in its stream: that one
    is in a third batch, and so on.
    """
    kinds = tuple(MessageKind)
    stages: list[list[int]] = []
    reached: dict[tuple[str, str], int] = {}
    for number, message in enumerate(messages):
        stage = reached.get(_stream(message), 0)
        stage += kinds[stage % len(kinds)] is not message.kind
        reached[_stream(message)] = stage
        while len(stages) <= stage:
            stages.append([])
        stages[stage].append(number)
    return [(kinds[stage % len(kinds)], numbers) for stage, numbers in enumerate(stages) if numbers]


def _stream(message: OutboxMessage) -> tuple[str, str]:
    return message.tenant_id, message.stream


async def _outcomes(
    publisher: IMessagePublisher, messages: Sequence[OutboxMessage]
) -> Sequence[PublishOutcome]:
    try:
        return await publisher.publish(messages)
    except BrokerUnavailableError as error:
        return [error] * len(messages)
