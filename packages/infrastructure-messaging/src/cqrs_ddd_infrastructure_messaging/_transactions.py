"""Units of work in which messages are handled."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from cqrs_ddd_core.correlation import MessageContext, reset_context, set_context
from cqrs_ddd_core.middleware import RetryPolicy
from cqrs_ddd_core.primitives.exceptions import (
    CommitOutcomeUnknownError,
    ConcurrencyError,
    TransientPersistenceError,
)
from cqrs_ddd_core.primitives.retry import ExponentialBackoff

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cqrs_ddd_core.ports.outbox import OutboxMessage
    from cqrs_ddd_core.ports.retry import IRetryPolicy
    from cqrs_ddd_core.ports.unit_of_work_scope import EventRecording, UnitOfWorkFactory

__all__ = ["MessageTransactions", "handling"]

T = TypeVar("T")


class MessageTransactions:
    """Runs work in a unit of work, and again in a fresh one when it lost a race.

    An unknown outcome of a commit counts as lost: the work begins with the inbox, which knows.

    Args:
        uow_factory: Makes the units of work.
        record: Takes events that are raised outside of commands, when given.
        retry: Whether and when to try again.
    """

    def __init__(
        self,
        uow_factory: UnitOfWorkFactory,
        *,
        record: EventRecording | None = None,
        retry: IRetryPolicy | None = None,
    ) -> None:
        self._uow_factory = uow_factory
        self._record = record
        self._retry = retry or RetryPolicy(
            3,
            backoff=ExponentialBackoff(initial=0.01, maximum=0.1),
            retry_on=(ConcurrencyError, TransientPersistenceError, CommitOutcomeUnknownError),
        )

    async def run(self, work: Callable[[], Awaitable[T]]) -> T:
        """Return what the work returned, after the commit."""
        attempts = 0
        while True:
            attempts += 1
            try:
                return await self.run_once(work)
            except Exception as error:
                delay = self._retry.next_delay(attempts, error)
                if delay is None:
                    raise
            await asyncio.sleep(delay)

    async def run_once(self, work: Callable[[], Awaitable[T]]) -> T:
        """Return what the work returned, after the commit, without a second try."""
        async with self._uow_factory() as uow:
            if self._record is not None:
                uow.record_with(self._record, fallback=True)
            return await work()


@contextmanager
def handling(message: OutboxMessage) -> Iterator[None]:
    """Set the tenant, correlation, cause, user and trace of a message for the block.

    Nothing of the surrounding context is kept: the consumer belongs to no request.
    """
    token = set_context(
        MessageContext(
            message.correlation_id,
            message.message_id,
            _text(message, "user_id"),
            message.tenant_id,
            _text(message, "traceparent"),
        )
    )
    try:
        yield
    finally:
        reset_context(token)


def _text(message: OutboxMessage, name: str) -> str | None:
    value = message.headers.get(name)
    return value if isinstance(value, str) else None
