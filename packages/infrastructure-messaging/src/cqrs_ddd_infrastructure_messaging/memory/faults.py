"""What goes wrong with messages on their way, on purpose."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import TypeAlias

from cqrs_ddd_core.ports.outbox import OutboxMessage
from cqrs_ddd_core.primitives.exceptions import BrokerUnavailableError, ConfigurationError

__all__ = ["Fault", "FaultPlan", "Faults"]

#: How probable a fault is, from 0 to 1, or which messages it meets.
Fault: TypeAlias = float | Callable[[OutboxMessage], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultPlan:
    """What a transport in memory does to the messages that are published.

    The same plan does the same to the same messages in the same order.

    Args:
        lose: Confirmed, and never delivered: no broker that keeps its word does that.
        refuse: Not taken: the publisher gets a ``BrokerUnavailableError`` as its outcome.
        unconfirmed: Taken, but the publisher gets the same error, as when the answer is lost.
        double: Delivered twice.
        delay: Delivered ``delay_seconds`` later, and so behind what is published meanwhile.
        reorder: Delivered within a second, in an order that chance decides.
        delay_seconds: Seconds of the transport's own clock.
        seed: Of everything left to chance.

    Raises:
        ConfigurationError: A probability is not from 0 to 1, or the delay is negative.
    """

    lose: Fault = 0.0
    refuse: Fault = 0.0
    unconfirmed: Fault = 0.0
    double: Fault = 0.0
    delay: Fault = 0.0
    reorder: Fault = 0.0
    delay_seconds: float = 5.0
    seed: int = 0

    def __post_init__(self) -> None:
        faults = (
            self.lose,
            self.refuse,
            self.unconfirmed,
            self.double,
            self.delay,
            self.reorder,
        )
        if not all(callable(fault) or 0 <= fault <= 1 for fault in faults):
            raise ConfigurationError("a probability is from 0 to 1")
        if self.delay_seconds < 0:
            raise ConfigurationError("delay_seconds must be 0 or more")


class Faults:
    """Decides by a plan, message after message; for transports.

    Args:
        plan: What goes wrong.
    """

    def __init__(self, plan: FaultPlan) -> None:
        self._plan = plan
        self._random = Random(plan.seed)  # noqa: S311 - chance for tests

    def refuse(self, message: OutboxMessage) -> None:
        """Refuse a message before it is taken, if that is planned.

        Raises:
            BrokerUnavailableError: It is.
        """
        if self._meets(self._plan.refuse, message):
            raise BrokerUnavailableError(f"message {message.message_id} was refused on purpose")

    def deliveries(self, message: OutboxMessage) -> Sequence[float]:
        """Return after how many seconds each copy of a message is delivered."""
        if self._meets(self._plan.lose, message):
            return ()
        copies = 2 if self._meets(self._plan.double, message) else 1
        return [self._seconds(message) for _ in range(copies)]

    def lose_confirmation(self, message: OutboxMessage) -> None:
        """Hide that a message was taken, if that is planned.

        Raises:
            BrokerUnavailableError: It is.
        """
        if self._meets(self._plan.unconfirmed, message):
            msg = f"the confirmation of message {message.message_id} was lost on purpose"
            raise BrokerUnavailableError(msg)

    def _seconds(self, message: OutboxMessage) -> float:
        seconds = self._plan.delay_seconds if self._meets(self._plan.delay, message) else 0.0
        if self._meets(self._plan.reorder, message):
            seconds += self._random.random()
        return seconds

    def _meets(self, fault: Fault, message: OutboxMessage) -> bool:
        # Drawn in any case, so that a message's fate does not hang on the other faults.
        chance = self._random.random()
        return fault(message) if callable(fault) else chance < fault
