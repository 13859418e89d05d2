"""Try again what others were in the way of, for a while."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Final

from cqrs_ddd_advanced_core.domain.projection_exceptions import RebuildError
from cqrs_ddd_advanced_core.projections._exact import MovedMeanwhileError
from cqrs_ddd_core.primitives.exceptions import TransientPersistenceError
from cqrs_ddd_core.primitives.retry import ExponentialBackoff

__all__ = ["patiently"]

_BACKOFF: Final = ExponentialBackoff(initial=0.02, maximum=1.0)


async def patiently(work: Callable[[], Awaitable[None]], *, timeout: float, what: str) -> None:
    """Do something until it goes well; it leaves nothing behind when it does not.

    Args:
        work: What to do.
        timeout: Seconds after which it is not begun again.
        what: Said of it when it did not go well.

    Raises:
        RebuildError: It did not go well in time.
    """
    deadline = monotonic() + timeout
    attempts = 0
    while True:
        try:
            return await work()
        except (MovedMeanwhileError, TransientPersistenceError) as error:
            attempts += 1
            if monotonic() >= deadline:
                msg = f"{what} was not possible within {timeout:g} s, {attempts} tries: {error}"
                raise RebuildError(msg) from error
        await asyncio.sleep(_BACKOFF.delay(attempts))
