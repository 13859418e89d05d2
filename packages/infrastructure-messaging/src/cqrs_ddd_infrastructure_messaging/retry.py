"""When a message whose handler failed comes again, and when it is given up."""

from __future__ import annotations

from dataclasses import dataclass

from cqrs_ddd_core.primitives.exceptions import (
    BrokerUnavailableError,
    ConfigurationError,
    DatabaseUnavailableError,
    SerializationError,
)
from cqrs_ddd_infrastructure_messaging.exceptions import MalformedMessageError

__all__ = ["RetryLadder"]

# A week; the delay queues of a broker count milliseconds in 32 bits.
_LONGEST = 7 * 24 * 3600.0


@dataclass(frozen=True, slots=True)
class RetryLadder:
    """The waits of a message between its tries; every broker climbs the same.

    Attributes:
        delays: Seconds before the second try, the third and so on, each at least a millisecond;
            a message that fails once more after the last is a dead letter. Empty for one try.
        hopeless: Errors that no further try will heal; the message is a dead letter at once.
        outages: Errors no message is to blame for. They are waited out, however long that takes,
            and count as no try; the stream of the message waits with it.

    Raises:
        ConfigurationError: A delay is shorter than a millisecond or longer than a week.
    """

    delays: tuple[float, ...] = (1.0, 5.0, 30.0, 300.0)
    hopeless: tuple[type[Exception], ...] = (MalformedMessageError, SerializationError)
    outages: tuple[type[Exception], ...] = (DatabaseUnavailableError, BrokerUnavailableError)

    def __post_init__(self) -> None:
        if not all(0.001 <= delay <= _LONGEST for delay in self.delays):
            msg = f"delays={self.delays}: each must be from 0.001 to {_LONGEST:g} seconds"
            raise ConfigurationError(msg)

    @property
    def max_attempts(self) -> int:
        """How often a message is delivered before it is a dead letter."""
        return len(self.delays) + 1

    def delay_after(self, attempt: int, error: Exception) -> float | None:
        """Return the seconds to the next try, or ``None`` when there is none.

        Args:
            attempt: The try that failed, counted from 1.
            error: Why it failed.
        """
        if isinstance(error, self.hopeless) or attempt >= self.max_attempts:
            return None
        return self.delays[max(attempt, 1) - 1]
