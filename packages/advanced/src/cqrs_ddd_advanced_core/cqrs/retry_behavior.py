"""A handler's commands are run again after errors that a new try may heal."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from cqrs_ddd_core.middleware.retry import RetryMiddleware, RetryPolicy
from cqrs_ddd_core.primitives.exceptions import (
    ConcurrencyError,
    ConfigurationError,
    TransientPersistenceError,
)
from cqrs_ddd_core.primitives.retry import ExponentialBackoff

__all__ = ["RETRYABLE", "RetryBehavior"]

#: Errors after which a command may succeed when all of it is run again on fresh state.
RETRYABLE: tuple[type[Exception], ...] = (ConcurrencyError, TransientPersistenceError)


class RetryBehavior(RetryMiddleware):
    """Runs a command again, each time in a fresh unit of work and on fresh state.

    It is the core's ``RetryMiddleware`` in the words of a handler: nothing is retried inside
    another unit of work; there the outermost command is.

    Args:
        max_retries: How often after the first try.
        retry_delay: Seconds before the first retry.
        exponential_backoff: Whether each further wait is twice as long as the one before.
        max_retry_delay: Seconds no wait exceeds.
        jitter: Share of a wait that chance may take away, 0 for none.
        retry_on: Which errors.
        sleep: Waits for so many seconds.

    Attributes:
        policy: Whether and when it tries again.

    Raises:
        ConfigurationError: Some number makes no sense.
    """

    def __init__(
        self,
        *,
        max_retries: int = 3,
        retry_delay: float = 0.1,
        exponential_backoff: bool = True,
        max_retry_delay: float = 30.0,
        jitter: float = 0.5,
        retry_on: tuple[type[Exception], ...] = RETRYABLE,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        if max_retries < 0:
            msg = f"max_retries counts the tries after the first: 0 or more, not {max_retries}"
            raise ConfigurationError(msg)
        backoff = ExponentialBackoff(
            initial=retry_delay,
            factor=2.0 if exponential_backoff else 1.0,
            maximum=max_retry_delay,
            jitter=jitter,
        )
        self.policy: RetryPolicy = RetryPolicy(max_retries + 1, backoff=backoff, retry_on=retry_on)
        super().__init__(self.policy, sleep=sleep)
