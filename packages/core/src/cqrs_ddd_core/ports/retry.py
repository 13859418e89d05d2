"""The retry port: whether to try again after an error, and when."""

from __future__ import annotations

from abc import abstractmethod
from typing import Protocol

__all__ = ["IRetryPolicy"]


class IRetryPolicy(Protocol):
    """Decides after each failure; keeps no state of a single run, so one serves all at once."""

    @abstractmethod
    def next_delay(self, attempts: int, error: Exception) -> float | None:
        """Return how many seconds to wait before the next try, or ``None`` to give up.

        Args:
            attempts: How often it was tried so far, from 1.
            error: What the last try raised.
        """
        ...
