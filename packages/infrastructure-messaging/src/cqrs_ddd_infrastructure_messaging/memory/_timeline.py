"""What happens later, by a clock that passes only when it is told to."""

from __future__ import annotations

import heapq
from datetime import timedelta
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from cqrs_ddd_core.primitives.clock import FixedClock

__all__ = ["Timeline"]


class Timeline:
    """Actions in the order of their time, then of their planning.

    Args:
        clock: Moved by it.
    """

    def __init__(self, clock: FixedClock) -> None:
        self._clock = clock
        self._order = count()
        self._planned: list[tuple[datetime, int, Callable[[], None]]] = []

    def __len__(self) -> int:
        return len(self._planned)

    def plan(self, seconds: float, action: Callable[[], None]) -> None:
        """Do something after so many seconds."""
        due = self._clock.now() + timedelta(seconds=seconds)
        heapq.heappush(self._planned, (due, next(self._order), action))

    def advance(self, seconds: float) -> None:
        """Let so many seconds pass, and do what falls due."""
        end = self._clock.now() + timedelta(seconds=seconds)
        while self._planned and self._planned[0][0] <= end:
            self.advance_to_next()
        self._pass_until(end)

    def advance_to_next(self) -> None:
        """Let the time pass to the next action, and do it."""
        due, _, action = heapq.heappop(self._planned)
        self._pass_until(due)
        action()

    def _pass_until(self, moment: datetime) -> None:
        self._clock.advance(max((moment - self._clock.now()).total_seconds(), 0.0))
