"""A command that lost a race runs again, on fresh state."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from cqrs_ddd_core.ports.middleware import IMiddleware
from cqrs_ddd_core.ports.retry import IRetryPolicy
from cqrs_ddd_core.ports.unit_of_work_scope import current_scope
from cqrs_ddd_core.primitives.exceptions import (
    ConcurrencyError,
    ConfigurationError,
    TransientPersistenceError,
)
from cqrs_ddd_core.primitives.retry import ExponentialBackoff

if TYPE_CHECKING:
    from cqrs_ddd_core.ports.middleware import NextHandler

__all__ = ["RetryMiddleware", "RetryPolicy"]


class RetryPolicy(IRetryPolicy):
    """Tries again a bounded number of times after errors that a new try may heal.

    Args:
        max_attempts: How often at most, the first time included.
        backoff: How long to wait in between; from 50 milliseconds to 2 seconds when not given.
        retry_on: Which errors. ``CommitOutcomeUnknownError`` may be added where every command
            goes through the idempotency middleware: only then a repeat cannot apply twice.
    """

    def __init__(
        self,
        max_attempts: int = 3,
        *,
        backoff: ExponentialBackoff | None = None,
        retry_on: tuple[type[Exception], ...] = (ConcurrencyError, TransientPersistenceError),
    ) -> None:
        if max_attempts < 1:
            msg = f"max_attempts counts the first try, so it is at least 1, not {max_attempts}"
            raise ConfigurationError(msg)
        self._max_attempts = max_attempts
        self._backoff = backoff or ExponentialBackoff(initial=0.05, maximum=2.0)
        self._retry_on = retry_on

    def next_delay(self, attempts: int, error: Exception) -> float | None:
        if attempts >= self._max_attempts or not isinstance(error, self._retry_on):
            return None
        return self._backoff.delay(attempts)


class RetryMiddleware(IMiddleware):
    """Runs a message again after an error the policy calls retryable.

    Each try of a command has a unit of work of its own and sees fresh state: the former one was
    rolled back. Inside another unit of work nothing is retried, because that one cannot go on
    after the error; the outermost command is tried again instead.

    Args:
        policy: Whether and when to try again.
        sleep: Waits for so many seconds.
    """

    def __init__(
        self,
        policy: IRetryPolicy | None = None,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._policy = policy or RetryPolicy()
        self._sleep = sleep

    async def __call__(self, message: Any, next_handler: NextHandler) -> Any:
        if current_scope() is not None:
            return await next_handler(message)
        attempts = 0
        while True:
            attempts += 1
            try:
                return await next_handler(message)
            except Exception as error:
                delay = self._policy.next_delay(attempts, error)
                if delay is None:
                    raise
            await self._sleep(delay)
