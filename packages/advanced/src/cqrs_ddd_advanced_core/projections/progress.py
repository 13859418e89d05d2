"""How far a rebuild has come, how fast it is, and when it will be done."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from cqrs_ddd_core.primitives.exceptions import ConfigurationError

__all__ = ["LogProgress", "OnProgress", "RateMeter", "RebuildProgress", "Throttle"]

_logger = logging.getLogger(__name__)

#: Seconds the rate is measured over.
_WINDOW: Final = 30.0


@dataclass(frozen=True, slots=True)
class RebuildProgress:
    """How far a rebuild has come.

    Attributes:
        projection: What is rebuilt.
        version: Which build.
        done: Up to which position of the feed; of several partitions their average.
        total: Position of the last event of the feed at this moment; it grows meanwhile.
        rate: Positions a second lately; 0 when nobody knows yet.
        tenant_id: Whose.
    """

    projection: str
    version: int
    done: int
    total: int
    rate: float
    tenant_id: str = ""

    @property
    def share(self) -> float:
        """How much is done, from 0 to 1."""
        return min(self.done / self.total, 1.0) if self.total else 1.0

    @property
    def eta(self) -> float | None:
        """Seconds until it is done at this rate; ``None`` when nobody knows."""
        left = max(self.total - self.done, 0)
        if not left:
            return 0.0
        return left / self.rate if self.rate > 0 else None

    def __str__(self) -> str:
        eta = "?" if self.eta is None else f"{self.eta:,.0f} s"
        whose = f" of tenant {self.tenant_id!r}" if self.tenant_id else ""
        return (
            f"{self.projection} version {self.version}{whose}: {self.done:,} of {self.total:,} "
            f"({self.share:.1%}), {self.rate:,.0f} a second, {eta} to go"
        )


#: Is told how far a rebuild has come, after every batch; it neither waits nor raises.
OnProgress: TypeAlias = Callable[[RebuildProgress], None]


@dataclass(frozen=True, slots=True)
class Throttle:
    """How much of the database a rebuild may take from others.

    Attributes:
        max_rate: Events a second at most; as fast as it can when not given.
        max_lag: Stand still while the version that serves is more positions than this behind.
    """

    max_rate: float | None = None
    max_lag: int | None = None

    def __post_init__(self) -> None:
        if (self.max_rate is not None and self.max_rate <= 0) or (self.max_lag or 0) < 0:
            raise ConfigurationError("a throttle needs max_rate above 0 and max_lag of at least 0")

    def pause(self, events: int, seconds: float) -> float:
        """Return how many seconds to wait after so many events in so many seconds."""
        if self.max_rate is None:
            return 0.0
        return max(events / self.max_rate - seconds, 0.0)


class LogProgress:
    """Writes a line into the log now and then, and when it is done.

    Args:
        interval: Seconds between two lines.
        monotonic: Tells seconds that never go back.
    """

    def __init__(
        self, interval: float = 10.0, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._interval = interval
        self._monotonic = monotonic
        self._last: float | None = None

    def __call__(self, progress: RebuildProgress) -> None:
        """Write a line if it is time."""
        now = self._monotonic()
        is_due = self._last is None or now - self._last >= self._interval
        if is_due or progress.done >= progress.total:
            self._last = now
            _logger.info("%s", progress)


class RateMeter:
    """Measures how fast a number grows, over the last seconds.

    Args:
        monotonic: Tells seconds that never go back.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._seen: deque[tuple[float, int]] = deque()

    def note(self, value: int) -> float:
        """Remember how large it is now; return how much it grows in a second."""
        now = self._monotonic()
        self._seen.append((now, value))
        # One from before the window stays, so that a slow batch has something to be compared to.
        while len(self._seen) > 2 and self._seen[1][0] <= now - _WINDOW:
            self._seen.popleft()
        since, first = self._seen[0]
        return (value - first) / (now - since) if now > since else 0.0
