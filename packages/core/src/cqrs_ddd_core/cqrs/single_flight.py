"""Several callers who want the same thing at one time share one run."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

__all__ = ["SingleFlight"]

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class _Flight(Generic[T]):
    task: asyncio.Task[T]
    callers: int = 0


class SingleFlight(Generic[T]):
    """Runs the work of a key once for all who ask while it is under way.

    The work runs in a task of its own, with the context of the first caller: a caller who is
    cancelled leaves the others in peace, and the last one to leave cancels the work. An error
    goes to all of them and is not kept.
    """

    def __init__(self) -> None:
        self._flights: dict[str, _Flight[T]] = {}

    async def run(self, key: str, work: Callable[[], Awaitable[T]]) -> tuple[T, bool]:
        """Return what the work returned, and whether another caller had begun it."""
        flight = self._flights.get(key)
        is_shared = flight is not None
        if flight is None:
            flight = self._flights[key] = _Flight(asyncio.ensure_future(_run(work)))
        flight.callers += 1
        try:
            return await asyncio.shield(flight.task), is_shared
        finally:
            flight.callers -= 1
            if flight.callers == 0:
                # Before the work has ended: nobody may join what is being cancelled.
                self._flights.pop(key, None)
                await _end(flight.task)


async def _run(work: Callable[[], Awaitable[T]]) -> T:
    return await work()


async def _end(task: asyncio.Task[T]) -> None:
    if not task.done():
        task.cancel()
        await asyncio.wait([task])
