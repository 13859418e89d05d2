"""Cancel a coroutine at one of its awaits, to see that it leaves nothing behind."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from functools import partial
from typing import Any, TypeVar

__all__ = ["CancelledAt", "completes_despite_cancellation_at"]

T = TypeVar("T")


class CancelledAt:
    """Awaits a coroutine and cancels the task when it is suspended for the n-th time."""

    def __init__(self, suspension: int, work: Coroutine[Any, Any, T]) -> None:
        self._suspension = suspension
        self._work = work

    def __await__(self) -> Generator[Any, Any, None]:
        inner = self._work.__await__()
        step: Callable[[], Any] = partial(next, inner)
        suspensions = 0
        while True:
            try:
                waited_for = step()
            except StopIteration:
                return
            suspensions += 1
            if suspensions == self._suspension:
                _cancel_current_task()
            try:
                step = partial(inner.send, (yield waited_for))
            except BaseException as error:  # noqa: BLE001 - handed on to the coroutine
                step = partial(inner.throw, error)


async def completes_despite_cancellation_at(
    suspension: int, work: Coroutine[Any, Any, object]
) -> bool:
    """Cancel the work at its n-th suspension; say whether it came to its end nevertheless.

    ``True`` ends a loop over all suspensions: the work has fewer of them.
    """

    async def run() -> None:
        await CancelledAt(suspension, work)

    outcome = (await asyncio.gather(asyncio.create_task(run()), return_exceptions=True))[0]
    if outcome is not None and not isinstance(outcome, asyncio.CancelledError):
        raise outcome
    return outcome is None


def _cancel_current_task() -> None:
    task = asyncio.current_task()
    if task is not None:
        task.cancel()
