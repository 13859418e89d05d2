"""The worker port: something that runs beside the requests."""

from __future__ import annotations

from abc import abstractmethod
from typing import Protocol

__all__ = ["IBackgroundWorker"]


class IBackgroundWorker(Protocol):
    """A loop with a start and a graceful end."""

    @abstractmethod
    async def start(self) -> None:
        """Begin to work; calling it twice changes nothing."""
        ...

    @abstractmethod
    async def stop(self) -> None:
        """Take on no new work, finish what is under way, and return."""
        ...

    @abstractmethod
    async def run_once(self) -> int:
        """Do what is due now and return how much was done."""
        ...

    @abstractmethod
    def trigger(self) -> None:
        """Look for work now instead of at the next poll; a hint that may be lost."""
        ...
