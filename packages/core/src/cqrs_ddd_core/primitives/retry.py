"""How long to wait before trying again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import random

from cqrs_ddd_core.primitives.exceptions import ConfigurationError

__all__ = ["ExponentialBackoff"]


@dataclass(frozen=True, slots=True)
class ExponentialBackoff:
    """Waits that grow by a factor up to a maximum, shortened at random.

    Attributes:
        initial: Seconds after the first failure.
        factor: How much longer each wait is than the one before.
        maximum: Seconds no wait exceeds.
        jitter: Share of a wait that chance may take away, so that those who failed together do
            not come back together; 0 for none.
        random: Returns numbers from 0 to 1.
    """

    initial: float = 0.1
    factor: float = 2.0
    maximum: float = 30.0
    jitter: float = 0.5
    random: Callable[[], float] = random

    def __post_init__(self) -> None:
        if self.initial < 0 or self.factor < 1 or not 0 <= self.jitter <= 1:
            msg = "a backoff needs initial >= 0, factor >= 1 and jitter from 0 to 1"
            raise ConfigurationError(msg)

    def delay(self, attempts: int) -> float:
        """Return how many seconds to wait after so many failed attempts, from 1."""
        # Capped, because a float power of a long row of failures overflows.
        longest = min(self.initial * self.factor ** min(attempts - 1, 64), self.maximum)
        return longest * (1 - self.jitter * self.random())
