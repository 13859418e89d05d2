"""Work of one stream one after the other, of different streams side by side."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

__all__ = ["StreamLanes"]

_logger = logging.getLogger(__name__)

T = TypeVar("T")


class StreamLanes(Generic[T]):
    """A lane per stream that has work, each a task; an idle stream costs nothing.

    Args:
        work: Does one item; what it raises is logged, and the lane goes on.
        name: Name of the tasks.
    """

    def __init__(self, work: Callable[[T], Awaitable[None]], *, name: str) -> None:
        self._work = work
        self._name = name
        self._waiting: dict[Hashable, deque[T]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def put(self, stream: Hashable, item: T) -> None:
        """Do the item once everything before it in its stream is done."""
        lane = self._waiting.get(stream)
        if lane is not None:
            lane.append(item)
            return
        self._waiting[stream] = deque([item])
        task = asyncio.create_task(self._run(stream), name=self._name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def is_busy(self, stream: Hashable) -> bool:
        """Whether something of the stream is under way."""
        return stream in self._waiting

    async def drain(self, *, timeout: float) -> bool:
        """Wait until nothing is under way and cancel what takes longer than so many seconds.

        Returns:
            Whether everything came to its end.
        """
        if not self._tasks:
            return True
        _, late = await asyncio.wait(set(self._tasks), timeout=timeout)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late)
        return not late

    async def _run(self, stream: Hashable) -> None:
        lane = self._waiting[stream]
        try:
            while lane:
                await self._do(lane.popleft())
        finally:
            del self._waiting[stream]

    async def _do(self, item: T) -> None:
        try:
            await self._work(item)
        except Exception:
            _logger.exception("%s failed; the next one goes on", self._name)
