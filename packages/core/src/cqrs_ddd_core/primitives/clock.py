"""The time as a port, so that tests own it."""

from __future__ import annotations

from abc import abstractmethod
from datetime import UTC, datetime, timedelta
from typing import Protocol

__all__ = ["FixedClock", "IClock", "SystemClock", "utc_now"]


def utc_now() -> datetime:
    """Return the current time as an aware UTC datetime."""
    return datetime.now(UTC)


class IClock(Protocol):
    """Tells the time."""

    @abstractmethod
    def now(self) -> datetime:
        """Return the current time as an aware UTC datetime."""
        ...


class SystemClock(IClock):
    """The clock of the machine."""

    def now(self) -> datetime:
        """Return the machine's time in UTC."""
        return utc_now()


class FixedClock(IClock):
    """A clock that stands still until it is told to move, for tests.

    Args:
        at: Aware start time; the start of 2026 in UTC when not given.
    """

    def __init__(self, at: datetime | None = None) -> None:
        self._now = at or datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        """Return the time the clock stands at."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Move the clock forward, or back when ``seconds`` is negative."""
        self._now += timedelta(seconds=seconds)
